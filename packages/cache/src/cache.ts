import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, optionReader } from '@hotpath/core';
import type { CacheState } from './events.ts';
import { type CacheCore, closedError } from './internal/cache-core.ts';
import { makeCachedFunction } from './internal/cached-function.ts';
import { checkFactory, checkKey, checkKeys, checkPairs, checkTags } from './internal/checks.ts';
import { Counters } from './internal/counters.ts';
import type { Load } from './internal/flight.ts';
import { HotClock } from './internal/hot-clock.ts';
import { keyOfString, parseSharedKey } from './internal/key-codec.ts';
import { drawLifetime, type ResolvedEntryOptions } from './internal/lifetime.ts';
import { type Mark, Marks } from './internal/marks.ts';
import { RedisTier } from './internal/redis-tier.ts';
import { Region } from './internal/region.ts';
import type { SharedTier, SharedWrite } from './internal/tier.ts';
import {
  type CacheOptions,
  type ResolvedCacheOptions,
  readEntryOptions,
  resolveCacheOptions,
  resolveL1Options,
} from './options.ts';
import { type CacheStats, statsOf } from './stats.ts';
import type {
  CachedFunction,
  ChangeResult,
  GetOrSetOptions,
  LoadContext,
  ReadyOptions,
  SetOptions,
  WarmOptions,
  WarmResult,
  WrapOptions,
} from './types.ts';
import { warmUp } from './warm-up.ts';

/** A function that makes the value for a key. */
export type Factory<Value> = (context: LoadContext) => Value | PromiseLike<Value>;

/** A cache in memory and in Redis. */
export interface Cache extends AsyncDisposable {
  readonly namespace: string;
  /**
   * Puts a function behind the cache.
   *
   * @throws TypeError or RangeError when an option is wrong or the name is taken.
   */
  wrap<Args extends readonly unknown[], Value>(
    loader: (...args: Args) => Value | PromiseLike<Value>,
    options?: WrapOptions<Args & {}>,
  ): CachedFunction<Args, Value>;
  /** The value of `key`, made by `factory` where there is none. Fails as a {@link CachedFunction} does. */
  getOrSet<Value>(key: string, factory: Factory<Value>, options?: GetOrSetOptions): Promise<Value>;
  /** The value of `key`; `undefined` when there is none. Never rejects because of Redis. */
  get<Value = unknown>(key: string): Promise<Value | undefined>;
  /** The values of many keys, in their order, in one round trip. */
  getMany<Value = unknown>(keys: readonly string[]): Promise<(Value | undefined)[]>;
  /** Whether `key` has a value, which may be `undefined`. */
  has(key: string): Promise<boolean>;
  /** Stores a value, here and in Redis, and makes other processes drop theirs. */
  set(key: string, value: unknown, options?: SetOptions): Promise<ChangeResult>;
  setMany(
    entries: Iterable<readonly [key: string, value: unknown]>,
    options?: SetOptions,
  ): Promise<ChangeResult>;
  /** Drops the values of these keys, everywhere. */
  delete(...keys: readonly string[]): Promise<ChangeResult>;
  /** Drops every value that carries one of the tags, everywhere. O(1) in the number of values. */
  invalidateTags(...tags: readonly string[]): Promise<ChangeResult>;
  /**
   * Drops every value whose key begins with `prefix`, everywhere. O(1) in the number of values.
   *
   * A wrapped function's keys are its name, ':' and the argument: `policy:42`.
   */
  invalidatePrefix(prefix: string): Promise<ChangeResult>;
  /** Drops everything, everywhere. */
  clear(): Promise<ChangeResult>;
  /** Loads the keys that have no value yet. */
  warm<Value>(
    keys: Iterable<string>,
    load: (key: string, context: LoadContext) => Value | PromiseLike<Value>,
    options?: GetOrSetOptions & WarmOptions,
  ): Promise<WarmResult>;
  /** The context of the load that is running now, for wrapped and decorated functions; `undefined` outside of one. */
  loadContext(): LoadContext | undefined;
  /** Whether Redis is in use. */
  readonly state: CacheState;
  /**
   * Resolves with the state as soon as Redis is in use, or else after `timeoutMs` (default 1,000).
   *
   * Only for who would rather wait than begin with memory alone: a cache works at once. Never rejects because of Redis.
   *
   * @throws TypeError or RangeError when an option is wrong.
   */
  ready(options?: ReadyOptions): Promise<CacheState>;
  stats(): CacheStats;
  /**
   * Sends what is under way and, if Redis comes within `hardDeadlineMs`, the invalidations that are queued; then closes
   * both connections. Calls reject from now on.
   */
  close(): Promise<void>;
}

const KEYED = 'k:';
const DEFAULT_READY_MS = 1_000;

class TwoTierCache implements Cache {
  readonly namespace: string;
  readonly #options: ResolvedCacheOptions;
  readonly #core: CacheCore;
  readonly #keyed: Region;
  readonly #regions = new Map<string, Region>();
  #closing: Promise<void> | undefined;
  readonly #defaultLoad: (factory: Factory<unknown>) => Load;

  constructor(options: ResolvedCacheOptions, makeTier: MakeTier) {
    this.namespace = options.namespace;
    this.#options = options;
    const marks = new Marks(options.maxMarks);
    const counters = new Counters();
    const hotClock = new HotClock(options.clock);
    this.#core = {
      namespace: options.namespace,
      clock: options.clock,
      hotClock,
      random: options.random,
      marks,
      counters,
      tier: makeTier(options, counters, {
        dropKeys: (keys) => {
          for (const key of keys) this.#dropShared(key);
        },
        addMarks: (added) => this.#addMarks(added),
        addAll: () => this.#addAll(),
      }),
      loads: new AsyncLocalStorage(),
      maxStalenessMs: options.maxStalenessMs,
      awayTtlMs: options.whenAway === 'bypass' ? 0 : options.awayTtlMs,
      bypassWhenAway: options.whenAway === 'bypass',
      leaseWaitMs: options.leaseWaitMs,
      maxConcurrentLoads: options.maxConcurrentLoads,
      isClosed: false,
    };
    this.#keyed = new Region(this.#core, KEYED, '', options.l1);
    const noTags = (): readonly string[] => [];
    this.#defaultLoad = (factory) => ({ options: options.entry, tags: noTags, run: factory });
  }

  wrap<Args extends readonly unknown[], Value>(
    loader: (...args: Args) => Value | PromiseLike<Value>,
    options: WrapOptions<Args> = {},
  ): CachedFunction<Args, Value> {
    if (typeof loader !== 'function') {
      throw new TypeError(`wrap: loader must be a function, got ${describe(loader)}`);
    }
    const read = optionReader('wrap', options);
    const name = read.string('name', loader.name);
    if (name === '') throw new TypeError("wrap: option 'name' is required for a function without a name");
    if (name.includes(':') || name.includes('\0')) {
      throw new RangeError(`wrap: option 'name' must be without ':', got ${describe(name)}`);
    }
    if (this.#regions.has(name)) {
      throw new TypeError(`wrap: option 'name' must be unique within a cache, got ${describe(name)} again`);
    }
    const settings = {
      name,
      entry: readEntryOptions(read, this.#options.entry),
      key: read.function<((...args: Args) => unknown) | undefined>('key', undefined),
      tags: read.function<((...args: Args) => readonly string[]) | undefined>('tags', undefined),
    };
    const l1 = resolveL1Options('wrap: l1', read.any('l1'), this.#options.l1);
    read.end();
    const region = new Region(this.#core, `w:${name}:`, `${name}:`, l1);
    this.#regions.set(name, region);
    return makeCachedFunction<Args, Value>(region, loader, settings, {
      set: (key, value, tags) => this.#write(region, [{ key, value, tags, options: settings.entry }]),
      drop: (key) => this.#drop(region, [key]),
      dropAll: () => this.invalidatePrefix(`${name}:`),
    });
  }

  getOrSet<Value>(key: string, factory: Factory<Value>, options?: GetOrSetOptions): Promise<Value> {
    const local = keyOfString(checkKey('getOrSet', key));
    const entry = this.#keyed.hit(local);
    if (entry !== undefined && !this.#core.isClosed && options?.signal === undefined) {
      this.#core.counters.l1Hits++;
      return this.#keyed.promiseOf(entry) as Promise<Value>;
    }
    checkFactory('getOrSet', factory);
    let load: Load;
    if (options === undefined) load = this.#defaultLoad(factory);
    else {
      const read = optionReader('getOrSet', options);
      const tags = checkTags('getOrSet', read.any('tags'));
      read.any('signal');
      load = {
        options: readEntryOptions(read, this.#options.entry),
        tags: () => tags,
        run: factory,
      };
      read.end();
    }
    return this.#keyed.get(local, load, options) as Promise<Value>;
  }

  async get<Value = unknown>(key: string): Promise<Value | undefined> {
    const [value] = await this.#readMany([checkKey('get', key)]);
    return value?.value as Value | undefined;
  }

  async has(key: string): Promise<boolean> {
    const [value] = await this.#readMany([checkKey('has', key)]);
    return value !== undefined;
  }

  async getMany<Value = unknown>(keys: readonly string[]): Promise<(Value | undefined)[]> {
    const values = await this.#readMany(checkKeys('getMany', keys));
    return values.map((found) => found?.value as Value | undefined);
  }

  #readMany(keys: readonly string[]): Promise<({ readonly value: unknown } | undefined)[]> {
    if (this.#core.isClosed) return Promise.reject(closedError());
    return Promise.all(keys.map((key) => this.#keyed.read(keyOfString(key))));
  }

  set(key: string, value: unknown, options?: SetOptions): Promise<ChangeResult> {
    return this.setMany([[key, value]], options);
  }

  async setMany(
    entries: Iterable<readonly [key: string, value: unknown]>,
    options?: SetOptions,
  ): Promise<ChangeResult> {
    const read = optionReader('set', options);
    const tags = checkTags('set', read.any('tags'));
    const entryOptions = readEntryOptions(read, this.#options.entry);
    read.end();
    return this.#write(
      this.#keyed,
      checkPairs('setMany', entries).map(([key, value]) => {
        return { key: keyOfString(checkKey('set', key)), value, tags, options: entryOptions };
      }),
    );
  }

  async #write(
    region: Region,
    writes: readonly {
      readonly key: string | number;
      readonly value: unknown;
      readonly tags: readonly string[];
      readonly options: ResolvedEntryOptions;
    }[],
  ): Promise<ChangeResult> {
    const core = this.#core;
    if (core.isClosed) throw closedError();
    const shared: SharedWrite[] = [];
    const gone: string[] = [];
    for (const { key, value, tags, options } of writes) {
      region.drop(key);
      const lifetime = drawLifetime(options, value, undefined, 0, core.random);
      const isKept = lifetime.freshMs + Math.max(lifetime.staleMs, lifetime.graceMs) > 0;
      if (isKept) region.put(key, value, tags, lifetime);
      if (!isKept) gone.push(region.shared(key));
      else shared.push({ sharedKey: region.shared(key), value, tags, lifetime });
    }
    if (core.tier === undefined) return { confirmed: true };
    const done = await Promise.all([
      shared.length === 0 || core.tier.write(shared),
      gone.length === 0 || core.tier.invalidateKeys(gone),
    ]);
    return { confirmed: done.every(Boolean) };
  }

  delete(...keys: readonly string[]): Promise<ChangeResult> {
    return this.#drop(
      this.#keyed,
      keys.map((key) => keyOfString(checkKey('delete', key))),
    );
  }

  async #drop(region: Region, keys: readonly (string | number)[]): Promise<ChangeResult> {
    const core = this.#core;
    if (core.isClosed) throw closedError();
    core.counters.invalidations += keys.length;
    for (const key of keys) region.drop(key);
    if (core.tier === undefined || keys.length === 0) return { confirmed: true };
    return { confirmed: await core.tier.invalidateKeys(keys.map((key) => region.shared(key))) };
  }

  invalidateTags(...tags: readonly string[]): Promise<ChangeResult> {
    return this.#mark(tags.map((tag): Mark => `t${checkKey('invalidateTags', tag)}`));
  }

  invalidatePrefix(prefix: string): Promise<ChangeResult> {
    return this.#mark([`p${checkKey('invalidatePrefix', prefix)}`]);
  }

  async #mark(marks: readonly Mark[]): Promise<ChangeResult> {
    const core = this.#core;
    if (core.isClosed) throw closedError();
    core.counters.invalidations += marks.length;
    this.#addMarks(marks);
    if (core.tier === undefined || marks.length === 0) return { confirmed: true };
    return { confirmed: await core.tier.invalidateMarks(marks) };
  }

  async clear(): Promise<ChangeResult> {
    const core = this.#core;
    if (core.isClosed) throw closedError();
    core.counters.invalidations++;
    this.#addAll();
    if (core.tier === undefined) return { confirmed: true };
    return { confirmed: await core.tier.invalidateAll() };
  }

  async warm<Value>(
    keys: Iterable<string>,
    load: (key: string, context: LoadContext) => Value | PromiseLike<Value>,
    options: GetOrSetOptions & WarmOptions = {},
  ): Promise<WarmResult> {
    const { concurrency, ...callOptions } = options;
    return warmUp(keys, (key) => this.getOrSet(key, (context) => load(key, context), callOptions), options);
  }

  loadContext(): LoadContext | undefined {
    return this.#core.loads.getStore();
  }

  get state(): CacheState {
    return this.#core.tier?.state ?? 'local';
  }

  async ready(options: ReadyOptions = {}): Promise<CacheState> {
    const read = optionReader('ready', options);
    const timeoutMs = read.number('timeoutMs', DEFAULT_READY_MS, { min: 0 });
    read.end();
    await this.#core.tier?.whenUp(timeoutMs);
    return this.state;
  }

  stats(): CacheStats {
    return statsOf(this.#core, [this.#keyed, ...this.#regions.values()]);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#core.isClosed = true;
    for (const region of [this.#keyed, ...this.#regions.values()]) region.clear();
    await this.#core.tier?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #addMarks(marks: readonly Mark[]): void {
    for (const mark of marks) this.#core.marks.add(mark);
    this.#detachFlights();
  }

  #addAll(): void {
    this.#core.marks.addAll();
    this.#detachFlights();
  }

  #detachFlights(): void {
    this.#keyed.detachFlights();
    for (const region of this.#regions.values()) region.detachFlights();
  }

  /** Another process has changed this key. */
  #dropShared(shared: string): void {
    let region: Region | undefined = this.#keyed;
    let start = KEYED.length;
    if (!shared.startsWith(KEYED)) {
      const nameEnd = shared.indexOf(':', 2);
      region = this.#regions.get(shared.slice(2, nameEnd));
      start = nameEnd + 1;
    }
    const key = parseSharedKey(shared.slice(start));
    if (region !== undefined && key !== undefined) region.drop(key);
  }
}

/** What other processes' changes do to this one. */
export interface ChangeSink {
  dropKeys(sharedKeys: readonly string[]): void;
  addMarks(marks: readonly Mark[]): void;
  addAll(): void;
}

type MakeTier = (
  options: ResolvedCacheOptions,
  counters: Counters,
  sink: ChangeSink,
) => SharedTier | undefined;

/**
 * Makes a cache.
 *
 * With `redis` it opens two connections of its own (on a Cluster two a node), in the background: it
 * works at once, also while Redis is down. `close()` it at the end.
 *
 * @throws TypeError or RangeError when an option is wrong; the message names it.
 *
 * @example
 * const cache = createCache({ namespace: 'policies', ttlMs: 300_000 });
 * const getPolicy = cache.wrap(async (id: number) => ({ id, name: `policy ${id}` }), { name: 'policy' });
 * await getPolicy(42);
 * await cache.close();
 */
export function createCache(options: CacheOptions): Cache {
  return new TwoTierCache(resolveCacheOptions(options), ({ redis, ...rest }, counters, sink) => {
    return redis === undefined ? undefined : new RedisTier(redis, { redis, ...rest }, counters, sink);
  });
}

import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, type OptionReader, optionReader } from '@hotpath/core';
import type { Cache, Factory } from '../cache.ts';
import type { CacheState } from '../events.ts';
import { type ResolvedCacheOptions, readEntryOptions, resolveL1Options } from '../options.ts';
import { type CacheStats, statsOf } from '../stats.ts';
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
} from '../types.ts';
import { type CacheCore, closedError } from './cache-core.ts';
import { makeCachedFunction } from './cached-function.ts';
import type { ChangeSink } from './change-sink.ts';
import { Changes } from './changes.ts';
import {
  checkFunction,
  checkItems,
  checkKey,
  checkKeys,
  checkPairs,
  checkPrefix,
  checkTags,
  readSignal,
} from './checks.ts';
import { Counters } from './counters.ts';
import { HotClock } from './hot-clock.ts';
import { keyOfString } from './key-codec.ts';
import type { ResolvedEntryOptions } from './lifetime.ts';
import type { FoundValue } from './lookup.ts';
import { Marks } from './marks.ts';
import type { Region } from './region.ts';
import { readablePrefix } from './region-keys.ts';
import { Regions } from './regions.ts';
import type { SharedTier } from './tier.ts';
import { readWarmLimits, warmUp } from './warm-up.ts';

type MakeTier = (
  options: ResolvedCacheOptions,
  counters: Counters,
  sink: ChangeSink,
) => SharedTier | undefined;

const DEFAULT_READY_MS = 1_000;
const NO_TAGS: readonly string[] = Object.freeze([]);
const noTags = (): readonly string[] => NO_TAGS;

/** A cache in memory, with or without a tier behind it. */
export class TwoTierCache implements Cache {
  readonly namespace: string;
  readonly #options: ResolvedCacheOptions;
  readonly #core: CacheCore;
  readonly #regions: Regions;
  readonly #keyed: Region;
  readonly #changes: Changes;
  #closing: Promise<void> | undefined;

  constructor(options: ResolvedCacheOptions, makeTier: MakeTier) {
    this.namespace = options.namespace;
    this.#options = options;
    const marks = new Marks(options.maxMarks);
    const counters = new Counters();
    this.#regions = new Regions(marks);
    this.#core = {
      namespace: options.namespace,
      clock: options.clock,
      hotClock: new HotClock(options.clock),
      random: options.random,
      marks,
      counters,
      tier: makeTier(options, counters, this.#regions),
      loads: new AsyncLocalStorage(),
      maxStalenessMs: options.maxStalenessMs,
      awayTtlMs: options.whenAway === 'bypass' ? 0 : options.awayTtlMs,
      bypassWhenAway: options.whenAway === 'bypass',
      leaseWaitMs: options.leaseWaitMs,
      maxConcurrentLoads: options.maxConcurrentLoads,
      isClosed: false,
    };
    this.#keyed = this.#regions.add(this.#core, '', options.l1);
    this.#changes = new Changes(this.#core, this.#regions);
  }

  wrap<Args extends readonly unknown[], Value>(
    loader: (...args: Args) => Value | PromiseLike<Value>,
    options: WrapOptions<Args> = {},
  ): CachedFunction<Args, Value> {
    checkFunction('wrap', 'loader', loader);
    const read = optionReader('wrap', options);
    const name = read.string('name', loader.name);
    if (name === '') throw new TypeError("wrap: option 'name' is required for a function without a name");
    if (name.includes(':') || name.includes('\0')) {
      throw new RangeError(`wrap: option 'name' must be without ':' and NUL, got ${describe(name)}`);
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
    const region = this.#regions.add(this.#core, name, l1);
    const changes = this.#changes;
    return makeCachedFunction<Args, Value>(region, loader, settings, {
      set: (key, value, tags) => changes.write(region, [{ key, value, tags, options: settings.entry }]),
      drop: (key) => changes.drop(region, [key]),
      dropAll: () => changes.mark([`p${readablePrefix(name)}`]),
    });
  }

  getOrSet<Value>(key: string, factory: Factory<Value>, options?: GetOrSetOptions): Promise<Value> {
    if (typeof key === 'string' && !this.#core.isClosed && options?.signal === undefined) {
      const entry = this.#keyed.hit(keyOfString(key));
      if (entry !== undefined) {
        this.#core.counters.l1Hits++;
        return this.#keyed.promiseOf(entry) as Promise<Value>;
      }
    }
    try {
      return this.#load(key, factory, options) as Promise<Value>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #load(key: string, factory: Factory<unknown>, options: GetOrSetOptions | undefined): Promise<unknown> {
    const local = keyOfString(checkKey('getOrSet', key));
    checkFunction('getOrSet', 'the factory', factory);
    if (options === undefined) {
      const load = { options: this.#options.entry, tags: noTags, run: factory };
      return this.#keyed.get(local, load, undefined);
    }
    const read = optionReader('getOrSet', options);
    const { entry, tags } = this.#readValueOptions('getOrSet', read);
    const signal = readSignal(read);
    read.end();
    return this.#keyed.get(local, { options: entry, tags: () => tags, run: factory }, signal);
  }

  #readValueOptions(
    owner: string,
    read: OptionReader,
  ): { readonly entry: ResolvedEntryOptions; readonly tags: readonly string[] } {
    return {
      entry: readEntryOptions(read, this.#options.entry),
      tags: checkTags(owner, read.any('tags')),
    };
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

  #readMany(keys: readonly string[]): Promise<(FoundValue | undefined)[]> {
    if (this.#core.isClosed) throw closedError();
    return Promise.all(keys.map((key) => this.#keyed.read(keyOfString(key))));
  }

  async set(key: string, value: unknown, options?: SetOptions): Promise<ChangeResult> {
    return this.#set('set', [[key, value]], options);
  }

  async setMany(
    entries: Iterable<readonly [key: string, value: unknown]>,
    options?: SetOptions,
  ): Promise<ChangeResult> {
    return this.#set('setMany', checkPairs('setMany', entries), options);
  }

  #set(
    owner: string,
    entries: readonly (readonly [key: unknown, value: unknown])[],
    options: SetOptions | undefined,
  ): Promise<ChangeResult> {
    const read = optionReader(owner, options);
    const { entry, tags } = this.#readValueOptions(owner, read);
    read.end();
    const values = entries.map(([key, value]) => {
      return { key: keyOfString(checkKey(owner, key)), value, tags, options: entry };
    });
    return this.#changes.write(this.#keyed, values);
  }

  async delete(...keys: readonly string[]): Promise<ChangeResult> {
    const locals = keys.map((key) => keyOfString(checkKey('delete', key)));
    return this.#changes.drop(this.#keyed, locals);
  }

  async invalidateTags(...tags: readonly string[]): Promise<ChangeResult> {
    return this.#changes.mark(checkTags('invalidateTags', tags).map((tag) => `t${tag}` as const));
  }

  async invalidatePrefix(prefix: string): Promise<ChangeResult> {
    return this.#changes.mark([`p${checkPrefix('invalidatePrefix', prefix)}`]);
  }

  clear(): Promise<ChangeResult> {
    return this.#changes.clear();
  }

  async warm<Value>(
    keys: Iterable<string>,
    load: (key: string, context: LoadContext) => Value | PromiseLike<Value>,
    options?: GetOrSetOptions & WarmOptions,
  ): Promise<WarmResult> {
    checkItems('warm', 'the keys', keys);
    checkFunction('warm', 'the loader', load);
    const read = optionReader('warm', options);
    const { entry, tags } = this.#readValueOptions('warm', read);
    const limits = readWarmLimits(read);
    read.end();
    if (this.#core.isClosed) throw closedError();
    return warmUp(keys, limits, (key) => {
      const run = (context: LoadContext): unknown => load(key, context);
      const local = keyOfString(checkKey('warm', key));
      return this.#keyed.get(local, { options: entry, tags: () => tags, run }, limits.signal);
    });
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
    if (!this.#core.isClosed) await this.#core.tier?.whenUp(timeoutMs);
    return this.state;
  }

  stats(): CacheStats {
    return statsOf(this.#core, this.#regions.values());
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#core.isClosed = true;
    this.#regions.clear();
    await this.#core.tier?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

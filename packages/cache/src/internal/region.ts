import type { Milliseconds } from '@hotpath/core';
import { RejectedError, TurnoverMap } from '@hotpath/core';
import { type CacheCore, closedError } from './cache-core.ts';
import { Entry } from './entry.ts';
import { Flight } from './flight.ts';
import { deepClone, deepFreeze } from './hand-out.ts';
import type { HotClock } from './hot-clock.ts';
import { type LocalKey, readableKey, sharedKey } from './key-codec.ts';
import { drawEarlyRefreshMs, type Lifetime } from './lifetime.ts';
import type { Load } from './load.ts';
import { type FoundValue, Lookup } from './lookup.ts';
import type { Marks } from './marks.ts';
import { Memory, type Place } from './memory.ts';
import { Proof } from './proof.ts';
import { readablePrefix, sharedPrefix } from './region-keys.ts';
import { estimateBytes } from './value-size.ts';

/** {@link L1Options} with every default in place. */
export interface ResolvedL1Options {
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly copy: 'freeze' | 'clone' | 'none';
}

/** How far an entry may be used: `early` and `stale` want a refresh, `grace` only stands in for a failed load. */
export type Verdict = 'fresh' | 'early' | 'stale' | 'grace' | 'unproven' | 'dead';

/** An entry, its key, its node in the list and its array slots, measured with a heap snapshot. */
const ENTRY_OVERHEAD_BYTES = 260;
/** Where there is no Redis, nobody else can invalidate anything. */
const ALWAYS = new Proof(Number.POSITIVE_INFINITY);
const NO_TAGS: readonly string[] = Object.freeze([]);

/** The values of one wrapped function (or all keyed values) in this process, and the loads under way. */
export class Region {
  readonly core: CacheCore;
  /** What its keys in Redis start with. */
  readonly prefix: string;
  /** What its keys start with for {@link readableKey}. */
  readonly readablePrefix: string;
  readonly #l1: Memory | undefined;
  readonly #marks: Marks;
  readonly #hotClock: HotClock;
  readonly #copy: ResolvedL1Options['copy'];
  readonly #countsBytes: boolean;
  readonly #flights = new TurnoverMap<LocalKey, Flight>();

  /** `name`: of the wrapped function; empty for the keyed values. */
  constructor(core: CacheCore, name: string, l1: ResolvedL1Options) {
    this.core = core;
    this.prefix = sharedPrefix(name);
    this.readablePrefix = readablePrefix(name);
    this.#marks = core.marks;
    this.#hotClock = core.hotClock;
    this.#copy = l1.copy;
    this.#countsBytes = l1.maxBytes !== Number.POSITIVE_INFINITY;
    if (l1.maxEntries === 0) return;
    this.#l1 = new Memory({
      maxEntries: l1.maxEntries,
      maxBytes: l1.maxBytes,
      onEviction: () => core.counters.l1Evictions++,
    });
  }

  get entries(): number {
    return this.#l1?.size ?? 0;
  }

  get bytes(): number {
    return this.#l1?.bytes ?? 0;
  }

  /** The entry when it may be served as it is. This is the hot path. */
  hit(asked: LocalKey | Place): Entry | undefined {
    const entry = typeof asked === 'object' ? this.#l1?.getAt(asked) : this.#l1?.get(asked);
    if (entry === undefined) return undefined;
    const now = this.#hotClock.now();
    if (now < entry.freshUntilMs && now < entry.proof.untilMs && entry.version === this.#marks.version) {
      return entry;
    }
    return this.judge(entry.key, entry) === 'fresh' ? entry : undefined;
  }

  /** The value of an entry as a promise; shared by all readers where the value may be. */
  promiseOf(entry: Entry): Promise<unknown> {
    if (entry.isCloned) return Promise.resolve(deepClone(entry.value));
    entry.promise ??= Promise.resolve(entry.value);
    return entry.promise;
  }

  valueOf(entry: Entry): unknown {
    return entry.isCloned ? deepClone(entry.value) : entry.value;
  }

  judge(key: LocalKey, entry: Entry): Verdict {
    const { core } = this;
    const now = core.hotClock.exact();
    if (entry.version !== core.marks.version) {
      if (core.marks.invalidates(entry.epoch, entry.tags, () => this.readable(key))) {
        this.#l1?.delete(key);
        return 'dead';
      }
      entry.version = core.marks.version;
    }
    if (now >= entry.graceUntilMs && now >= entry.expiresMs && now >= entry.staleUntilMs) return 'dead';
    if (!this.#isProven(key, entry, now)) return 'unproven';
    if (now < entry.freshUntilMs) return 'fresh';
    if (now < entry.expiresMs) return 'early';
    if (now < entry.staleUntilMs) return 'stale';
    return 'grace';
  }

  #isProven(key: LocalKey, entry: Entry, now: Milliseconds): boolean {
    if (now < entry.proof.untilMs) return true;
    const { core } = this;
    return (
      now < entry.bornMs + core.awayTtlMs && core.tier !== undefined && core.tier.isAway(this.shared(key))
    );
  }

  /** The value for `key`, from wherever it can be had soonest. */
  get(key: LocalKey, load: Load, signal: AbortSignal | undefined): Promise<unknown> {
    const { core } = this;
    if (core.isClosed) return Promise.reject(closedError());
    if (signal?.aborted) return Promise.reject(signal.reason);
    const entry = this.#l1?.peek(key);
    let verdict: Verdict | undefined;
    if (entry !== undefined) {
      verdict = this.judge(key, entry);
      if (verdict === 'fresh' || verdict === 'early' || verdict === 'stale') {
        core.counters.l1Hits++;
        if (verdict === 'stale') core.counters.stale++;
        if (verdict !== 'fresh' && !this.#flights.has(key)) this.#refresh(key, load, entry);
        return this.promiseOf(entry);
      }
    }
    core.counters.l1Misses++;
    let flight = this.#flights.get(key);
    if (flight !== undefined && !this.#isJoinable(flight)) {
      this.detach(flight);
      flight = undefined;
    }
    if (flight === undefined) {
      if (this.#isFull) {
        const message = `${core.maxConcurrentLoads} keys are being loaded, the most that are allowed`;
        return Promise.reject(new RejectedError('HOTPATH_CACHE_LOADS_FULL', message));
      }
      flight = new Flight(this, key, load, verdict === 'grace' ? entry : undefined);
      this.#flights.set(key, flight);
      const joined = flight.join(signal);
      flight.start();
      return joined;
    }
    core.counters.joins++;
    return flight.join(signal);
  }

  /** Loads that were taken off their keys count as well, until they have ended. */
  get #isFull(): boolean {
    const { maxConcurrentLoads } = this.core;
    return this.#flights.size >= maxConcurrentLoads || this.loadsInFlight >= maxConcurrentLoads;
  }

  /** Whether who asks now may wait for it: its value may have been invalidated elsewhere since it began. */
  #isJoinable({ bornMs, proof, sharedKey }: Flight): boolean {
    const { awayTtlMs, hotClock, maxStalenessMs, tier } = this.core;
    if (tier === undefined) return true;
    const now = hotClock.exact();
    if (now < (proof?.untilMs ?? bornMs + maxStalenessMs)) return true;
    return now < bornMs + awayTtlMs && tier.isAway(sharedKey);
  }

  /** The value of `key` without a load: `undefined` when there is none. */
  read(key: LocalKey): Promise<FoundValue | undefined> {
    const { core } = this;
    const entry = this.#l1?.get(key);
    if (entry !== undefined) {
      const verdict = this.judge(key, entry);
      if (verdict === 'fresh' || verdict === 'early' || verdict === 'stale') {
        core.counters.l1Hits++;
        if (verdict === 'stale') core.counters.stale++;
        return Promise.resolve({ value: this.valueOf(entry) });
      }
    }
    core.counters.l1Misses++;
    if (core.tier === undefined) return Promise.resolve(undefined);
    return new Promise((resolve) => core.tier?.read(new Lookup(this, key, resolve)));
  }

  /** A given value as it can be kept: its giver goes on to own, and perhaps to change, what it gave. */
  copyOf(value: unknown): unknown {
    return this.#copy === 'none' ? value : deepClone(value);
  }

  /** Keeps the copy of a value that a caller has given. */
  put(key: LocalKey, value: unknown, tags: readonly string[], lifetime: Lifetime): void {
    const { core } = this;
    if (core.bypassWhenAway && core.tier?.isAway(this.shared(key))) return;
    const bornMs = core.hotClock.exact();
    const proof = core.tier?.proofFor(this.shared(key));
    const origin = { bornMs, epoch: core.marks.version, proof };
    this.store(key, value, this.isCopied(value), tags, lifetime, 0, origin, 0, undefined);
  }

  #refresh(key: LocalKey, load: Load, entry: Entry): void {
    if (this.#isFull) return;
    const flight = new Flight(this, key, load, entry);
    this.#flights.set(key, flight);
    flight.startRefresh();
  }

  /** Continues behind a value that was served stale from Redis. */
  refreshBehind(key: LocalKey, load: Load): void {
    const entry = this.#l1?.peek(key);
    if (this.core.isClosed || this.#flights.has(key)) return;
    const flight = new Flight(this, key, load, entry);
    this.#flights.set(key, flight);
    flight.startRefresh();
  }

  /** Takes `flight` off the key, so that the next call starts anew. */
  land(flight: Flight): void {
    if (this.#flights.get(flight.key) === flight) this.#flights.delete(flight.key);
  }

  /** Takes `flight` off the key while it is still under way: from then on it can't be fenced. */
  detach(flight: Flight): void {
    if (this.#flights.get(flight.key) !== flight) return;
    this.detachments++;
    this.#flights.delete(flight.key);
  }

  /** Whether each reader of this value gets a copy; freezes what need not be copied then. */
  isCopied(value: unknown): boolean {
    if (this.#copy === 'none') return false;
    if (this.#copy === 'clone') return typeof value === 'object' && value !== null;
    return !deepFreeze(value);
  }

  /** Keeps a value in memory; `ageMs` is what it has already lived. */
  store(
    key: LocalKey,
    value: unknown,
    isCloned: boolean,
    tags: readonly string[],
    lifetime: Lifetime,
    ageMs: Milliseconds,
    origin: { readonly bornMs: Milliseconds; readonly epoch: number; readonly proof: Proof | undefined },
    beta: number,
    valueBytes: number | undefined,
  ): Entry | undefined {
    const { core } = this;
    const l1 = this.#l1;
    if (l1 === undefined || core.isClosed) return undefined;
    const now = core.hotClock.now();
    const expiresMs = now + lifetime.freshMs - ageMs;
    const earlyMs = drawEarlyRefreshMs(lifetime.loadMs, beta, core.random);
    const entry = new Entry({
      key,
      value,
      freshUntilMs: Math.floor(expiresMs - Math.min(earlyMs, lifetime.freshMs / 2)),
      expiresMs: Math.floor(expiresMs),
      staleUntilMs: Math.floor(expiresMs + lifetime.staleMs),
      graceUntilMs: Math.floor(expiresMs + lifetime.graceMs),
      bornMs: origin.bornMs,
      proof: origin.proof ?? this.#ownProof(origin.bornMs),
      epoch: origin.epoch,
      version: origin.epoch,
      tags: tags.length === 0 ? NO_TAGS : tags,
      isCloned,
    });
    if (this.#countsBytes) {
      const keyBytes = typeof key === 'string' ? key.length : 0;
      entry.bytes = ENTRY_OVERHEAD_BYTES + keyBytes + (valueBytes ?? estimateBytes(value));
    }
    if (entry.graceUntilMs > now || entry.staleUntilMs > now) l1.set(entry);
    else l1.delete(key);
    return entry;
  }

  /** Without a subscription a value is good for the promised time from when it was asked for. */
  #ownProof(bornMs: Milliseconds): Proof {
    const { maxStalenessMs, tier } = this.core;
    return tier === undefined ? ALWAYS : new Proof(bornMs + maxStalenessMs);
  }

  /** How many loads have begun and not ended. */
  loadsInFlight = 0;
  /** How often a key was dropped: a look-up keeps what it found only when none was meanwhile. */
  drops = 0;
  /** How often loads under way were taken off their keys. */
  detachments = 0;

  /** Drops a value here and keeps a load that is under way from storing the old one. */
  drop(key: LocalKey): void {
    this.drops++;
    this.#l1?.delete(key);
    const flight = this.#flights.get(key);
    if (flight === undefined) return;
    flight.fence();
    this.#flights.delete(key);
  }

  /** Drops this very entry, if it is still there. */
  dropEntry(key: LocalKey, entry: Entry): void {
    if (this.#l1?.peek(key) === entry) this.#l1.delete(key);
  }

  /** Keeps every load under way from being joined; their values are checked against the marks. */
  detachFlights(): void {
    if (this.#flights.size === 0) return;
    this.detachments++;
    this.#flights.clear();
  }

  clear(): void {
    this.#l1?.clear();
  }

  shared(key: LocalKey): string {
    return this.prefix + sharedKey(key);
  }

  readable(key: LocalKey): string {
    return this.readablePrefix + readableKey(key);
  }
}

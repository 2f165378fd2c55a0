import type { Milliseconds } from '@hotpath/core';

/** How long values live and how they are loaded; on the cache for all, on a function or a call for one. */
export interface EntryOptions {
  /** How long a value is fresh, in milliseconds. Default 60,000. 0 means that it is not kept at all. */
  readonly ttlMs?: Milliseconds | undefined;
  /** The same for `null` and `undefined`, which are values like any other. Default: as `ttlMs`. */
  readonly negativeTtlMs?: Milliseconds | undefined;
  /** For how long after that it is still served at once, while one refresh runs behind. Default 0. */
  readonly staleMs?: Milliseconds | undefined;
  /** For how long after its freshness it is served when its load fails or is slow. Default 0. */
  readonly graceMs?: Milliseconds | undefined;
  /** By up to which share a time to live is shortened at random, so that keys do not expire in step. From 0 to 1. Default 0.1. */
  readonly jitterRatio?: number | undefined;
  /** How eagerly a value is refreshed before it expires, in units of its load time; 0 means not. Default 1. */
  readonly earlyRefreshBeta?: number | undefined;
  /** After how long a load is left to go on alone, where a value in its grace can be served. Default: never. */
  readonly softTimeoutMs?: Milliseconds | undefined;
  /** After how long a load fails, in milliseconds. Default 30,000. */
  readonly timeoutMs?: Milliseconds | undefined;
}

/** What a loader may say about the value that it is loading. */
export interface LoadContext {
  /** Aborts when every caller has left, and at the load's timeout. */
  readonly signal: AbortSignal;
  /**
   * The value is fresh for this long, in milliseconds; overrides every `ttlMs`. 0: do not keep it.
   *
   * @throws TypeError when it is no number; RangeError when it is negative or infinite.
   */
  setTtl(ttlMs: Milliseconds): void;
  /** Adds tags to the value. @throws TypeError when one is no string; RangeError when one holds NUL. */
  addTags(...tags: readonly string[]): void;
  /** The value is given to those who wait, and not kept. */
  skip(): void;
}

/** What a single call takes. */
export interface CallOptions {
  /** Lets this caller leave; the load goes on while somebody else waits for it. */
  readonly signal?: AbortSignal | undefined;
}

/** What `getOrSet` takes. */
export interface GetOrSetOptions extends EntryOptions, CallOptions {
  /** By which the value can be invalidated together with others. Without NUL. */
  readonly tags?: readonly string[] | undefined;
}

/** What `set` and `setMany` take. */
export interface SetOptions
  extends Pick<EntryOptions, 'ttlMs' | 'negativeTtlMs' | 'staleMs' | 'graceMs' | 'jitterRatio'> {
  /** By which the values can be invalidated together with others. Without NUL. */
  readonly tags?: readonly string[] | undefined;
}

/** What became of a change. */
export interface ChangeResult {
  /**
   * True: done in Redis; no process reads the old value for longer than `maxStalenessMs` from now.
   * False: done in this process, and queued until Redis is back.
   */
  readonly confirmed: boolean;
}

/** What `wrap` and `cached` take. */
export interface WrapOptions<Args extends readonly unknown[] = readonly unknown[]> extends EntryOptions {
  /** What keeps its keys apart from other functions'. Without ':'. Default: the function's name. */
  readonly name?: string | undefined;
  /** The part of the arguments that the value depends on: a value, or an array of several. Default: all arguments. */
  readonly key?: ((...args: Args) => unknown) | undefined;
  /** Tags of the value for these arguments. */
  readonly tags?: ((...args: Args) => readonly string[]) | undefined;
  /** Its share of memory, where it differs from the cache's. */
  readonly l1?: L1Options | undefined;
}

/** What `ready` takes. */
export interface ReadyOptions {
  /** How long it waits at most, in milliseconds. Default 1,000. */
  readonly timeoutMs?: Milliseconds | undefined;
}

/** What `warm` takes. */
export interface WarmOptions {
  /** How many loads run at once; at least 1. Default 10. */
  readonly concurrency?: number | undefined;
  /** Ends the warm-up; what is loaded by then stays. */
  readonly signal?: AbortSignal | undefined;
}

/** What a warm-up did. */
export interface WarmResult {
  /** How many have a value now. */
  readonly succeeded: number;
  /** How many loads failed. */
  readonly failed: number;
  /** The first error, where there was one. */
  readonly error?: unknown;
}

/**
 * A function behind a cache, made by `wrap`: called as the function itself.
 *
 * All of its methods reject with a TypeError for arguments that can't be made into a key, and with
 * AbortedError (HOTPATH_CLOSED) after `close()`.
 */
export interface CachedFunction<Args extends readonly unknown[], Value> {
  /**
   * The value for these arguments: from memory, from Redis or from the function.
   *
   * Cost of a hit in memory: no allocation. Concurrent calls share one load, also across processes.
   *
   * @throws What the function throws, unless a value in its grace can be served instead.
   * @throws TypeError when the arguments can't be made into a key.
   * @throws TimeoutError (HOTPATH_CACHE_LOAD_TIMEOUT) when the function took longer than `timeoutMs`.
   * @throws RejectedError (HOTPATH_CACHE_LOADS_FULL) when `maxConcurrentLoads` keys are being loaded.
   * @throws AbortedError (HOTPATH_CLOSED) after `close()`.
   */
  (...args: Args): Promise<Value>;
  /** The name that its keys carry. */
  readonly cacheName: string;
  /** The value in memory if it may be served now; never waits, never loads. Counts as no hit. */
  peek(...args: Args): Value | undefined;
  /**
   * As calling it, with options for this call.
   *
   * @throws The signal's reason, untouched; else as calling it does.
   */
  with(options: CallOptions, ...args: Args): Promise<Value>;
  /**
   * The values for many calls' arguments, in their order: one round trip for all that Redis has (two from 41 on).
   *
   * @throws As calling it does, for the first that fails; the others go on.
   */
  many(calls: Iterable<Args>): Promise<Value[]>;
  /** Stores a value as if it had been loaded, and makes the other processes drop theirs. Never rejects because of Redis. One round trip. */
  set(args: Args, value: Value): Promise<ChangeResult>;
  /** Drops the value for these arguments, everywhere. Never rejects because of Redis. One round trip. */
  invalidate(...args: Args): Promise<ChangeResult>;
  /** Drops all values of this function, everywhere. One round trip. */
  invalidateAll(): Promise<ChangeResult>;
  /** Loads what is missing, `concurrency` at once, and counts what failed instead of rejecting. @throws The signal's reason, untouched. */
  warm(calls: Iterable<Args>, options?: WarmOptions): Promise<WarmResult>;
}

/** How values are kept in memory. */
export interface L1Options {
  /** How many values each wrapped function, and the keyed values together, may hold. Default 10,000. */
  readonly maxEntries?: number | undefined;
  /** How many bytes they may take, keys and bookkeeping included, by estimate. Default: no such bound. */
  readonly maxBytes?: number | undefined;
  /**
   * Who may change a value: `freeze` (default) makes it immutable, and gives each reader a copy where
   * that can't be done (Date, Map, Set, bytes, class instances); `clone` gives each reader a copy;
   * `none` hands out the same object to all.
   */
  readonly copy?: 'freeze' | 'clone' | 'none' | undefined;
}

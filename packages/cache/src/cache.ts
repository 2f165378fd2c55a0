import type { CacheState } from './events.ts';
import type { CacheStats } from './stats.ts';
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

/** A function that makes the value for a key; what it throws reaches those who asked. */
export type Factory<Value> = (context: LoadContext) => Value | PromiseLike<Value>;

/**
 * A cache in memory and in Redis, made by {@link createCache}.
 *
 * No method rejects, or waits for longer than the deadlines, because of Redis. A wrong argument changes nothing.
 * All that return a promise reject with a TypeError or RangeError for it, and with
 * AbortedError (HOTPATH_CLOSED) after {@link Cache.close}.
 */
export interface Cache extends AsyncDisposable {
  /** The namespace of its keys, with the constitutional hash where one was given. */
  readonly namespace: string;
  /**
   * Puts a function behind the cache: it is called only for arguments whose value is neither in memory nor in Redis.
   *
   * @throws TypeError when the loader is no function, an option is of the wrong kind or unknown, or the name is taken or missing.
   * @throws RangeError when an option is out of its range, or the name holds ':' or NUL.
   */
  wrap<Args extends readonly unknown[], Value>(
    loader: (...args: Args) => Value | PromiseLike<Value>,
    options?: WrapOptions<Args & {}>,
  ): CachedFunction<Args, Value>;
  /**
   * The value of `key`, made by `factory` where there is none.
   *
   * Concurrent calls for a key share one load, also across processes. Round trips: hit in memory 0, in Redis 1, miss 2.
   * `options` count for the load that the call begins, not for one that it joins or a value that is there.
   *
   * @throws What the factory throws, unless a value in its grace can be served instead.
   * @throws TimeoutError (HOTPATH_CACHE_LOAD_TIMEOUT) when the factory took longer than `timeoutMs`.
   * @throws RejectedError (HOTPATH_CACHE_LOADS_FULL) when `maxConcurrentLoads` keys are being loaded.
   * @throws The signal's reason, untouched.
   */
  getOrSet<Value>(key: string, factory: Factory<Value>, options?: GetOrSetOptions): Promise<Value>;
  /** The value of `key`, or `undefined` when there is none (or it is `undefined`: see {@link Cache.has}). Loads nothing. */
  get<Value = unknown>(key: string): Promise<Value | undefined>;
  /** The values of many keys, in their order; `undefined` for those that have none. One round trip. */
  getMany<Value = unknown>(keys: readonly string[]): Promise<(Value | undefined)[]>;
  /** Whether `key` has a value, which may be `undefined`. Costs what {@link Cache.get} does. */
  has(key: string): Promise<boolean>;
  /**
   * Stores a value here and in Redis, and makes the other processes drop theirs; a load under way stores nothing over it.
   *
   * A value that can't be encoded (a cycle, a function) is kept in this process alone; the old one is dropped everywhere.
   * One round trip.
   */
  set(key: string, value: unknown, options?: SetOptions): Promise<ChangeResult>;
  /** As {@link Cache.set}, of many at once, with the same options for all; the last one of a key counts. One round trip for each 1,000 or MiB. */
  setMany(
    entries: Iterable<readonly [key: string, value: unknown]>,
    options?: SetOptions,
  ): Promise<ChangeResult>;
  /** Drops the values of these keys, everywhere. One round trip for each 1,000. */
  delete(...keys: readonly string[]): Promise<ChangeResult>;
  /** Drops every value that carries one of the tags, everywhere. One round trip, O(1) in the number of values. */
  invalidateTags(...tags: readonly string[]): Promise<ChangeResult>;
  /**
   * Drops every value whose key begins with `prefix`, everywhere. One round trip, O(1) in the number of values.
   *
   * A wrapped function's keys are its name, ':' and the argument, `policy:42`; several arguments are encoded, so that only
   * the name can be told by a prefix. At most 256 characters; the empty one is every key's.
   */
  invalidatePrefix(prefix: string): Promise<ChangeResult>;
  /** Drops everything under this namespace, everywhere. One round trip, O(1). */
  clear(): Promise<ChangeResult>;
  /**
   * Loads the keys that have no value yet, `concurrency` at once (default 10), and counts what failed instead of rejecting.
   *
   * @throws The signal's reason, untouched; loads that had begun go on for others who wait for them.
   */
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
   */
  ready(options?: ReadyOptions): Promise<CacheState>;
  /** Its counters and its state, as of now. Cost: O(number of wrapped functions). */
  stats(): CacheStats;
  /**
   * Sends what is under way and, if Redis comes within `hardDeadlineMs`, the invalidations that are queued; then closes
   * its connections. Loads under way reach those who wait for them, and are not kept. Calling it again waits as well.
   */
  close(): Promise<void>;
}

import {
  type Clock,
  describe,
  type Milliseconds,
  type OptionReader,
  optionReader,
  type RandomSource,
  systemClock,
  systemRandom,
} from '@hotpath/core';
import type { ResolvedEntryOptions } from './internal/lifetime.ts';
import type { ResolvedL1Options } from './internal/region.ts';
import type { RedisClient, RedisClusterClient } from './redis-port.ts';
import type { EntryOptions, L1Options } from './types.ts';
import type { ValueCodec } from './value-codec.ts';

/** What {@link createCache} takes. */
export interface CacheOptions extends EntryOptions {
  /** Keeps its keys apart from other caches' in the same Redis; not empty, without braces and NUL. */
  readonly namespace: string;
  /** An ioredis client or cluster (5.4 or later): its options are taken for two connections of our own, it stays yours and untouched, and need not be connected. Without one there is only memory. */
  readonly redis?: RedisClient | RedisClusterClient | undefined;
  /** Becomes part of every key, so that a new constitution starts with nothing. 16 or 64 lower-case hex digits. */
  readonly constitutionalHash?: string | undefined;
  /** How values are kept in memory; for each wrapped function, and for the keyed values together. */
  readonly l1?: L1Options | undefined;
  /** For how long at most an old value is served after a confirmed invalidation, in milliseconds. Default 1,000; at least 20. */
  readonly maxStalenessMs?: Milliseconds | undefined;
  /** What stands in while Redis is away: values in memory (`local`, default), or nothing (`bypass`). */
  readonly whenAway?: 'local' | 'bypass' | undefined;
  /** How long a value in memory is served while Redis is away, in milliseconds from its load. Default `maxStalenessMs`; more gives up that promise meanwhile. */
  readonly awayTtlMs?: Milliseconds | undefined;
  /** A reader never waits longer than this for Redis, in milliseconds; from 1 to 60,000. Default 50. */
  readonly softDeadlineMs?: Milliseconds | undefined;
  /** A command that is not answered within this is given up, and Redis not asked until it answers again; in milliseconds, at least `softDeadlineMs`. Default 200. */
  readonly hardDeadlineMs?: Milliseconds | undefined;
  /** How long a process's lease to load a key stands without being renewed, in milliseconds; from 100 to 3,600,000. Default 3,000. */
  readonly leaseMs?: Milliseconds | undefined;
  /** How long a process waits for another one's load before it loads itself, in milliseconds. Default 5,000. */
  readonly leaseWaitMs?: Milliseconds | undefined;
  /** How many keys, tags and prefixes are kept for repetition, of those that Redis does not have and of those that it has; more become one invalidation of everything. From 1 to 1,000,000. Default 10,000. */
  readonly maxQueuedInvalidations?: number | undefined;
  /** How many tags and prefixes are remembered as invalidated; beyond that the oldest invalidate all that is older. From 1 to 1,000,000. Default 10,000. */
  readonly maxMarks?: number | undefined;
  /** How many keys of one function may be loading at once. Default 100,000. */
  readonly maxConcurrentLoads?: number | undefined;
  /** How values are written to Redis. Default `json`. */
  readonly codec?: 'json' | 'v8' | ValueCodec | undefined;
  /** Values whose encoding has at least this many bytes are compressed. Default 8,192; Infinity: never. */
  readonly compressFromBytes?: number | undefined;
  /** Into how many slots the keys are spread on a Redis Cluster, from 1 to 1,024; the same in every process. A tag, prefix or `clear` is sent to each. Default 16. */
  readonly shards?: number | undefined;
  /** Where time comes from; a virtual one for tests. Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Where chance comes from, for jitter and early refreshes. Default: the system's. */
  readonly random?: RandomSource | undefined;
}

/** {@link CacheOptions} with every default in place. */
export interface ResolvedCacheOptions {
  readonly namespace: string;
  readonly redis: RedisClient | RedisClusterClient | undefined;
  readonly entry: ResolvedEntryOptions;
  readonly l1: ResolvedL1Options;
  readonly maxStalenessMs: Milliseconds;
  readonly whenAway: 'local' | 'bypass';
  readonly awayTtlMs: Milliseconds;
  readonly softDeadlineMs: Milliseconds;
  readonly hardDeadlineMs: Milliseconds;
  readonly leaseMs: Milliseconds;
  readonly leaseWaitMs: Milliseconds;
  readonly maxQueuedInvalidations: number;
  readonly maxMarks: number;
  readonly maxConcurrentLoads: number;
  readonly codec: 'json' | 'v8' | ValueCodec;
  readonly compressFromBytes: number;
  readonly shards: number;
  readonly clock: Clock;
  readonly random: RandomSource;
}

/** What holds for every option that is not given. */
export const CACHE_DEFAULTS: {
  readonly entry: ResolvedEntryOptions;
  readonly l1: ResolvedL1Options;
  readonly maxStalenessMs: Milliseconds;
  readonly softDeadlineMs: Milliseconds;
  readonly hardDeadlineMs: Milliseconds;
  readonly leaseMs: Milliseconds;
  readonly leaseWaitMs: Milliseconds;
  readonly maxQueuedInvalidations: number;
  readonly maxMarks: number;
  readonly maxConcurrentLoads: number;
  readonly compressFromBytes: number;
  readonly shards: number;
} = Object.freeze({
  entry: Object.freeze({
    ttlMs: 60_000,
    negativeTtlMs: 60_000,
    staleMs: 0,
    graceMs: 0,
    jitterRatio: 0.1,
    earlyRefreshBeta: 1,
    softTimeoutMs: Number.POSITIVE_INFINITY,
    timeoutMs: 30_000,
  }),
  l1: Object.freeze({ maxEntries: 10_000, maxBytes: Number.POSITIVE_INFINITY, copy: 'freeze' as const }),
  maxStalenessMs: 1_000,
  softDeadlineMs: 50,
  hardDeadlineMs: 200,
  leaseMs: 3_000,
  leaseWaitMs: 5_000,
  maxQueuedInvalidations: 10_000,
  maxMarks: 10_000,
  maxConcurrentLoads: 100_000,
  compressFromBytes: 8_192,
  shards: 16,
});

/** What a Map can hold. */
const MOST_ENTRIES = 2 ** 24;
const LONGEST_MS = Number.MAX_SAFE_INTEGER;

/**
 * Validates the options of a cache and fills in the defaults.
 *
 * @throws TypeError or RangeError when an option is wrong; the message names it.
 */
export function resolveCacheOptions(options: CacheOptions): ResolvedCacheOptions {
  const owner = 'createCache';
  const read = optionReader(owner, options);
  const name = read.string('namespace', undefined);
  if (name === undefined) throw new TypeError(`${owner}: option 'namespace' is required`);
  if (/[{}\0]/.test(name)) {
    throw new RangeError(`${owner}: option 'namespace' must be without braces, got ${describe(name)}`);
  }
  const hash = read.string('constitutionalHash', undefined);
  if (hash !== undefined && !/^([0-9a-f]{16}|[0-9a-f]{64})$/.test(hash)) {
    throw new RangeError(`${owner}: option 'constitutionalHash' must be 16 or 64 lower-case hex digits`);
  }
  const maxStalenessMs = read.number('maxStalenessMs', CACHE_DEFAULTS.maxStalenessMs, {
    min: 20,
    max: LONGEST_MS,
  });
  const softDeadlineMs = read.number('softDeadlineMs', CACHE_DEFAULTS.softDeadlineMs, {
    min: 1,
    max: 60_000,
  });
  const resolved: ResolvedCacheOptions = {
    namespace: hash === undefined ? name : `${name}@${hash}`,
    redis: readRedis(owner, read),
    entry: readEntryOptions(read, CACHE_DEFAULTS.entry),
    l1: resolveL1Options(`${owner}: l1`, read.any('l1'), CACHE_DEFAULTS.l1),
    maxStalenessMs,
    whenAway: read.oneOf('whenAway', ['local', 'bypass'], 'local'),
    awayTtlMs: read.number('awayTtlMs', maxStalenessMs, { min: 0 }),
    softDeadlineMs,
    hardDeadlineMs: read.number('hardDeadlineMs', Math.max(CACHE_DEFAULTS.hardDeadlineMs, softDeadlineMs), {
      min: softDeadlineMs,
      max: 60_000,
    }),
    leaseMs: read.number('leaseMs', CACHE_DEFAULTS.leaseMs, { min: 100, max: 3_600_000 }),
    leaseWaitMs: read.number('leaseWaitMs', CACHE_DEFAULTS.leaseWaitMs, { min: 0, max: LONGEST_MS }),
    maxQueuedInvalidations: read.integer('maxQueuedInvalidations', CACHE_DEFAULTS.maxQueuedInvalidations, {
      min: 1,
      max: 1_000_000,
    }),
    maxMarks: read.integer('maxMarks', CACHE_DEFAULTS.maxMarks, { min: 1, max: 1_000_000 }),
    maxConcurrentLoads: read.integer('maxConcurrentLoads', CACHE_DEFAULTS.maxConcurrentLoads, { min: 1 }),
    codec: readCodec(owner, read),
    compressFromBytes: read.number('compressFromBytes', CACHE_DEFAULTS.compressFromBytes, { min: 0 }),
    shards: read.integer('shards', CACHE_DEFAULTS.shards, { min: 1, max: 1_024 }),
    clock: read.object<Clock>('clock', systemClock, ['now', 'setTimeout', 'clearTimeout']),
    random: read.function<RandomSource>('random', systemRandom),
  };
  read.end();
  return Object.freeze(resolved);
}

/** Reads what {@link EntryOptions} names; `defaults` fills in the rest. */
export function readEntryOptions(read: OptionReader, defaults: ResolvedEntryOptions): ResolvedEntryOptions {
  const ttlMs = read.number('ttlMs', undefined, { min: 0, max: LONGEST_MS });
  return Object.freeze({
    ttlMs: ttlMs ?? defaults.ttlMs,
    negativeTtlMs: read.number('negativeTtlMs', ttlMs ?? defaults.negativeTtlMs, { min: 0, max: LONGEST_MS }),
    staleMs: read.number('staleMs', defaults.staleMs, { min: 0, max: LONGEST_MS }),
    graceMs: read.number('graceMs', defaults.graceMs, { min: 0, max: LONGEST_MS }),
    jitterRatio: read.number('jitterRatio', defaults.jitterRatio, { min: 0, max: 1 }),
    earlyRefreshBeta: read.number('earlyRefreshBeta', defaults.earlyRefreshBeta, { min: 0, max: 1_000 }),
    softTimeoutMs: read.number('softTimeoutMs', defaults.softTimeoutMs, { min: 0 }),
    timeoutMs: read.number('timeoutMs', defaults.timeoutMs, { min: 0 }),
  });
}

/** Validates what {@link L1Options} names. */
export function resolveL1Options(
  owner: string,
  options: unknown,
  defaults: ResolvedL1Options,
): ResolvedL1Options {
  const read = optionReader(owner, options);
  const maxBytes = read.number('maxBytes', defaults.maxBytes, { min: 0 });
  const resolved: ResolvedL1Options = {
    maxEntries: read.integer('maxEntries', defaults.maxEntries, { min: 0, max: MOST_ENTRIES }),
    maxBytes: maxBytes === Number.POSITIVE_INFINITY ? maxBytes : Math.floor(maxBytes),
    copy: read.oneOf('copy', ['freeze', 'clone', 'none'], defaults.copy),
  };
  read.end();
  return Object.freeze(resolved.maxBytes === 0 ? { ...resolved, maxEntries: 0 } : resolved);
}

function readRedis(owner: string, read: OptionReader): RedisClient | RedisClusterClient | undefined {
  const redis = read.object<RedisClient | RedisClusterClient | undefined>('redis', undefined);
  if (redis === undefined) return undefined;
  const isUsable =
    'isCluster' in redis && redis.isCluster
      ? typeof redis.nodes === 'function'
      : 'duplicate' in redis && typeof redis.duplicate === 'function';
  if (!isUsable) {
    throw new TypeError(
      `${owner}: option 'redis' must be an ioredis client or cluster, got ${describe(redis)}`,
    );
  }
  return redis;
}

function readCodec(owner: string, read: OptionReader): 'json' | 'v8' | ValueCodec {
  const codec = read.any('codec');
  if (codec === undefined) return 'json';
  if (codec === 'json' || codec === 'v8') return codec;
  const { encode, decode } = (codec ?? {}) as Partial<ValueCodec>;
  if (typeof encode !== 'function' || typeof decode !== 'function') {
    throw new TypeError(
      `${owner}: option 'codec' must be 'json', 'v8' or an object with encode() and decode(), got ${describe(codec)}`,
    );
  }
  return codec as ValueCodec;
}

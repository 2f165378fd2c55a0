import {
  type Clock,
  type Milliseconds,
  optionReader,
  type ResolvedOptions,
  systemClock,
} from '@hotpath/core';
import type { RedisScriptPort } from './internal/lease-script.ts';

/** What a limiter does while Redis is lost: refuse, allow, or enforce an even share of the limit by itself. */
export type LostRule = 'closed' | 'open' | 'share';

/** What {@link redisRateLimiter} takes. */
export interface RedisRateLimiterOptions {
  /** An `ioredis` `Redis` or `Cluster`, or anything with its `evalsha` and `eval`. */
  readonly redis: RedisScriptPort;
  /** How much the whole fleet may spend per `perMs` and key, above 0. */
  readonly limit: number;
  /** The time in which `limit` comes back, in milliseconds. Default 1,000. */
  readonly perMs?: Milliseconds | undefined;
  /** How much may be spent at once after a rest; at least 1. Default a tenth of `limit`, at least 1. */
  readonly burst?: number | undefined;
  /** Each call asks Redis: nothing is leased, and the excess is 0. Default false. */
  readonly strict?: boolean | undefined;
  /** How much a node holds of one key at most: the fleet's excess is the number of nodes times this. Default a hundredth of `limit`, rounded down. */
  readonly maxLease?: number | undefined;
  /** What happens while Redis is lost. Default `closed`. */
  readonly onLost?: LostRule | undefined;
  /** How many nodes share the limit; needed for `onLost: 'share'`. */
  readonly nodes?: number | undefined;
  /** How long an answer of Redis may take, in milliseconds. Default 100. */
  readonly timeoutMs?: Milliseconds | undefined;
  /** How long Redis is left alone after three failures in a row, in milliseconds. Default 500. */
  readonly retryLostMs?: Milliseconds | undefined;
  /** Leases that were not used for this long go back, in milliseconds. Default 1,000. */
  readonly idleMs?: Milliseconds | undefined;
  /** How many calls may wait at once, for Redis or for their turn. Default 10,000. */
  readonly maxWaiting?: number | undefined;
  /** How long `execute` waits for its turn, in milliseconds; 0 (default) refuses at once. */
  readonly maxWaitMs?: Milliseconds | undefined;
  /** For how many keys state is kept here. Default 10,000. */
  readonly maxKeys?: number | undefined;
  /** What the keys in Redis begin with. Default `hotpath:rl:`. */
  readonly keyPrefix?: string | undefined;
  /** Its name in events, errors and statistics, and a part of the keys in Redis. Default `redis-rate-limiter`. */
  readonly name?: string | undefined;
  readonly clock?: Clock | undefined;
}

/** {@link RedisRateLimiterOptions} with every default in place. */
export type ResolvedRedisRateLimiterOptions = ResolvedOptions<RedisRateLimiterOptions>;

/**
 * Validates the options of a limiter on Redis and fills in the defaults.
 *
 * @example
 * resolveRedisRateLimiterOptions({ redis: new Redis(), limit: 1_000 }).maxLease; // 10
 *
 * @throws TypeError or RangeError when an option, or a pair of them, is wrong.
 */
export function resolveRedisRateLimiterOptions(
  options: RedisRateLimiterOptions,
): ResolvedRedisRateLimiterOptions {
  const owner = 'redisRateLimiter';
  const read = optionReader(owner, options);
  const largest = Number.MAX_SAFE_INTEGER;
  const redis = read.object<RedisScriptPort | undefined>('redis', undefined, ['evalsha', 'eval']);
  if (redis === undefined)
    throw new TypeError(`${owner}: option 'redis' must be a Redis client, got undefined`);
  const limit = read.number('limit', undefined, { min: 1e-9, max: 1e12 });
  if (limit === undefined) throw new TypeError(`${owner}: option 'limit' must be a number, got undefined`);
  const onLost = read.oneOf('onLost', ['closed', 'open', 'share'], 'closed');
  if (onLost === 'share' && options.nodes === undefined) {
    throw new TypeError(`${owner}: option 'onLost' "share" needs option 'nodes'`);
  }
  if (options.strict === true && options.maxLease !== undefined) {
    throw new TypeError(`${owner}: option 'strict' excludes 'maxLease', got both`);
  }
  const strict = read.boolean('strict', false);
  const maxLease = read.integer('maxLease', Math.floor(limit / 100), { min: 0, max: 1e12 });
  const resolved: ResolvedRedisRateLimiterOptions = {
    redis,
    limit,
    perMs: read.number('perMs', 1_000, { min: 1e-3, max: largest }),
    burst: read.number('burst', Math.max(1, limit / 10), { min: 1, max: 1e12 }),
    strict,
    maxLease: strict ? 0 : maxLease,
    onLost,
    nodes: read.integer('nodes', 1, { min: 1, max: 1_000_000 }),
    timeoutMs: read.number('timeoutMs', 100, { min: 1, max: largest }),
    retryLostMs: read.number('retryLostMs', 500, { min: 1, max: largest }),
    idleMs: read.number('idleMs', 1_000, { min: 10, max: largest }),
    maxWaiting: read.integer('maxWaiting', 10_000, { min: 1 }),
    maxWaitMs: read.number('maxWaitMs', 0, { min: 0 }),
    maxKeys: read.integer('maxKeys', 10_000, { min: 1, max: 10_000_000 }),
    keyPrefix: read.string('keyPrefix', 'hotpath:rl:'),
    name: read.string('name', 'redis-rate-limiter'),
    clock: read.object<Clock>('clock', systemClock, ['now', 'setTimeout', 'clearTimeout']),
  };
  read.end();
  return Object.freeze(resolved);
}

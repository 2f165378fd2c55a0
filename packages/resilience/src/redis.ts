export type { RedisScriptPort } from './internal/lease-script.ts';
export type { DistributedAdmission } from './internal/lease-take.ts';
export {
  type RedisRateLimiter,
  type RedisRateLimiterError,
  type RedisRateLimiterStats,
  redisRateLimiter,
} from './redis-rate-limiter.ts';
export {
  type LostRule,
  type RedisRateLimiterOptions,
  type ResolvedRedisRateLimiterOptions,
  resolveRedisRateLimiterOptions,
} from './redis-rate-limiter-options.ts';

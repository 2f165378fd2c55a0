export type { RedisScriptPort } from './internal/lease-script.ts';
export type { DistributedAdmission } from './internal/lease-take.ts';
export { redisRateLimiter } from './redis-rate-limiter.ts';
export {
  type LostRule,
  type RedisRateLimiterOptions,
  type ResolvedRedisRateLimiterOptions,
  resolveRedisRateLimiterOptions,
} from './redis-rate-limiter-options.ts';
export type {
  RedisRateLimiter,
  RedisRateLimiterError,
  RedisRateLimiterStats,
} from './redis-rate-limiter-types.ts';

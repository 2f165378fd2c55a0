export { type AdaptiveLimit, type AdaptiveLimitOptions, adaptiveLimit } from './adaptive-limit.ts';
export { type Backoff, type ExponentialBackoffOptions, exponentialBackoff } from './backoff.ts';
export { type Bulkhead, type BulkheadOptions, bulkhead } from './bulkhead.ts';
export { type ChaosOptions, type ChaosPolicy, chaos } from './chaos.ts';
export { circuitBreaker } from './circuit-breaker.ts';
export {
  CIRCUIT_BREAKER_DEFAULTS,
  type CircuitBreakerOptions,
  type ResolvedCircuitBreakerOptions,
  resolveCircuitBreakerOptions,
  type Verdict,
} from './circuit-options.ts';
export type {
  CircuitBreaker,
  CircuitBreakerError,
  CircuitBreakerStats,
  CircuitSnapshot,
  CircuitState,
  Permit,
} from './circuit-types.ts';
export { classifyError } from './classify-error.ts';
export type {
  ChaosEvent,
  CircuitStateEvent,
  FallbackEvent,
  HedgeEvent,
  LimitEvent,
  LimiterStoreEvent,
  RejectedEvent,
  RetryEvent,
} from './events.ts';
export { type FallbackOptions, type FallbackPolicy, fallback } from './fallback.ts';
export { type HedgeOptions, type HedgePolicy, hedge } from './hedge.ts';
export type { Admission } from './internal/gcra.ts';
export { type LoadShedOptions, type LoadShedPolicy, loadShed } from './load-shed.ts';
export { type Pipeline, type PipelineError, type PipelineStats, pipeline } from './pipeline.ts';
export type {
  ExecuteOptions,
  Outcome,
  Policy,
  PolicyContext,
  PolicyError,
  PolicyValue,
  Work,
} from './policy.ts';
export { parseRetryAfter, type RateLimitHeaders, rateLimitHeaders } from './rate-limit-headers.ts';
export { rateLimiter } from './rate-limiter.ts';
export { RATE_LIMITER_DEFAULTS, type RateLimiterOptions } from './rate-limiter-options.ts';
export type {
  AcquireOptions,
  RateLimiter,
  RateLimiterError,
  RateLimiterStats,
} from './rate-limiter-types.ts';
export { type Registry, type RegistryOptions, registry } from './registry.ts';
export { isRetryable, type RetryOptions, type RetryPolicy, retry } from './retry.ts';
export { type Reservation, type RetryBudget, type RetryBudgetOptions, retryBudget } from './retry-budget.ts';
export { type TimeoutOptions, type TimeoutPolicy, type TimeoutPolicyError, timeout } from './timeout.ts';

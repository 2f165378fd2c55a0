import {
  type Clock,
  type Milliseconds,
  optionReader,
  type ResolvedOptions,
  systemClock,
} from '@hotpath/core';

/** What {@link rateLimiter} takes. */
export interface RateLimiterOptions {
  /** How much may be spent per `perMs`, above 0; fractions are allowed. */
  readonly limit: number;
  /** The time in which `limit` comes back, in milliseconds. Default 1,000. */
  readonly perMs?: Milliseconds | undefined;
  /** How much may be spent at once after a rest; at least 1. Default 1: an even pace. */
  readonly burst?: number | undefined;
  /** How long `execute` waits for its turn, in milliseconds; 0 (default) refuses at once. */
  readonly maxWaitMs?: Milliseconds | undefined;
  /** How many may wait at once, over all keys. Default 1,000. */
  readonly maxWaiting?: number | undefined;
  /** For how many keys state is kept. Default 10,000; where it is full, idle keys go first. */
  readonly maxKeys?: number | undefined;
  /** Its name in events, errors and statistics. Default `rate-limiter`. */
  readonly name?: string | undefined;
  readonly clock?: Clock | undefined;
}

/** {@link RateLimiterOptions} with every default in place. */
export type ResolvedRateLimiterOptions = ResolvedOptions<RateLimiterOptions>;

/** The defaults of {@link RateLimiterOptions}. */
export const RATE_LIMITER_DEFAULTS: Omit<ResolvedRateLimiterOptions, 'limit' | 'clock'> = Object.freeze({
  perMs: 1_000,
  burst: 1,
  maxWaitMs: 0,
  maxWaiting: 1_000,
  maxKeys: 10_000,
  name: 'rate-limiter',
});

/**
 * Validates the options of a limiter and fills in the defaults.
 *
 * @throws TypeError or RangeError when an option is wrong.
 */
export function resolveRateLimiterOptions(options: RateLimiterOptions): ResolvedRateLimiterOptions {
  const read = optionReader('rateLimiter', options);
  const defaults = RATE_LIMITER_DEFAULTS;
  const largest = Number.MAX_SAFE_INTEGER;
  const resolved: ResolvedRateLimiterOptions = {
    limit: requiredLimit(read.number('limit', undefined, { min: 1e-9, max: largest })),
    perMs: read.number('perMs', defaults.perMs, { min: 1e-3, max: largest }),
    burst: read.number('burst', defaults.burst, { min: 1, max: largest }),
    maxWaitMs: read.number('maxWaitMs', defaults.maxWaitMs, { min: 0 }),
    maxWaiting: read.integer('maxWaiting', defaults.maxWaiting, { min: 0 }),
    maxKeys: read.integer('maxKeys', defaults.maxKeys, { min: 1, max: 10_000_000 }),
    name: read.string('name', defaults.name),
    clock: read.object<Clock>('clock', systemClock, ['now', 'setTimeout', 'clearTimeout']),
  };
  read.end();
  return Object.freeze(resolved);
}

function requiredLimit(limit: number | undefined): number {
  if (limit === undefined) throw new TypeError("rateLimiter: option 'limit' must be a number, got undefined");
  return limit;
}

import type { AbortedError, Milliseconds, RejectedError } from '@hotpath/core';
import type { Admission } from './internal/gcra.ts';
import type { Policy } from './policy.ts';

/** How a rate limiter may end a call. */
export type RateLimiterError =
  | RejectedError<'HOTPATH_RATE_LIMITED' | 'HOTPATH_RATE_QUEUE_FULL'>
  | AbortedError<'HOTPATH_CLOSED'>;

/** What {@link RateLimiter.acquire} takes. */
export interface AcquireOptions {
  /** Whom to count it for; absent: the limiter as a whole. */
  readonly key?: string | undefined;
  /** How much to spend. Default 1. */
  readonly cost?: number | undefined;
  /** Who goes first, from 0 to 9. Default 5. */
  readonly priority?: number | undefined;
  /** How long to wait at most, in milliseconds. Default: as long as it takes. */
  readonly deadlineMs?: Milliseconds | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Counters of a limiter since it was made, and who waits at present. */
export interface RateLimiterStats {
  readonly kind: 'rate-limiter';
  readonly name: string;
  readonly allowedTotal: number;
  readonly refusedTotal: number;
  /** Of those allowed, how many waited. */
  readonly waitedTotal: number;
  /** Waiters that left: by abort, deadline or close. */
  readonly leftTotal: number;
  readonly waiting: number;
  readonly keys: number;
  /** Keys that were dropped for want of room although they were not idle: raise `maxKeys` when it grows. */
  readonly evictedActiveTotal: number;
}

/** Spreads calls over time: at most `burst + T * limit / perMs` in any interval T, for each key. */
export interface RateLimiter extends Policy<RateLimiterError> {
  readonly kind: 'rate-limiter';
  /**
   * Spends `cost` for `key` now, or says when that may be. Never waits, and never overtakes who does.
   *
   * Cost: one look-up, one small object.
   * @throws RangeError when `cost` is not a number above 0.
   */
  tryAcquire(cost?: number, key?: string): Admission;
  /**
   * Spends as soon as it may, in the order of priority and arrival.
   *
   * @throws RejectedError (HOTPATH_RATE_LIMITED) at once when that would not be within `deadlineMs`, going by
   * those who wait before it, or never be; at `deadlineMs` where more urgent ones came meanwhile.
   * @throws RejectedError (HOTPATH_RATE_QUEUE_FULL) when `maxWaiting` wait already.
   * @throws AbortedError (HOTPATH_CLOSED) when the limiter is closed.
   * @throws The signal's reason, untouched.
   */
  acquire(options?: AcquireOptions): Promise<Admission>;
  stats(): RateLimiterStats;
}

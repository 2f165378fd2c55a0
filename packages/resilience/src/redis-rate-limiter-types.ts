import type { AbortedError, RejectedError } from '@hotpath/core';
import type { DistributedAdmission } from './internal/lease-take.ts';
import type { Policy } from './policy.ts';
import type { AcquireOptions } from './rate-limiter-types.ts';

/** How a limiter on Redis may end a call. */
export type RedisRateLimiterError =
  | RejectedError<'HOTPATH_RATE_LIMITED' | 'HOTPATH_RATE_QUEUE_FULL'>
  | AbortedError<'HOTPATH_CLOSED'>;

/** Counters of a limiter on Redis since it was made, and what it holds. */
export interface RedisRateLimiterStats {
  readonly kind: 'redis-rate-limiter';
  readonly name: string;
  readonly allowedTotal: number;
  readonly refusedTotal: number;
  /** Answers that crossed no network: out of a lease, or by a refusal that still held. */
  readonly localTotal: number;
  /** Runs of the script that were answered, and those that were not. */
  readonly scriptsTotal: number;
  readonly scriptFailuresTotal: number;
  readonly leasedTotal: number;
  readonly returnedTotal: number;
  /** Answers by the rule for a lost Redis. */
  readonly lostTotal: number;
  /** Whether Redis counts as lost at present. */
  readonly lost: boolean;
  readonly waiting: number;
  readonly keys: number;
}

/** A rate limiter for a whole fleet, on one Redis (or a Cluster). */
export interface RedisRateLimiter extends Policy<RedisRateLimiterError> {
  readonly kind: 'redis-rate-limiter';
  /**
   * Spends `cost` for `key`, or says when that may be; waits for Redis' answer only, and mostly not even for that.
   *
   * In any interval T the fleet spends at most `burst + T * limit / perMs + nodes * maxLease` a key,
   * a call that Redis decides counting from the moment it decides. Never
   * rejects for Redis' sake: `decidedBy` says when the rule for a lost one answered.
   *
   * @throws RangeError when `cost` is not a number above 0.
   * @throws AbortedError (HOTPATH_CLOSED) when the limiter is closed.
   * @throws The signal's reason, untouched.
   */
  tryAcquire(cost?: number, key?: string, signal?: AbortSignal): Promise<DistributedAdmission>;
  /**
   * Spends as soon as it may; on this node in the order of priority and arrival.
   *
   * @throws RejectedError (HOTPATH_RATE_LIMITED) when that is not within `deadlineMs`, or never.
   * @throws RejectedError (HOTPATH_RATE_QUEUE_FULL) when `maxWaiting` wait already.
   * @throws As `tryAcquire`.
   */
  acquire(options?: AcquireOptions): Promise<DistributedAdmission>;
  stats(): RedisRateLimiterStats;
  /** Refuses further calls, gives back what is leased, and resolves when Redis has it or is too slow. */
  close(): Promise<void>;
}

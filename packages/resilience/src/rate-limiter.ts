import { createTimerWheel, describe, type Milliseconds, type TimerWheel } from '@hotpath/core';
import { BasePolicy, closedError } from './internal/base-policy.ts';
import { type Admission, Gcra } from './internal/gcra.ts';
import { KeyTable } from './internal/key-table.ts';
import { limited, queueFull, wrongArgument, wrongCost } from './internal/limiter-errors.ts';
import { LimiterBucket, LimiterWaiter } from './internal/limiter-queue.ts';
import { CallScope, type Scope } from './internal/scope.ts';
import { type TimeSource, timeSource } from './internal/turn-clock.ts';
import { DEFAULT_PRIORITY, LAST_PRIORITY, PRIORITIES } from './internal/waiting-room.ts';
import type { Step } from './policy.ts';
import {
  type RateLimiterOptions,
  type ResolvedRateLimiterOptions,
  resolveRateLimiterOptions,
} from './rate-limiter-options.ts';
import type {
  AcquireOptions,
  RateLimiter,
  RateLimiterError,
  RateLimiterStats,
} from './rate-limiter-types.ts';

class GcraRateLimiter extends BasePolicy<RateLimiterError> implements RateLimiter {
  readonly kind = 'rate-limiter';
  readonly options: ResolvedRateLimiterOptions;
  readonly #gcra: Gcra;
  readonly #time: TimeSource;
  readonly #keys: KeyTable<LimiterBucket>;
  readonly #whole = new LimiterBucket();
  readonly #withWaiters = new Set<LimiterBucket>();
  #wheel: TimerWheel | undefined;
  #waiting = 0;
  #closed = false;
  #allowedTotal = 0;
  #refusedTotal = 0;
  #waitedTotal = 0;
  #leftTotal = 0;

  constructor(options: ResolvedRateLimiterOptions) {
    super(options.name);
    this.options = options;
    this.#gcra = new Gcra(options.limit, options.perMs, options.burst);
    this.#time = timeSource(options.clock);
    this.#keys = new KeyTable(options.maxKeys);
  }

  tryAcquire(cost = 1, key?: string): Admission {
    if (typeof cost !== 'number' || !(cost > 0)) throw wrongCost('rateLimiter', cost);
    const nowMs = this.#time.now();
    const bucket = key === undefined ? this.#whole : this.#bucketOf(key, nowMs);
    const admission =
      bucket.waiters === undefined && !this.#closed
        ? this.#gcra.take(bucket, cost, nowMs)
        : this.#refusal(bucket, cost, nowMs);
    if (admission.allowed) this.#allowedTotal++;
    else this.#refuse(key, admission.retryAfterMs);
    return admission;
  }

  /** What is left may be there, but others wait for it, or the limiter is closed. */
  #refusal(bucket: LimiterBucket, cost: number, nowMs: Milliseconds): Admission {
    const costAhead = this.#closed
      ? Number.POSITIVE_INFINITY
      : (bucket.waiters?.costAhead(LAST_PRIORITY) ?? 0);
    return this.#gcra.refuse(bucket, cost, costAhead, nowMs);
  }

  acquire(options: AcquireOptions = {}): Promise<Admission> {
    if (typeof options !== 'object' || options === null) {
      return Promise.reject(
        new TypeError(`rateLimiter: acquire takes an object of options, got ${describe(options)}`),
      );
    }
    const {
      key,
      cost = 1,
      priority = DEFAULT_PRIORITY,
      deadlineMs = Number.POSITIVE_INFINITY,
      signal,
    } = options;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (typeof deadlineMs !== 'number' || !(deadlineMs >= 0))
      return Promise.reject(wrongArgument('rateLimiter', 'deadlineMs', 'a number of at least 0', deadlineMs));
    if (signal === undefined) return this.#acquire(key, cost, priority, deadlineMs, undefined);
    try {
      return this.#acquire(key, cost, priority, deadlineMs, new CallScope(options));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  stats(): RateLimiterStats {
    return {
      kind: 'rate-limiter',
      name: this.name,
      allowedTotal: this.#allowedTotal,
      refusedTotal: this.#refusedTotal,
      waitedTotal: this.#waitedTotal,
      leftTotal: this.#leftTotal,
      waiting: this.#waiting,
      keys: this.#keys.size,
      evictedActiveTotal: this.#keys.evictedActive,
    };
  }

  close(): Promise<void> {
    this.#closed = true;
    for (const bucket of this.#withWaiters) {
      for (let waiter = bucket.waiters?.peek(); waiter !== undefined; waiter = bucket.waiters?.peek()) {
        this.#dismiss(waiter, closedError('rate limiter', this.name));
      }
    }
    return Promise.resolve();
  }

  _compile(next: Step): Step {
    const { maxWaitMs } = this.options;
    return (work, scope) => {
      const { key, cost = 1, priority = DEFAULT_PRIORITY } = scope.options;
      if (maxWaitMs === 0) {
        if (typeof cost !== 'number' || !(cost > 0)) return Promise.reject(wrongCost('rateLimiter', cost));
        if (this.#closed) return Promise.reject(scope.refuse(closedError('rate limiter', this.name)));
        const admission = this.tryAcquire(cost, key);
        if (admission.allowed) return next(work, scope);
        return Promise.reject(scope.refuse(limited(this.name, admission.retryAfterMs)));
      }
      const leftMs = Math.min(maxWaitMs, scope.deadlineMs - this.options.clock.now());
      return this.#acquire(key, cost, priority, leftMs, scope).then(() => {
        // It may have been aborted between its admission and its turn.
        if (scope.aborted) throw scope.reason;
        return next(work, scope);
      });
    };
  }

  #acquire(
    key: string | undefined,
    cost: number,
    priority: number,
    patienceMs: Milliseconds,
    scope: Scope | undefined,
  ): Promise<Admission> {
    if (typeof cost !== 'number' || !(cost > 0)) return Promise.reject(wrongCost('rateLimiter', cost));
    if (!(Number.isInteger(priority) && priority >= 0 && priority < PRIORITIES)) {
      return Promise.reject(wrongArgument('rateLimiter', 'priority', 'a whole number from 0 to 9', priority));
    }
    if (scope?.aborted) return Promise.reject(scope.reason);
    if (this.#closed) return this.#reject(scope, closedError('rate limiter', this.name));
    const nowMs = this.#time.now();
    const bucket = key === undefined ? this.#whole : this.#bucketOf(key, nowMs);
    if (bucket.waiters === undefined) {
      const admission = this.#gcra.take(bucket, cost, nowMs);
      if (admission.allowed) {
        this.#allowedTotal++;
        return Promise.resolve(admission);
      }
    }
    const waitMs = this.#gcra.waitMs(bucket, cost + (bucket.waiters?.costAhead(priority) ?? 0), nowMs);
    const never = cost > this.options.burst;
    if (never || waitMs > patienceMs || patienceMs <= 0) {
      const retryAfterMs = never ? Number.POSITIVE_INFINITY : waitMs;
      this.#refuse(key, retryAfterMs);
      return this.#reject(scope, limited(this.name, retryAfterMs));
    }
    if (this.#waiting >= this.options.maxWaiting) {
      this.#refuse(key, waitMs, 'HOTPATH_RATE_QUEUE_FULL');
      return this.#reject(scope, queueFull(this.name, this.options.maxWaiting, waitMs));
    }
    return this.#wait(bucket, key, cost, priority, patienceMs, scope);
  }

  #wait(
    bucket: LimiterBucket,
    key: string | undefined,
    cost: number,
    priority: number,
    patienceMs: Milliseconds,
    scope: Scope | undefined,
  ): Promise<Admission> {
    return new Promise((resolve, reject) => {
      const waiter = new LimiterWaiter(bucket, priority, cost, scope, resolve, reject, {
        onDeadline: (late) => {
          // Its turn may have come at this very moment.
          this.#admitNext(bucket);
          if (!late._queued) return;
          const retryAfterMs = this.#gcra.waitMs(bucket, cost, this.options.clock.now());
          this.#refuse(key, retryAfterMs);
          const error = limited(this.name, retryAfterMs);
          this.#dismiss(late, late.scope === undefined ? error : late.scope.refuse(error));
        },
        onAbort: (left, reason) => this.#dismiss(left, reason),
      });
      bucket.enter(waiter);
      this.#withWaiters.add(bucket);
      this.#waiting++;
      scope?.addListener(waiter);
      if (patienceMs !== Number.POSITIVE_INFINITY) {
        this.#wheel ??= createTimerWheel({ clock: this.options.clock, tickMs: 1 });
        this.#wheel.arm(waiter, patienceMs);
      }
      this.#schedule(bucket);
    });
  }

  /** Wakes up when the one who is next may go. */
  #schedule(bucket: LimiterBucket): void {
    const { clock } = this.options;
    clock.clearTimeout(bucket.timer);
    const head = bucket.waiters?.peek();
    if (head === undefined) {
      bucket.timer = undefined;
      bucket.waiters = undefined;
      this.#withWaiters.delete(bucket);
      return;
    }
    bucket.timer = clock.setTimeout(
      () => this.#admitNext(bucket),
      this.#gcra.waitMs(bucket, head.cost, clock.now()),
    );
  }

  #admitNext(bucket: LimiterBucket): void {
    for (let head = bucket.waiters?.peek(); head !== undefined; head = bucket.waiters?.peek()) {
      const admission = this.#gcra.take(bucket, head.cost, this.options.clock.now());
      if (!admission.allowed) break;
      this.#allowedTotal++;
      this.#waitedTotal++;
      this.#letGo(head);
      head.resolve(admission);
    }
    this.#schedule(bucket);
  }

  #dismiss(waiter: LimiterWaiter, reason: unknown): void {
    const wasNext = waiter.bucket.waiters?.peek() === waiter;
    if (!this.#letGo(waiter)) return;
    this.#leftTotal++;
    waiter.reject(reason);
    if (wasNext) this.#schedule(waiter.bucket);
  }

  #letGo(waiter: LimiterWaiter): boolean {
    if (waiter.bucket.waiters?.leave(waiter) !== true) return false;
    this.#waiting--;
    this.#wheel?.disarm(waiter);
    waiter.scope?.removeListener(waiter);
    return true;
  }

  #bucketOf(key: string, nowMs: Milliseconds): LimiterBucket {
    const known = this.#keys.get(key);
    if (known !== undefined) return known;
    const bucket = new LimiterBucket();
    // Where everything that was looked at is waited upon, the new key shares the limiter's own bucket: bounded, and never more than allowed.
    return this.#keys.add(key, bucket, nowMs) ? bucket : this.#whole;
  }

  #refuse(
    key: string | undefined,
    retryAfterMs: Milliseconds,
    code: 'HOTPATH_RATE_LIMITED' | 'HOTPATH_RATE_QUEUE_FULL' = 'HOTPATH_RATE_LIMITED',
  ): void {
    this.#refusedTotal++;
    this.tellRejected(code, key, retryAfterMs);
  }

  #reject(scope: Scope | undefined, error: RateLimiterError): Promise<never> {
    return Promise.reject(scope === undefined ? error : scope.refuse(error));
  }
}

/**
 * Makes a rate limiter: `limit` per `perMs`, for each key, with `burst` at once after a rest.
 *
 * @example
 * const limiter = rateLimiter({ limit: 100, perMs: 1_000, burst: 20 });
 * limiter.tryAcquire(1, 'client-7').allowed; // true
 *
 * @throws RejectedError (HOTPATH_RATE_LIMITED, HOTPATH_RATE_QUEUE_FULL) from `execute`, when it refuses.
 * @throws AbortedError (HOTPATH_CLOSED) from `execute`, after `close()`.
 * @throws TypeError or RangeError when an option is wrong.
 */
export function rateLimiter(options: RateLimiterOptions): RateLimiter {
  return new GcraRateLimiter(resolveRateLimiterOptions(options));
}

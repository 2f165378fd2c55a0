import type { Milliseconds } from '@hotpath/core';
import { type CircuitBreaker, circuitBreaker, type RetryBudget, retryBudget } from '@hotpath/resilience';
import type { ResolvedHttpClientOptions } from '../options.ts';
import { HTTP_RETRY } from '../retry.ts';
import type { Attempt } from './attempt.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import { OriginLimiter } from './origin-limiter.ts';
import type { OriginPool } from './origin-pool.ts';

/** What an ended try says about its origin. */
export type Verdict = 'success' | 'failure' | 'ignored';

/** What a client knows of one origin besides its connections: its health, its limits and its figures. */
export class Origin {
  readonly pool: OriginPool;
  readonly key: string;
  readonly breaker: CircuitBreaker | undefined;
  readonly budget: RetryBudget;
  readonly limiter: OriginLimiter | undefined;
  readonly latency: LatencyHistogram = new LatencyHistogram();
  /** Requests under way that are meant for it, those that pause before another try included. */
  active = 0;
  retries = 0;
  replays = 0;
  hedges = 0;
  failures = 0;

  constructor(pool: OriginPool, options: ResolvedHttpClientOptions) {
    const { clock, random, breaker, retry, rateLimit } = options;
    this.pool = pool;
    this.key = pool.key;
    const name = `http:${pool.key}`;
    this.breaker = breaker === undefined ? undefined : circuitBreaker({ ...breaker, name, clock, random });
    // Also where the client does not retry: one of its requests may ask for it.
    const { budgetRatio, budgetPerSecond } = retry ?? HTTP_RETRY;
    this.budget = retryBudget({ ratio: budgetRatio, minPerSecond: budgetPerSecond, clock });
    this.limiter = rateLimit === undefined ? undefined : new OriginLimiter(name, rateLimit, clock);
  }

  /** Whether its circuit would let one more request through; while it is half-open that may be none. */
  get isAdmitting(): boolean {
    return this.breaker === undefined || (!this.isRefusing && this.breaker.retryAfterMs === 0);
  }

  /** Whether requests to it would be refused now, those that were let through before too. */
  get isRefusing(): boolean {
    const state = this.breaker?.state;
    return state === 'open' || state === 'isolated';
  }

  /** A try has ended; gives its permit back. */
  conclude({ permit }: Attempt, verdict: Verdict, durationMs: Milliseconds): void {
    if (verdict === 'failure') this.failures++;
    const { breaker } = this;
    if (breaker === undefined) return;
    if (verdict === 'success') breaker.recordSuccess(permit, durationMs);
    else if (verdict === 'failure') breaker.recordFailure(permit, durationMs);
    else breaker.release(permit);
  }

  close(): void {
    this.limiter?.close();
    void this.breaker?.close();
  }
}

import type { Milliseconds } from '@hotpath/core';
import { circuitBreaker } from '../circuit-breaker.ts';
import type { CircuitBreaker } from '../circuit-types.ts';
import { limiterStoreEvents } from '../events.ts';
import type { ResolvedRedisRateLimiterOptions } from '../redis-rate-limiter-options.ts';
import { type TimeoutPolicy, timeout } from '../timeout.ts';
import { type LeaseReply, type LeaseRequest, runLeaseScript } from './lease-script.ts';

const FAILURES_UNTIL_LOST = 3;

/** Redis behind a deadline and a breaker: an answer in time, or none. */
export class LeaseStore {
  readonly #options: ResolvedRedisRateLimiterOptions;
  readonly #unitsPerUs: number;
  readonly #deadline: TimeoutPolicy;
  readonly #breaker: CircuitBreaker;
  /** From the first failure to the next answer. */
  lost = false;
  scriptsTotal = 0;
  failuresTotal = 0;

  constructor(options: ResolvedRedisRateLimiterOptions) {
    const { limit, perMs, clock, name, timeoutMs, retryLostMs } = options;
    this.#options = options;
    this.#unitsPerUs = limit / perMs / 1_000;
    this.#deadline = timeout(timeoutMs, { clock, name });
    this.#breaker = circuitBreaker({
      name,
      consecutiveFailures: FAILURES_UNTIL_LOST,
      openMs: retryLostMs,
      openFactor: 1,
      probes: 1,
      halfOpenMs: 2 * timeoutMs,
      clock,
    });
  }

  /** How long it is worth waiting before Redis is asked again. */
  get retryAfterMs(): Milliseconds {
    return this.#breaker.retryAfterMs ?? this.#options.retryLostMs;
  }

  /** Runs the script once; `undefined` when Redis is lost. Never rejects. */
  async run(
    leaseKey: string,
    asked: Pick<LeaseRequest, 'returned' | 'wanted' | 'costs'>,
  ): Promise<LeaseReply | undefined> {
    const { redis, burst, keyPrefix, name } = this.#options;
    const permit = this.#breaker.tryEnter();
    if (permit === 0) return undefined;
    const request = { key: `${keyPrefix}${name}:${leaseKey}`, unitsPerUs: this.#unitsPerUs, burst, ...asked };
    try {
      const reply = await this.#deadline.execute(() => runLeaseScript(redis, request));
      this.#breaker.recordSuccess(permit);
      this.scriptsTotal++;
      if (this.lost) this.#tell('back', undefined);
      return reply;
    } catch (error) {
      this.#breaker.recordFailure(permit);
      this.failuresTotal++;
      if (!this.lost) this.#tell('lost', error);
      return undefined;
    }
  }

  #tell(state: 'lost' | 'back', error: unknown): void {
    this.lost = state === 'lost';
    if (limiterStoreEvents.hasSubscribers)
      limiterStoreEvents.publish({ name: this.#options.name, state, error });
  }
}

import { type Clock, type Milliseconds, sleep } from '@hotpath/core';
import { RATE_LIMITER_DEFAULTS, type RateLimiter, rateLimiter } from '@hotpath/resilience';
import type { HttpRateLimitOptions } from '../options.ts';

/** One answer must not close an origin for good. */
const LONGEST_PAUSE_MS = 86_400_000;

/** One origin's rate limit, and the pauses that the origin itself asks for. */
export class OriginLimiter {
  readonly #limiter: RateLimiter;
  readonly #clock: Clock;
  readonly #maxWaiting: number;
  #pausing = 0;
  #pausedUntilMs: Milliseconds = Number.NEGATIVE_INFINITY;

  constructor(name: string, options: HttpRateLimitOptions, clock: Clock) {
    this.#limiter = rateLimiter({ ...options, name, clock });
    this.#clock = clock;
    this.#maxWaiting = options.maxWaiting ?? RATE_LIMITER_DEFAULTS.maxWaiting;
  }

  /** Counts one request and returns 0, or says how long it has to wait at least. */
  tryTake(): Milliseconds {
    const pauseMs = this.#pausedUntilMs - this.#clock.now();
    if (pauseMs > 0) return pauseMs;
    const { allowed, retryAfterMs } = this.#limiter.tryAcquire();
    return allowed ? 0 : Math.max(retryAfterMs, 1);
  }

  /** Counts one request as soon as that may be, in the order of priority and arrival. */
  async take(priority: number, deadlineMs: Milliseconds, signal: AbortSignal): Promise<void> {
    const untilMs = this.#clock.now() + deadlineMs;
    if (this.#pausedUntilMs > this.#clock.now()) await this.#pauseOver(signal);
    await this.#limiter.acquire({ priority, deadlineMs: Math.max(0, untilMs - this.#clock.now()), signal });
  }

  /** The origin answered that this was too much, and asks for a pause. */
  pause(forMs: Milliseconds): void {
    const untilMs = this.#clock.now() + Math.min(forMs, LONGEST_PAUSE_MS);
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, untilMs);
  }

  async #pauseOver(signal: AbortSignal): Promise<void> {
    if (this.#pausing >= this.#maxWaiting) throw new Error(`${this.#pausing} requests wait already`);
    this.#pausing++;
    try {
      for (;;) {
        const pauseMs = this.#pausedUntilMs - this.#clock.now();
        if (pauseMs <= 0) return;
        await sleep(pauseMs, { signal, clock: this.#clock });
      }
    } finally {
      this.#pausing--;
    }
  }

  close(): void {
    void this.#limiter.close();
  }
}

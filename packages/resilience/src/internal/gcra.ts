import type { Milliseconds } from '@hotpath/core';

/** What a rate limiter says to one request. */
export interface Admission {
  readonly allowed: boolean;
  /** How much more could be spent at once, in whole units. */
  readonly remaining: number;
  /** Milliseconds until the same request may be allowed: 0 when it was, Infinity when it costs more than the burst or the limiter is closed. */
  readonly retryAfterMs: Milliseconds;
  /** Milliseconds until the whole burst is there again, when nothing is spent meanwhile. */
  readonly resetMs: Milliseconds;
}

/** What is known about one key: when its burst will be whole again. */
export interface Bucket {
  /** The "theoretical arrival time". At or before now, the bucket is full and need not be kept. */
  tatMs: Milliseconds;
}

/** A millionth of a unit: what sums of fractions of a millisecond may be off by. */
const SLACK = 1e-6;

/**
 * The generic cell rate algorithm: a token bucket that is one number.
 *
 * In any interval T it admits at most `burst + T * limit / perMs`.
 * Source: ITU-T I.371; ATM Forum Traffic Management 4.0, section 4.4.2.
 */
export class Gcra {
  /** How long one unit takes to come back. */
  readonly intervalMs: Milliseconds;
  /** How long the whole burst takes to come back. */
  readonly burstMs: Milliseconds;

  constructor(limit: number, perMs: Milliseconds, burst: number) {
    this.intervalMs = perMs / limit;
    this.burstMs = this.intervalMs * burst;
  }

  /** Spends `cost` of `bucket`, when it is there. */
  take(bucket: Bucket, cost: number, nowMs: Milliseconds): Admission {
    const fromMs = bucket.tatMs > nowMs ? bucket.tatMs : nowMs;
    const spentMs = fromMs + cost * this.intervalMs - nowMs;
    const leftMs = this.burstMs - spentMs;
    if (leftMs >= -SLACK * this.intervalMs) {
      bucket.tatMs = nowMs + spentMs;
      return { allowed: true, remaining: this.#units(leftMs), retryAfterMs: 0, resetMs: spentMs };
    }
    return this.#refusal(fromMs - nowMs, cost, -leftMs);
  }

  /** Refuses `cost`, although it may be there, until `costAhead` was spent before it; Infinity: for good. */
  refuse(bucket: Bucket, cost: number, costAhead: number, nowMs: Milliseconds): Admission {
    const usedMs = Math.max(0, bucket.tatMs - nowMs);
    return this.#refusal(
      usedMs,
      cost,
      Math.max(0, usedMs + (costAhead + cost) * this.intervalMs - this.burstMs),
    );
  }

  /** Milliseconds until `cost` is there. */
  waitMs(bucket: Bucket, cost: number, nowMs: Milliseconds): Milliseconds {
    const missingMs = Math.max(bucket.tatMs, nowMs) + cost * this.intervalMs - nowMs - this.burstMs;
    return missingMs > SLACK * this.intervalMs ? missingMs : 0;
  }

  #refusal(usedMs: Milliseconds, cost: number, missingMs: Milliseconds): Admission {
    const possible = cost * this.intervalMs <= this.burstMs * (1 + SLACK);
    return {
      allowed: false,
      remaining: this.#units(this.burstMs - usedMs),
      retryAfterMs: possible ? missingMs : Number.POSITIVE_INFINITY,
      resetMs: usedMs,
    };
  }

  #units(leftMs: Milliseconds): number {
    return leftMs <= 0 ? 0 : Math.floor(leftMs / this.intervalMs + SLACK);
  }
}

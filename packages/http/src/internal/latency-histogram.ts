import type { Milliseconds } from '@hotpath/core';

/** How long requests took; the quantiles are at most 12.5 % too high. */
export interface LatencySummary {
  readonly count: number;
  readonly meanMs: Milliseconds;
  readonly p50Ms: Milliseconds;
  readonly p95Ms: Milliseconds;
  readonly p99Ms: Milliseconds;
  readonly maxMs: Milliseconds;
}

// Eight buckets for each doubling, from 1 µs to about 19 hours: a quantile is at most 12.5 % too high.
const SUB_BITS = 3;
const SUB = 1 << SUB_BITS;
const BUCKETS = 34 * SUB;

function bucketOf(us: number): number {
  if (us < SUB) return us;
  const value = us < 0xffff_ffff ? us >>> 0 : 0xffff_ffff;
  const exponent = 31 - Math.clz32(value) - SUB_BITS;
  return (exponent + 1) * SUB + ((value >>> exponent) & (SUB - 1));
}

function upperUs(bucket: number): number {
  if (bucket < SUB) return bucket;
  const exponent = Math.floor(bucket / SUB) - 1;
  return (SUB + (bucket % SUB) + 1) * 2 ** exponent - 1;
}

/** Counts durations in buckets of a constant relative width; to record one allocates nothing. */
export class LatencyHistogram {
  readonly #buckets = new Uint32Array(BUCKETS);
  #count = 0;
  #sumMs = 0;
  #maxMs = 0;

  record(durationMs: Milliseconds): void {
    const us = durationMs > 0 ? Math.round(durationMs * 1_000) : 0;
    this.#buckets[bucketOf(us)]!++;
    this.#count++;
    this.#sumMs += durationMs;
    if (durationMs > this.#maxMs) this.#maxMs = durationMs;
  }

  get count(): number {
    return this.#count;
  }

  /** The duration that this share of requests did not exceed; 0 while there are none. */
  quantileMs(share: number): Milliseconds {
    const rank = Math.max(1, Math.ceil(this.#count * share));
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#buckets[bucket]!;
      if (seen >= rank) return Math.min(this.#maxMs, upperUs(bucket) / 1_000);
    }
    return 0;
  }

  summary(): LatencySummary {
    return {
      count: this.#count,
      meanMs: this.#count === 0 ? 0 : this.#sumMs / this.#count,
      p50Ms: this.quantileMs(0.5),
      p95Ms: this.quantileMs(0.95),
      p99Ms: this.quantileMs(0.99),
      maxMs: this.#maxMs,
    };
  }
}

import type { Milliseconds } from '@hotpath/core';

/** A distribution of times, in milliseconds; quantiles are exact to about 6 %. */
export interface LatencySummary {
  readonly count: number;
  readonly meanMs: Milliseconds;
  readonly p50Ms: Milliseconds;
  readonly p95Ms: Milliseconds;
  readonly p99Ms: Milliseconds;
  readonly maxMs: Milliseconds;
}

const SUB_BITS = 4;
const SUB_COUNT = 1 << SUB_BITS;
const BUCKETS = (32 - SUB_BITS) * SUB_COUNT;

/**
 * Counts times in buckets that grow with them: 16 to each power of two of microseconds, up to 71 minutes.
 *
 * Source: HDR Histogram (Gil Tene), in its log-linear form.
 */
export class Histogram {
  readonly #counts = new Uint32Array(BUCKETS);
  #count = 0;
  #sumMs = 0;
  #maxMs = 0;

  record(ms: Milliseconds): void {
    const micros = ms < 0 ? 0 : ms * 1000 > 0xffff_ffff ? 0xffff_ffff : (ms * 1000) >>> 0;
    const at = indexOf(micros);
    this.#counts[at] = this.#counts[at]! + 1;
    this.#count++;
    this.#sumMs += ms;
    if (ms > this.#maxMs) this.#maxMs = ms;
  }

  summary(): LatencySummary {
    return {
      count: this.#count,
      meanMs: this.#count === 0 ? 0 : this.#sumMs / this.#count,
      p50Ms: this.#quantile(0.5),
      p95Ms: this.#quantile(0.95),
      p99Ms: this.#quantile(0.99),
      maxMs: this.#maxMs,
    };
  }

  #quantile(ratio: number): Milliseconds {
    const rank = Math.ceil(this.#count * ratio);
    let seen = 0;
    for (let i = 0; i < BUCKETS; i++) {
      seen += this.#counts[i]!;
      if (seen >= rank && seen > 0) return Math.min(upperBound(i) / 1000, this.#maxMs);
    }
    return this.#maxMs;
  }
}

function indexOf(micros: number): number {
  if (micros < SUB_COUNT) return micros;
  const exponent = 31 - Math.clz32(micros);
  return (exponent - SUB_BITS + 1) * SUB_COUNT + ((micros >>> (exponent - SUB_BITS)) & (SUB_COUNT - 1));
}

function upperBound(index: number): number {
  if (index < SUB_COUNT) return index + 1;
  const exponent = Math.floor(index / SUB_COUNT) + SUB_BITS - 1;
  return (SUB_COUNT + (index % SUB_COUNT) + 1) * 2 ** (exponent - SUB_BITS);
}

import type { Milliseconds } from '@hotpath/core';

const BUCKETS = 256;
const LOWEST_MS = 0.01;
/** Each bucket's upper end is this much above the one before: 256 of them reach from 0.01 ms to above 40 minutes. */
const GROWTH = 1.08;
const LOG_GROWTH = Math.log(GROWTH);
/** After so many samples the counts are halved, so that the old ones fade. */
const HALVE_AT = 1_000;

/** What calls took lately, precise to 8 percent; adding and reading are O(1) amortised. */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(BUCKETS);
  #total = 0;

  get samples(): number {
    return this.#total;
  }

  add(durationMs: Milliseconds): void {
    const index = durationMs <= LOWEST_MS ? 0 : Math.ceil(Math.log(durationMs / LOWEST_MS) / LOG_GROWTH);
    this.#counts[Math.min(index, BUCKETS - 1)]!++;
    if (++this.#total >= HALVE_AT) this.#halve();
  }

  /** The upper end of the bucket in which the quantile lies; 0 without samples. */
  quantile(share: number): Milliseconds {
    if (this.#total === 0) return 0;
    const rank = Math.ceil(share * this.#total);
    let seen = 0;
    for (let index = 0; index < BUCKETS; index++) {
      seen += this.#counts[index] as number;
      if (seen >= rank && seen > 0) return LOWEST_MS * GROWTH ** index;
    }
    return LOWEST_MS * GROWTH ** (BUCKETS - 1);
  }

  #halve(): void {
    this.#total = 0;
    for (let index = 0; index < BUCKETS; index++) {
      const half = (this.#counts[index] as number) >>> 1;
      this.#counts[index] = half;
      this.#total += half;
    }
  }
}

import type { Milliseconds, RandomSource } from '@hotpath/core';

/** The pauses between tries that keep failing: doubling from `firstMs` up to `maxMs`, the upper half of each at random. */
export class Backoff {
  readonly #firstMs: Milliseconds;
  readonly #maxMs: Milliseconds;
  readonly #random: RandomSource;
  #failures = 0;

  constructor(firstMs: Milliseconds, maxMs: Milliseconds, random: RandomSource) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  get failures(): number {
    return this.#failures;
  }

  reset(): void {
    this.#failures = 0;
  }

  /** Counts one more failure; returns how long to wait before the next try. */
  next(): Milliseconds {
    const fullMs = Math.min(this.#maxMs, this.#firstMs * 2 ** Math.min(this.#failures, 30));
    this.#failures++;
    return fullMs * (0.5 + 0.5 * this.#random());
  }
}

import type { Milliseconds, RandomSource } from '@hotpath/core';
import { exponentialBackoff } from '@hotpath/resilience';

/** Counts failures in a row, and says how long to pause after each: doubling, the upper half at random. */
export class Backoff {
  readonly #pauseMs: (attempt: number) => Milliseconds;
  #failures = 0;

  constructor(firstMs: Milliseconds, maxMs: Milliseconds, random: RandomSource) {
    this.#pauseMs = exponentialBackoff({ baseMs: firstMs, maxMs, jitter: 'equal', random });
  }

  get failures(): number {
    return this.#failures;
  }

  reset(): void {
    this.#failures = 0;
  }

  /** Counts one more failure; returns how long to wait before the next try. */
  next(): Milliseconds {
    this.#failures++;
    return this.#pauseMs(this.#failures);
  }
}

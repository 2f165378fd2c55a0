import { type Clock, type Milliseconds, optionReader, systemClock } from '@hotpath/core';
import { type TimeSource, timeSource } from './internal/turn-clock.ts';

/** What {@link retryBudget} takes. */
export interface RetryBudgetOptions {
  /** How many retries the calls of the window pay for, as a share of them. Default 0.2. */
  readonly ratio?: number | undefined;
  /** Retries that may be made besides, per second, so that a quiet service retries too. Default 10. */
  readonly minPerSecond?: number | undefined;
  /** How long a call pays and a retry counts, in milliseconds. Default 10,000. */
  readonly windowMs?: Milliseconds | undefined;
  readonly clock?: Clock | undefined;
}

/** Counters of a budget since it was made, and its window at present. */
export interface RetryBudgetStats {
  /** Calls and reservations that count at present. */
  readonly calls: number;
  readonly reserved: number;
  /** How many retries may still be reserved now. */
  readonly available: number;
  readonly reservedTotal: number;
  readonly deniedTotal: number;
}

/** One reserved retry: what `tryReserve` gives, to be handed to `release`; 0 is a refusal. */
export type Reservation = number;

/** Bounds retries by the share of traffic they make up; share one among all calls to one dependency. */
export interface RetryBudget {
  /** Counts a call's first try: it pays for a share of a retry. */
  recordCall(): void;
  /** Reserves one retry, before its back-off; 0 when the budget is spent. */
  tryReserve(): Reservation;
  /** Gives back, once, a reservation whose retry was never made; where its window has passed, nothing is left to give. */
  release(reservation: Reservation): void;
  stats(): RetryBudgetStats;
}

const BUCKETS = 10;

class WindowedRetryBudget implements RetryBudget {
  readonly #ratio: number;
  readonly #free: number;
  readonly #bucketMs: Milliseconds;
  readonly #time: TimeSource;
  readonly #callRing = new Uint32Array(BUCKETS);
  readonly #reservedRing = new Uint32Array(BUCKETS);
  #calls = 0;
  #reserved = 0;
  /** Counts the buckets there have been, from 1 on: a reservation is the number of its bucket. */
  #bucket = 1;
  #endMs: Milliseconds;
  #reservedTotal = 0;
  #deniedTotal = 0;

  constructor(ratio: number, free: number, windowMs: Milliseconds, clock: Clock) {
    this.#ratio = ratio;
    this.#free = free;
    this.#bucketMs = windowMs / BUCKETS;
    this.#time = timeSource(clock);
    this.#endMs = this.#time.now() + this.#bucketMs;
  }

  recordCall(): void {
    this.#expire();
    this.#calls++;
    this.#callRing[this.#bucket % BUCKETS]!++;
  }

  tryReserve(): Reservation {
    this.#expire();
    if (this.#available() < 1) {
      this.#deniedTotal++;
      return 0;
    }
    this.#reserved++;
    this.#reservedTotal++;
    this.#reservedRing[this.#bucket % BUCKETS]!++;
    return this.#bucket;
  }

  release(reservation: Reservation): void {
    this.#expire();
    if (!(reservation > this.#bucket - BUCKETS && reservation <= this.#bucket)) return;
    const index = reservation % BUCKETS;
    if ((this.#reservedRing[index] ?? 0) === 0) return;
    this.#reservedRing[index]!--;
    this.#reserved--;
    this.#reservedTotal--;
  }

  stats(): RetryBudgetStats {
    this.#expire();
    return {
      calls: this.#calls,
      reserved: this.#reserved,
      available: Math.max(0, Math.floor(this.#available())),
      reservedTotal: this.#reservedTotal,
      deniedTotal: this.#deniedTotal,
    };
  }

  #available(): number {
    // A hair more, so that five calls at a ratio of 0.2 do pay for one.
    return this.#free + this.#ratio * this.#calls - this.#reserved + 1e-9;
  }

  #expire(): void {
    const nowMs = this.#time.now();
    if (nowMs < this.#endMs) return;
    const passed = Math.floor((nowMs - this.#endMs) / this.#bucketMs) + 1;
    this.#endMs += passed * this.#bucketMs;
    this.#bucket += passed;
    for (let step = 0; step < Math.min(passed, BUCKETS); step++) {
      const index = (this.#bucket - step) % BUCKETS;
      this.#calls -= this.#callRing[index] as number;
      this.#reserved -= this.#reservedRing[index] as number;
      this.#callRing[index] = 0;
      this.#reservedRing[index] = 0;
    }
  }
}

/**
 * Makes a retry budget: in any window at most `ratio` of the calls, and `minPerSecond` besides, are retried.
 *
 * Retries are reserved before they wait, so those in back-off count. Source: Finagle's `RetryBudget`.
 *
 * @example
 * const budget = retryBudget({ ratio: 0.2 });
 * const policy = retry({ attempts: 3, budget });
 *
 * @throws TypeError or RangeError when an option is wrong.
 */
export function retryBudget(options: RetryBudgetOptions = {}): RetryBudget {
  const read = optionReader('retryBudget', options);
  const ratio = read.number('ratio', 0.2, { min: 0, max: 1_000 });
  const minPerSecond = read.number('minPerSecond', 10, { min: 0, max: 1e9 });
  const windowMs = read.number('windowMs', 10_000, { min: BUCKETS, max: Number.MAX_SAFE_INTEGER });
  const clock = read.object<Clock>('clock', systemClock, ['now']);
  read.end();
  return new WindowedRetryBudget(ratio, (minPerSecond * windowMs) / 1_000, windowMs, clock);
}

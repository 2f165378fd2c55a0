import { type Clock, type Milliseconds, systemClock } from '@hotpath/core';

/** How many reads may share one look at the system's clock within a turn of the event loop. */
const READS_PER_STAMP = 32;

/**
 * Whole milliseconds of a clock's monotonic time, cheap enough to be read at every hit.
 *
 * Reading the system's clock costs about as much as the rest of a hit, so one reading is shared by
 * up to 32 hits of one turn of the event loop; it is never kept beyond the turn. Any other clock is
 * read every time.
 */
export class HotClock {
  readonly #clock: Clock;
  readonly #readsPerStamp: number;
  #stampMs: Milliseconds = 0;
  #readsLeft = 0;
  #isResetArmed = false;
  readonly #reset = (): void => {
    this.#isResetArmed = false;
    this.#readsLeft = 0;
  };

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#readsPerStamp = clock === systemClock ? READS_PER_STAMP : 0;
  }

  now(): Milliseconds {
    if (this.#readsLeft > 0) {
      this.#readsLeft--;
      return this.#stampMs;
    }
    return this.exact();
  }

  exact(): Milliseconds {
    // Small integers are stored in an object's own fields; a fraction would take an allocation more.
    this.#stampMs = Math.floor(this.#clock.now());
    if (this.#readsPerStamp > 0) {
      this.#readsLeft = this.#readsPerStamp;
      if (!this.#isResetArmed) {
        this.#isResetArmed = true;
        setImmediate(this.#reset);
      }
    }
    return this.#stampMs;
  }
}

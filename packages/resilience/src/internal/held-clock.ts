import type { Clock, Milliseconds, TimerHandle } from '@hotpath/core';

/**
 * A clock that can be made to stand still while one step uses it several times: reading the time is
 * the dearest part of arming a timer, so an arming reads it once.
 */
export class HeldClock implements Clock {
  readonly #clock: Clock;
  #heldMs: Milliseconds = -1;
  #held = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Reads the time and answers with it until `release()`. */
  hold(): Milliseconds {
    this.#heldMs = this.#clock.now();
    this.#held = true;
    return this.#heldMs;
  }

  release(): void {
    this.#held = false;
  }

  now(): Milliseconds {
    return this.#held ? this.#heldMs : this.#clock.now();
  }

  wallTime(): Milliseconds {
    return this.#clock.wallTime();
  }

  setTimeout(callback: () => void, delayMs: Milliseconds): TimerHandle {
    return this.#clock.setTimeout(callback, delayMs);
  }

  clearTimeout(handle: TimerHandle | undefined): void {
    this.#clock.clearTimeout(handle);
  }
}

/** A length of time in milliseconds; fractions are allowed. */
export type Milliseconds = number;

/** A timer that a {@link Clock} has armed. */
export interface TimerHandle {
  /** Lets the timer keep the process alive (as a new one does). */
  ref(): unknown;
  /** Stops the timer from keeping the process alive. */
  unref(): unknown;
}

/**
 * Where the library takes its time from; everything that waits takes one as an option.
 *
 * Use `systemClock` in production and `createVirtualClock` of `@hotpath/core/testing` in tests.
 */
export interface Clock {
  /** Monotonic time in milliseconds since an arbitrary origin: never goes back, unaffected by clock changes. */
  now(): Milliseconds;
  /** Wall-clock time in milliseconds since the Unix epoch, for what other machines or people read. */
  wallTime(): Milliseconds;
  /**
   * Calls `callback` once, later in another turn and no earlier than `delayMs` from now.
   *
   * Any delay is allowed, also above 2^31 ms; `Infinity` never comes, and what is not above 0 (or is
   * `NaN`) comes as soon as possible. The system's clock is up to 2 ms late when the process is idle.
   */
  setTimeout(callback: () => void, delayMs: Milliseconds): TimerHandle;
  /** Disarms a timer of this clock; one that has fired or was disarmed before is left alone. */
  clearTimeout(handle: TimerHandle | undefined): void;
}

/** A source of numbers in [0, 1), as `Math.random`. */
export type RandomSource = () => number;

// Node fires a longer timer after 1 ms, with a warning.
const LONGEST_NATIVE_DELAY_MS = 0x7fff_ffff;

/**
 * The platform cuts a delay to whole milliseconds, and reads both ends of the wait off a clock of
 * whole milliseconds: left alone it fires up to 2 ms too early. It also warns of what is not positive.
 */
function nativeDelay(delayMs: Milliseconds): Milliseconds {
  return delayMs > 0 ? Math.ceil(delayMs) + 1 : 0;
}

/** A delay longer than the platform's timers can hold, waited for in pieces. */
class LongTimer implements TimerHandle {
  #native: NodeJS.Timeout;

  constructor(callback: () => void, nativeDelayMs: Milliseconds) {
    let remainingMs = nativeDelayMs;
    const wait = (): NodeJS.Timeout => {
      const pieceMs = Math.min(remainingMs, LONGEST_NATIVE_DELAY_MS);
      remainingMs -= pieceMs;
      return setTimeout(() => {
        if (remainingMs <= 0) return callback();
        const kept = this.#native.hasRef();
        this.#native = wait();
        if (!kept) this.#native.unref();
      }, pieceMs);
    };
    this.#native = wait();
  }

  ref(): void {
    this.#native.ref();
  }

  unref(): void {
    this.#native.unref();
  }

  cancel(): void {
    clearTimeout(this.#native);
  }
}

/** The machine's own time: `performance.now()`, `Date.now()` and the platform's timers. */
export const systemClock: Clock = Object.freeze({
  now: (): Milliseconds => performance.now(),
  wallTime: (): Milliseconds => Date.now(),
  setTimeout: (callback: () => void, delayMs: Milliseconds): TimerHandle => {
    const nativeMs = nativeDelay(delayMs);
    return nativeMs > LONGEST_NATIVE_DELAY_MS
      ? new LongTimer(callback, nativeMs)
      : setTimeout(callback, nativeMs);
  },
  clearTimeout: (handle: TimerHandle | undefined): void => {
    if (handle instanceof LongTimer) handle.cancel();
    else clearTimeout(handle as NodeJS.Timeout | undefined);
  },
});

/** The machine's own chance: `Math.random`. Not for secrets. */
export const systemRandom: RandomSource = Math.random;

/**
 * Makes a reproducible source of numbers in [0, 1): the same seed gives the same series.
 *
 * Not for secrets. Algorithm: mulberry32 (period 2^32).
 *
 * @example
 * const random = seededRandom(42);
 * use(random() === seededRandom(42)());
 *
 * @param seed A whole number; its lower 32 bits count.
 */
export function seededRandom(seed: number): RandomSource {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

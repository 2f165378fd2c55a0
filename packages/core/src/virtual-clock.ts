import type { Clock, Milliseconds, TimerHandle } from './clock.ts';

/** A clock that stands still until a test moves it. */
export interface VirtualClock extends Clock {
  /**
   * Moves time on by `byMs`, calling each timer that falls due at its own time, in order, and
   * letting the promises that it settles run before the next one.
   *
   * Rejects with what a timer's callback throws; time then stands at that timer.
   *
   * @throws RangeError when `byMs` is below 0 or not a number.
   */
  advance(byMs: Milliseconds): Promise<void>;
  /** Lets everything run that waits for nothing but its turn; time stands still. */
  settle(): Promise<void>;
  /** Shifts the wall clock by `byMs` (as a correction of the system's time would); monotonic time stays. */
  shiftWallTime(byMs: Milliseconds): void;
  /** How many timers are armed, those that were unref'd included. */
  readonly pendingTimers: number;
}

/** What {@link createVirtualClock} takes. */
export interface VirtualClockOptions {
  /** Monotonic time at the start. Default 0. */
  readonly startMs?: Milliseconds | undefined;
  /** Wall-clock time at the start. Default 2026-01-01T00:00:00Z. */
  readonly wallStartMs?: Milliseconds | undefined;
}

interface VirtualTimer extends TimerHandle {
  readonly dueMs: Milliseconds;
  readonly callback: () => void;
}

const handle = { ref(): void {}, unref(): void {} };

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Makes a clock for tests, on which an hour takes no time.
 *
 * Timers fire in the order of their due times, those of one time in the order of their arming.
 *
 * @example
 * const clock = createVirtualClock();
 * const waiting = sleep(3_600_000, { clock });
 * await clock.advance(3_600_000);
 * await waiting;
 */
export function createVirtualClock({
  startMs = 0,
  wallStartMs = Date.UTC(2026, 0, 1),
}: VirtualClockOptions = {}): VirtualClock {
  let nowMs = startMs;
  let wallOffsetMs = wallStartMs - startMs;
  const timers = new Set<VirtualTimer>();

  function earliest(untilMs: Milliseconds): VirtualTimer | undefined {
    let found: VirtualTimer | undefined;
    for (const timer of timers) {
      if (timer.dueMs <= untilMs && (found === undefined || timer.dueMs < found.dueMs)) found = timer;
    }
    return found;
  }

  return {
    now: () => nowMs,
    wallTime: () => nowMs + wallOffsetMs,
    setTimeout: (callback, delayMs) => {
      const waitMs = Number.isNaN(delayMs) ? 0 : Math.max(0, delayMs);
      const timer: VirtualTimer = { ...handle, dueMs: nowMs + waitMs, callback };
      timers.add(timer);
      return timer;
    },
    clearTimeout: (timer) => {
      timers.delete(timer as VirtualTimer);
    },
    advance: async (byMs) => {
      if (!(byMs >= 0)) throw new RangeError(`advance: byMs must be at least 0, got ${byMs}`);
      const untilMs = nowMs + byMs;
      await nextTurn();
      for (let timer = earliest(untilMs); timer !== undefined; timer = earliest(untilMs)) {
        timers.delete(timer);
        nowMs = Math.max(nowMs, timer.dueMs);
        timer.callback();
        await nextTurn();
      }
      // Another advance may have overlapped this one and gone further.
      nowMs = Math.max(nowMs, untilMs);
    },
    settle: nextTurn,
    shiftWallTime: (byMs) => {
      wallOffsetMs += byMs;
    },
    get pendingTimers() {
      return timers.size;
    },
  };
}

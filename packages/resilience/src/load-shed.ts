import {
  type AbortedError,
  type Clock,
  type Milliseconds,
  optionReader,
  RejectedError,
  systemClock,
  type TimerHandle,
} from '@hotpath/core';
import { BasePolicy, closedError } from './internal/base-policy.ts';
import { checkedPriority, PRIORITIES } from './internal/waiting-room.ts';
import type { Policy, Step } from './policy.ts';

/** How load shedding may end a call. */
export type LoadShedError = RejectedError<'HOTPATH_LOAD_SHED'> | AbortedError<'HOTPATH_CLOSED'>;

/** What {@link loadShed} takes. */
export interface LoadShedOptions {
  /** From this event-loop delay on, calls of priority 9 are refused, in milliseconds. Default 50. */
  readonly startMs?: Milliseconds | undefined;
  /** … and from this one on every call; the priorities between lie between. Default 250. */
  readonly fullMs?: Milliseconds | undefined;
  /** How often the delay is measured while calls come, in milliseconds. Default 20. */
  readonly sampleMs?: Milliseconds | undefined;
  /** Its name in events, errors and statistics. Default `load-shed`. */
  readonly name?: string | undefined;
  readonly clock?: Clock | undefined;
}

/** Counters of load shedding since it was made. */
export interface LoadShedStats {
  readonly kind: 'load-shed';
  readonly name: string;
  /** How late the event loop is at present. */
  readonly delayMs: Milliseconds;
  readonly admittedTotal: number;
  readonly shedTotal: number;
}

/** Refuses work, the least urgent first, while the event loop is late. */
export interface LoadShedPolicy extends Policy<LoadShedError> {
  readonly kind: 'load-shed';
  /** How late the event loop is, smoothed over some samples, in milliseconds. */
  readonly delayMs: Milliseconds;
  stats(): LoadShedStats;
}

/** How much of the smoothed delay a new sample makes up: half of an overload is forgotten after two. */
const SMOOTHING = 0.3;
/** After so many samples without a call it stops measuring. */
const IDLE_SAMPLES = 50;

class DelayLoadShed extends BasePolicy<LoadShedError> implements LoadShedPolicy {
  readonly kind = 'load-shed';
  readonly #startMs: Milliseconds;
  readonly #fullMs: Milliseconds;
  readonly #sampleMs: Milliseconds;
  readonly #clock: Clock;
  #timer: TimerHandle | undefined;
  #dueMs: Milliseconds = 0;
  #smoothedMs: Milliseconds = 0;
  #idleSamples = 0;
  #closed = false;
  #admittedTotal = 0;
  #shedTotal = 0;

  constructor(
    name: string,
    startMs: Milliseconds,
    fullMs: Milliseconds,
    sampleMs: Milliseconds,
    clock: Clock,
  ) {
    super(name);
    this.#startMs = startMs;
    this.#fullMs = fullMs;
    this.#sampleMs = sampleMs;
    this.#clock = clock;
  }

  get delayMs(): Milliseconds {
    if (this.#timer === undefined) return this.#smoothedMs;
    // A sample that is overdue tells as much as one that was late, and earlier.
    return Math.max(this.#smoothedMs, this.#clock.now() - this.#dueMs);
  }

  _compile(next: Step): Step {
    const everyPriorityMs = (this.#fullMs - this.#startMs) / (PRIORITIES - 1);
    return (work, scope) => {
      if (this.#closed) return Promise.reject(scope.refuse(closedError('load shed', this.name)));
      this.#idleSamples = 0;
      if (this.#timer === undefined) this.#arm();
      const { delayMs } = this;
      if (delayMs >= this.#startMs) {
        let priority: number;
        try {
          priority = checkedPriority('loadShed', scope.options.priority);
        } catch (error) {
          return Promise.reject(error);
        }
        if (delayMs >= this.#fullMs - everyPriorityMs * priority)
          return Promise.reject(scope.refuse(this.#shed()));
      }
      this.#admittedTotal++;
      return next(work, scope);
    };
  }

  stats(): LoadShedStats {
    return {
      kind: 'load-shed',
      name: this.name,
      delayMs: Math.max(0, this.delayMs),
      admittedTotal: this.#admittedTotal,
      shedTotal: this.#shedTotal,
    };
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    return Promise.resolve();
  }

  #arm(): void {
    this.#dueMs = this.#clock.now() + this.#sampleMs;
    this.#timer = this.#clock.setTimeout(this.#onSample, this.#sampleMs);
    this.#timer.unref();
  }

  readonly #onSample = (): void => {
    const lateMs = Math.max(0, this.#clock.now() - this.#dueMs);
    this.#smoothedMs += (lateMs - this.#smoothedMs) * SMOOTHING;
    this.#timer = undefined;
    if (++this.#idleSamples <= IDLE_SAMPLES) this.#arm();
    // Nothing is known about a loop that nobody watches.
    else this.#smoothedMs = 0;
  };

  #shed(): LoadShedError {
    this.#shedTotal++;
    const code = 'HOTPATH_LOAD_SHED';
    this.tellRejected(code);
    return new RejectedError(
      code,
      `load shed '${this.name}': the event loop is ${Math.round(this.delayMs)} ms late`,
    );
  }
}

/**
 * Makes load shedding: while the event loop is late, calls are refused at once, the least urgent first.
 *
 * Priority 9 is refused from `startMs` of delay on, priority 0 from `fullMs` on. It measures only while
 * calls come; its timer does not keep the process alive.
 *
 * @example
 * const policy = pipeline(loadShed({ startMs: 50, fullMs: 250 }), circuitBreaker());
 * await policy.execute(() => report(), { priority: 8 });
 *
 * @throws RejectedError (HOTPATH_LOAD_SHED) from `execute`, when it refuses.
 * @throws AbortedError (HOTPATH_CLOSED) from `execute`, after `close()`.
 * @throws TypeError or RangeError when an option is wrong.
 */
export function loadShed(options: LoadShedOptions = {}): LoadShedPolicy {
  const read = optionReader('loadShed', options);
  const startMs = read.number('startMs', 50, { min: 0, max: Number.MAX_SAFE_INTEGER });
  const fullMs = read.number('fullMs', Math.max(250, startMs), {
    min: startMs,
    max: Number.MAX_SAFE_INTEGER,
  });
  const sampleMs = read.number('sampleMs', 20, { min: 1, max: 60_000 });
  const name = read.string('name', 'load-shed');
  const clock = read.object<Clock>('clock', systemClock, ['now', 'setTimeout', 'clearTimeout']);
  read.end();
  return new DelayLoadShed(name, startMs, fullMs, sampleMs, clock);
}

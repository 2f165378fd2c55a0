import {
  type AbortedError,
  type Clock,
  createTimerWheel,
  type Milliseconds,
  optionReader,
  systemClock,
  TimeoutError,
  type TimerWheel,
} from '@hotpath/core';
import { BasePolicy, closedError } from './internal/base-policy.ts';
import { HeldClock } from './internal/held-clock.ts';
import { ChildScope, type Scope } from './internal/scope.ts';
import type { Policy, Step } from './policy.ts';

/** How a timeout may end a call. */
export type TimeoutPolicyError = TimeoutError<'HOTPATH_TIMEOUT'> | AbortedError<'HOTPATH_CLOSED'>;

/** What {@link timeout} takes besides the time. */
export interface TimeoutOptions {
  /** Its name in events, errors and statistics. Default `timeout`. */
  readonly name?: string | undefined;
  /** How much later than asked it may fire, in milliseconds. Default 4. */
  readonly tickMs?: Milliseconds | undefined;
  readonly clock?: Clock | undefined;
}

/** Counters of a timeout since it was made. */
export interface TimeoutStats {
  readonly kind: 'timeout';
  readonly name: string;
  readonly timeoutMs: Milliseconds;
  readonly timedOutTotal: number;
  readonly pending: number;
}

/** Ends calls that take too long. */
export interface TimeoutPolicy extends Policy<TimeoutPolicyError> {
  readonly kind: 'timeout';
  readonly timeoutMs: Milliseconds;
  stats(): TimeoutStats;
}

class WheelTimeout extends BasePolicy<TimeoutPolicyError> implements TimeoutPolicy {
  readonly kind = 'timeout';
  readonly timeoutMs: Milliseconds;
  readonly wheel: TimerWheel;
  readonly #clock: HeldClock;
  #closed = false;
  #timedOutTotal = 0;

  constructor(name: string, timeoutMs: Milliseconds, tickMs: Milliseconds, clock: Clock) {
    super(name);
    this.timeoutMs = timeoutMs;
    this.#clock = new HeldClock(clock);
    this.wheel = createTimerWheel({ clock: this.#clock, tickMs });
  }

  _compile(next: Step): Step {
    return (work, scope) => {
      if (this.#closed) return Promise.reject(scope.refuse(closedError('timeout', this.name)));
      return new Promise((resolve, reject) => {
        const nowMs = this.#clock.hold();
        const inner = new TimedScope(this, scope, nowMs + this.timeoutMs, resolve, reject);
        this.wheel.arm(inner, this.timeoutMs);
        this.#clock.release();
        inner.follow();
        if (inner.aborted) return;
        next(work, inner).then(inner.onValue, inner.onError);
      });
    };
  }

  expired(): TimeoutError<'HOTPATH_TIMEOUT'> {
    this.#timedOutTotal++;
    this.tellRejected('HOTPATH_TIMEOUT');
    return new TimeoutError(
      'HOTPATH_TIMEOUT',
      `timeout '${this.name}': not done within ${this.timeoutMs} ms`,
    );
  }

  stats(): TimeoutStats {
    return {
      kind: 'timeout',
      name: this.name,
      timeoutMs: this.timeoutMs,
      timedOutTotal: this.#timedOutTotal,
      pending: this.wheel.armedCount,
    };
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }
}

/** The inside of a timeout, and its timer: one object a call. */
class TimedScope extends ChildScope {
  readonly #policy: WheelTimeout;
  readonly #resolve: (value: unknown) => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    policy: WheelTimeout,
    parent: Scope,
    deadlineMs: Milliseconds,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    super(parent, deadlineMs, parent.attempt);
    this.#policy = policy;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  readonly onValue = (value: unknown): void => {
    this.#settle();
    this.#resolve(value);
  };

  readonly onError = (error: unknown): void => {
    this.#settle();
    this.#reject(error);
  };

  override onDue(): void {
    const error = this.refuse(this.#policy.expired());
    this.unfollow();
    this.#reject(error);
    this.abort(error);
  }

  /** From outside: the caller left, or an outer time is over. */
  override onAbort(reason: unknown): void {
    this.#settle();
    this.#reject(reason);
    this.abort(reason);
  }

  #settle(): void {
    this.#policy.wheel.disarm(this);
    this.unfollow();
  }
}

/**
 * Makes a timeout: ends a call that is not done in time, and tells its work through `context.signal`.
 *
 * The caller gets the error at once, whether or not the work listens. It fires at most `tickMs` late,
 * never early; arming and disarming it costs no system timer.
 *
 * @example
 * const value = await timeout(250).execute(({ signal }) => fetch(url, { signal }));
 *
 * @throws TimeoutError (HOTPATH_TIMEOUT) from `execute`, when the time is over.
 * @throws AbortedError (HOTPATH_CLOSED) from `execute`, after `close()`.
 * @throws TypeError or RangeError when an argument is wrong.
 */
export function timeout(timeoutMs: Milliseconds, options: TimeoutOptions = {}): TimeoutPolicy {
  const readTime = optionReader('timeout', { timeoutMs });
  const forMs = readTime.number('timeoutMs', Number.NaN, { min: 0, max: Number.MAX_SAFE_INTEGER });
  if (Number.isNaN(forMs)) throw new TypeError("timeout: 'timeoutMs' must be a number, got undefined");
  const read = optionReader('timeout', options);
  const name = read.string('name', 'timeout');
  const tickMs = read.number('tickMs', 4, { min: 1, max: 1_000 });
  const clock = read.object<Clock>('clock', systemClock, ['now', 'setTimeout', 'clearTimeout']);
  read.end();
  return new WheelTimeout(name, forMs, tickMs, clock);
}

import {
  type AbortedError,
  type Clock,
  isHotpathError,
  type Milliseconds,
  optionReader,
  systemClock,
  type TimerHandle,
} from '@hotpath/core';
import { type Backoff, exponentialBackoff } from './backoff.ts';
import { retryEvents } from './events.ts';
import { BasePolicy, closedError } from './internal/base-policy.ts';
import { retryAfterOf } from './internal/retry-after.ts';
import { type AbortListener, ChildScope, type Scope } from './internal/scope.ts';
import type { Policy, Step, Work } from './policy.ts';
import type { RetryBudget } from './retry-budget.ts';

/** How a retry may end a call, besides with the last try's own error. */
export type RetryError = AbortedError<'HOTPATH_CLOSED'>;

/** What {@link retry} takes. */
export interface RetryOptions {
  /** How many tries are made in all, the first included. Default 3. */
  readonly attempts?: number;
  /** How long to wait before the next try. Default: `exponentialBackoff()`. */
  readonly backoff?: Backoff;
  /** Bounds the retries of all calls that share it. Default: none. */
  readonly budget?: RetryBudget | undefined;
  /** Whether an error is worth another try. Default: {@link isRetryable}. One that throws ends the call with the try's error. */
  readonly retryIf?: (error: unknown, attempt: number) => boolean;
  /** An error that asks to wait longer than this is not retried, in milliseconds. Default 30,000. */
  readonly maxRetryAfterMs?: Milliseconds;
  /** Its name in events and statistics. Default `retry`. */
  readonly name?: string;
  readonly clock?: Clock;
}

/** Counters of a retry since it was made. */
export interface RetryStats {
  readonly kind: 'retry';
  readonly name: string;
  /** Calls whose first try failed. */
  readonly failedFirstTotal: number;
  readonly retriesTotal: number;
  readonly recoveredTotal: number;
  /** Calls that ended with an error: all tries used, not worth another, … */
  readonly givenUpTotal: number;
  /** Of those, for want of budget, and because the next try could not have met the deadline. */
  readonly noBudgetTotal: number;
  readonly noTimeTotal: number;
  /** Calls in back-off at present. */
  readonly waiting: number;
}

/** Tries again what failed. */
export interface RetryPolicy extends Policy<RetryError> {
  readonly kind: 'retry';
  stats(): RetryStats;
}

/**
 * Whether an error is worth another try as far as anybody can tell: not when this library refused or
 * gave up the call, when the data is corrupt, or when governance forbids it.
 */
export function isRetryable(error: unknown): boolean {
  if (!isHotpathError(error)) return true;
  switch (error.family) {
    case 'aborted':
    case 'rejected':
    case 'corrupt':
    case 'governance':
      return false;
    default:
      return error.code !== 'HOTPATH_CIRCUIT_OPEN' && error.code !== 'HOTPATH_CIRCUIT_ISOLATED';
  }
}

interface ResolvedRetryOptions {
  readonly attempts: number;
  readonly backoff: Backoff;
  readonly budget: RetryBudget | undefined;
  readonly retryIf: (error: unknown, attempt: number) => boolean;
  readonly maxRetryAfterMs: Milliseconds;
  readonly name: string;
  readonly clock: Clock;
}

class BackoffRetry extends BasePolicy<RetryError> implements RetryPolicy {
  readonly kind = 'retry';
  readonly #options: ResolvedRetryOptions;
  readonly #pauses = new Set<Pause>();
  #closed = false;
  #failedFirstTotal = 0;
  #retriesTotal = 0;
  #recoveredTotal = 0;
  #givenUpTotal = 0;
  #noBudgetTotal = 0;
  #noTimeTotal = 0;

  constructor(options: ResolvedRetryOptions) {
    super(options.name);
    this.#options = options;
  }

  _compile(next: Step): Step {
    const { budget, attempts } = this.#options;
    if (attempts === 1) return next;
    return (work, scope) => {
      if (this.#closed) return Promise.reject(scope.refuse(closedError('retry', this.name)));
      budget?.recordCall();
      return next(work, scope).then(undefined, (error) => this.#goOn(next, work, scope, error));
    };
  }

  async #goOn(next: Step, work: Work<unknown>, scope: Scope, firstError: unknown): Promise<unknown> {
    const { clock, budget } = this.#options;
    this.#failedFirstTotal++;
    let error = firstError;
    for (let attempt = 1; ; attempt++) {
      if (scope.aborted || !this.#isWorthIt(error, attempt)) break;
      const delayMs = this.#delayMs(error, attempt, scope);
      if (delayMs === undefined) break;
      if (retryEvents.hasSubscribers) retryEvents.publish({ name: this.name, attempt, delayMs, error });
      await this.#pause(delayMs, scope);
      if (scope.aborted) {
        budget?.release();
        throw scope.reason;
      }
      const inner = new ChildScope(scope, Number.POSITIVE_INFINITY, attempt + 1);
      inner.follow();
      this.#retriesTotal++;
      try {
        const value = await next(work, inner);
        this.#recoveredTotal++;
        return value;
      } catch (nextError) {
        error = nextError;
      } finally {
        inner.unfollow();
      }
      if (scope.deadlineMs <= clock.now()) break;
    }
    this.#givenUpTotal++;
    throw error;
  }

  #isWorthIt(error: unknown, attempt: number): boolean {
    if (this.#closed || attempt >= this.#options.attempts) return false;
    try {
      return this.#options.retryIf(error, attempt);
    } catch {
      return false;
    }
  }

  /** Reserves a retry and says how long to wait for it; `undefined` when there will be none. */
  #delayMs(error: unknown, attempt: number, scope: Scope): Milliseconds | undefined {
    const { backoff, budget, clock, maxRetryAfterMs } = this.#options;
    const askedMs = retryAfterOf(error, () => clock.wallTime());
    const delayMs = Math.max(backoff(attempt), askedMs);
    if (askedMs > maxRetryAfterMs || !(clock.now() + delayMs < scope.deadlineMs)) {
      this.#noTimeTotal++;
      return undefined;
    }
    if (budget !== undefined && !budget.tryReserve()) {
      this.#noBudgetTotal++;
      return undefined;
    }
    return delayMs;
  }

  #pause(delayMs: Milliseconds, scope: Scope): Promise<void> {
    return new Promise((resolve, reject) => {
      const pause = new Pause(this.#options.clock, scope, {
        onDone: resolve,
        onLeft: (reason) => {
          this.#options.budget?.release();
          reject(reason);
        },
        onSettled: (settled) => this.#pauses.delete(settled),
      });
      this.#pauses.add(pause);
      pause.begin(delayMs);
    });
  }

  stats(): RetryStats {
    return {
      kind: 'retry',
      name: this.name,
      failedFirstTotal: this.#failedFirstTotal,
      retriesTotal: this.#retriesTotal,
      recoveredTotal: this.#recoveredTotal,
      givenUpTotal: this.#givenUpTotal,
      noBudgetTotal: this.#noBudgetTotal,
      noTimeTotal: this.#noTimeTotal,
      waiting: this.#pauses.size,
    };
  }

  close(): Promise<void> {
    this.#closed = true;
    for (const pause of this.#pauses) pause.leave(pause.scope.refuse(closedError('retry', this.name)));
    return Promise.resolve();
  }
}

interface PauseEvents {
  onDone(): void;
  onLeft(reason: unknown): void;
  onSettled(pause: Pause): void;
}

/** One wait between two tries; ends early when its scope does. */
class Pause implements AbortListener {
  readonly scope: Scope;
  readonly #clock: Clock;
  readonly #events: PauseEvents;
  #timer: TimerHandle | undefined;

  constructor(clock: Clock, scope: Scope, events: PauseEvents) {
    this.#clock = clock;
    this.scope = scope;
    this.#events = events;
  }

  begin(delayMs: Milliseconds): void {
    this.scope.addListener(this);
    this.#timer = this.#clock.setTimeout(() => {
      this.#settle();
      this.#events.onDone();
    }, delayMs);
  }

  onAbort(reason: unknown): void {
    this.leave(reason);
  }

  leave(reason: unknown): void {
    this.#settle();
    this.#events.onLeft(reason);
  }

  #settle(): void {
    this.#clock.clearTimeout(this.#timer);
    this.scope.removeListener(this);
    this.#events.onSettled(this);
  }
}

/**
 * Makes a retry: tries again after a back-off, never earlier than the error asks for (`retryAfterMs`, or
 * a `Retry-After` header), and not at all when the deadline around it could not be met.
 *
 * When it gives up, the last try's error is rethrown untouched. A first try that succeeds costs one promise.
 *
 * @example
 * const policy = retry({ attempts: 3, backoff: exponentialBackoff({ baseMs: 50 }) });
 * const user = await policy.execute(({ signal }) => fetchUser(id, { signal }));
 *
 * @throws AbortedError (HOTPATH_CLOSED) from `execute`, after `close()`.
 * @throws TypeError or RangeError when an option is wrong.
 */
export function retry(options: RetryOptions = {}): RetryPolicy {
  const read = optionReader('retry', options);
  const resolved: ResolvedRetryOptions = {
    attempts: read.integer('attempts', 3, { min: 1, max: 1_000_000 }),
    backoff: read.function<Backoff | undefined>('backoff', undefined) ?? exponentialBackoff(),
    budget: read.object<RetryBudget | undefined>('budget', undefined, [
      'recordCall',
      'tryReserve',
      'release',
    ]),
    retryIf: read.function('retryIf', isRetryable),
    maxRetryAfterMs: read.number('maxRetryAfterMs', 30_000, { min: 0 }),
    name: read.string('name', 'retry'),
    clock: read.object<Clock>('clock', systemClock, ['now', 'wallTime', 'setTimeout', 'clearTimeout']),
  };
  read.end();
  return new BackoffRetry(Object.freeze(resolved));
}

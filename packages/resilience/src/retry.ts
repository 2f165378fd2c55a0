import {
  type AbortedError,
  type Clock,
  isHotpathError,
  type Milliseconds,
  optionReader,
  systemClock,
} from '@hotpath/core';
import { type Backoff, exponentialBackoff } from './backoff.ts';
import { retryEvents } from './events.ts';
import { BasePolicy, closedError } from './internal/base-policy.ts';
import { Pauses } from './internal/pauses.ts';
import { retryAfterOf } from './internal/retry-after.ts';
import { ChildScope, type Scope } from './internal/scope.ts';
import type { Policy, Step, Work } from './policy.ts';
import type { Reservation, RetryBudget } from './retry-budget.ts';

/** How a retry may end a call, besides with the last try's own error. */
export type RetryError = AbortedError<'HOTPATH_CLOSED'>;

/** What {@link retry} takes. */
export interface RetryOptions {
  /** How many tries are made in all, the first included. Default 3. */
  readonly attempts?: number | undefined;
  /** How long to wait before the next try. Default: `exponentialBackoff()`. One that throws, or gives what is no time, ends the call with the try's own error. */
  readonly backoff?: Backoff | undefined;
  /** Bounds the retries of all calls that share it. Default: none. */
  readonly budget?: RetryBudget | undefined;
  /** Whether an error is worth another try. Default: {@link isRetryable}. One that throws ends the call with the try's error. */
  readonly retryIf?: ((error: unknown, attempt: number) => boolean) | undefined;
  /** Whether a result is worth another try: a response with status 503, say. Default: none is. The last try's result is the call's. One that throws counts as no. */
  readonly retryResultIf?: ((value: unknown, attempt: number) => boolean) | undefined;
  /** An error, or such a result, that asks to wait longer than this is not retried, in milliseconds. Default 30,000. */
  readonly maxRetryAfterMs?: Milliseconds | undefined;
  /** Its name in events and statistics. Default `retry`. */
  readonly name?: string | undefined;
  readonly clock?: Clock | undefined;
}

/** Counters of a retry since it was made. */
export interface RetryStats {
  readonly kind: 'retry';
  readonly name: string;
  /** Calls whose first try failed, or gave a result that is not wanted. */
  readonly failedFirstTotal: number;
  readonly retriesTotal: number;
  readonly recoveredTotal: number;
  /** Calls that ended no better: all tries used, not worth another, … */
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
 * gave up the call, when the data is corrupt, or when governance forbids it. Never throws.
 *
 * @example
 * const policy = retry({ retryIf: (error) => isRetryable(error) && !(error instanceof InvalidRequest) });
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
  readonly retryResultIf: ((value: unknown, attempt: number) => boolean) | undefined;
  readonly maxRetryAfterMs: Milliseconds;
  readonly name: string;
  readonly clock: Clock;
}

/** How a try ended: with an error, or with a result that is not wanted. */
interface Ending {
  readonly error?: unknown;
  readonly value?: unknown;
}

// Stands for the reservation where there is no budget to reserve from.
const UNBUDGETED: Reservation = -1;

class BackoffRetry extends BasePolicy<RetryError> implements RetryPolicy {
  readonly kind = 'retry';
  readonly #options: ResolvedRetryOptions;
  readonly #pauses: Pauses;
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
    this.#pauses = new Pauses(options.clock);
  }

  _compile(next: Step): Step {
    const { budget, retryResultIf } = this.#options;
    return (work, scope) => {
      if (this.#closed) return Promise.reject(scope.refuse(closedError('retry', this.name)));
      budget?.recordCall();
      return next(work, scope).then(
        retryResultIf &&
          ((value) => (this.#isBad(value, 1) ? this.#goOn(next, work, scope, { value }) : value)),
        (error) => this.#goOn(next, work, scope, { error }),
      );
    };
  }

  async #goOn(next: Step, work: Work<unknown>, scope: Scope, first: Ending): Promise<unknown> {
    this.#failedFirstTotal++;
    let ending = first;
    for (let attempt = 1; ; attempt++) {
      if (!this.#isWorthIt(ending, attempt, scope)) break;
      const delayMs = this.#delayMs(ending, attempt, scope);
      if (delayMs === undefined) break;
      const reservation = this.#reserve();
      if (!reservation) break;
      if (retryEvents.hasSubscribers)
        retryEvents.publish({ name: this.name, attempt, delayMs, error: ending.error, value: ending.value });
      await this.#pause(delayMs, reservation, scope);
      const inner = new ChildScope(scope, Number.POSITIVE_INFINITY, attempt + 1);
      inner.follow();
      this.#retriesTotal++;
      try {
        const value = await next(work, inner);
        ending = { value };
        if (!this.#isBad(value, attempt + 1)) {
          this.#recoveredTotal++;
          return value;
        }
      } catch (error) {
        ending = { error };
      } finally {
        inner.unfollow();
      }
    }
    this.#givenUpTotal++;
    if ('error' in ending) throw ending.error;
    return ending.value;
  }

  async #pause(delayMs: Milliseconds, reservation: Reservation, scope: Scope): Promise<void> {
    try {
      await this.#pauses.wait(scope, delayMs);
      // It may have been aborted between the end of its wait and its turn.
      if (scope.aborted) throw scope.reason;
    } catch (reason) {
      this.#options.budget?.release(reservation);
      throw reason;
    }
  }

  #isBad(value: unknown, attempt: number): boolean {
    try {
      return this.#options.retryResultIf?.(value, attempt) === true;
    } catch {
      return false;
    }
  }

  #isWorthIt(ending: Ending, attempt: number, scope: Scope): boolean {
    if (this.#closed || scope.aborted || attempt >= this.#options.attempts) return false;
    if (!('error' in ending)) return true;
    try {
      return this.#options.retryIf(ending.error, attempt);
    } catch {
      return false;
    }
  }

  /** How long to wait before the next try; `undefined` when there is no time for one. */
  #delayMs(ending: Ending, attempt: number, scope: Scope): Milliseconds | undefined {
    const { clock, maxRetryAfterMs } = this.#options;
    const askedMs = retryAfterOf(ending.error ?? ending.value, () => clock.wallTime());
    const delayMs = Math.max(this.#backoffMs(attempt), askedMs);
    if (askedMs > maxRetryAfterMs || !(clock.now() + delayMs < scope.deadlineMs)) {
      this.#noTimeTotal++;
      return undefined;
    }
    return delayMs;
  }

  #reserve(): Reservation {
    const { budget } = this.#options;
    if (budget === undefined) return UNBUDGETED;
    const reservation = budget.tryReserve();
    if (!reservation) this.#noBudgetTotal++;
    return reservation;
  }

  /** Infinity, and so no retry, where the back-off itself is broken: the try's own ending is what the caller must see. */
  #backoffMs(attempt: number): Milliseconds {
    try {
      const delayMs = this.#options.backoff(attempt);
      return delayMs >= 0 ? delayMs : Number.POSITIVE_INFINITY;
    } catch {
      return Number.POSITIVE_INFINITY;
    }
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
    this.#pauses.leaveAll((scope) => scope.refuse(closedError('retry', this.name)));
    return Promise.resolve();
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
    retryResultIf: read.function<RetryOptions['retryResultIf']>('retryResultIf', undefined),
    maxRetryAfterMs: read.number('maxRetryAfterMs', 30_000, { min: 0 }),
    name: read.string('name', 'retry'),
    clock: read.object<Clock>('clock', systemClock, ['now', 'wallTime', 'setTimeout', 'clearTimeout']),
  };
  read.end();
  return new BackoffRetry(Object.freeze(resolved));
}

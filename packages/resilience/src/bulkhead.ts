import {
  type AbortedError,
  type Clock,
  type Milliseconds,
  optionReader,
  RejectedError,
  systemClock,
} from '@hotpath/core';
import { BasePolicy, closedError } from './internal/base-policy.ts';
import { ConcurrencyGate, gatedStep } from './internal/concurrency-gate.ts';
import type { Policy, Step } from './policy.ts';

/** How a bulkhead may end a call. */
export type BulkheadError =
  | RejectedError<'HOTPATH_BULKHEAD_FULL' | 'HOTPATH_BULKHEAD_WAIT'>
  | AbortedError<'HOTPATH_CLOSED'>;

/** What {@link bulkhead} takes. */
export interface BulkheadOptions {
  /** How many calls run at once. */
  readonly limit: number;
  /** How many more may wait. Default 0. */
  readonly maxWaiting?: number | undefined;
  /** How long one waits at most, in milliseconds. Default 30,000. */
  readonly maxWaitMs?: Milliseconds | undefined;
  /** Its name in events, errors and statistics. Default `bulkhead`. */
  readonly name?: string | undefined;
  readonly clock?: Clock | undefined;
}

/** Counters of a bulkhead since it was made, and what is going on. */
export interface BulkheadStats {
  readonly kind: 'bulkhead';
  readonly name: string;
  readonly limit: number;
  readonly inFlight: number;
  readonly waiting: number;
  readonly admittedTotal: number;
  readonly rejectedTotal: number;
}

/** Bounds how many calls run at once. */
export interface Bulkhead extends Policy<BulkheadError> {
  readonly kind: 'bulkhead';
  stats(): BulkheadStats;
}

class GatedBulkhead extends BasePolicy<BulkheadError> implements Bulkhead {
  readonly kind = 'bulkhead';
  readonly #gate: ConcurrencyGate;
  #closed = false;
  #admittedTotal = 0;
  #rejectedTotal = 0;

  constructor(name: string, limit: number, maxWaiting: number, maxWaitMs: Milliseconds, clock: Clock) {
    super(name);
    this.#gate = new ConcurrencyGate(limit, maxWaiting, maxWaitMs, clock, {
      full: () => this.#rejected('HOTPATH_BULKHEAD_FULL', `${limit} run and ${this.#gate.waiting} wait`),
      late: () => this.#rejected('HOTPATH_BULKHEAD_WAIT', `no room within ${maxWaitMs} ms`),
    });
  }

  _compile(next: Step): Step {
    const gate = this.#gate;
    const leave = (): void => gate.leave();
    const gated = gatedStep('bulkhead', gate, (work, scope) => {
      this.#admittedTotal++;
      const promise = next(work, scope);
      promise.then(leave, leave);
      return promise;
    });
    return (work, scope) =>
      this.#closed ? Promise.reject(scope.refuse(closedError('bulkhead', this.name))) : gated(work, scope);
  }

  stats(): BulkheadStats {
    return {
      kind: 'bulkhead',
      name: this.name,
      limit: this.#gate.limit,
      inFlight: this.#gate.inFlight,
      waiting: this.#gate.waiting,
      admittedTotal: this.#admittedTotal,
      rejectedTotal: this.#rejectedTotal,
    };
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#gate.clear((scope) => scope.refuse(closedError('bulkhead', this.name)));
    return Promise.resolve();
  }

  #rejected(code: 'HOTPATH_BULKHEAD_FULL' | 'HOTPATH_BULKHEAD_WAIT', why: string): BulkheadError {
    this.#rejectedTotal++;
    this.tellRejected(code);
    return new RejectedError(code, `bulkhead '${this.name}': ${why}`);
  }
}

/**
 * Makes a bulkhead: at most `limit` calls run at once, and a bounded number waits for room.
 *
 * @example
 * const policy = bulkhead({ limit: 10, maxWaiting: 50, maxWaitMs: 1_000 });
 * const report = await policy.execute(() => render(id), { priority: 2 });
 *
 * @throws RejectedError (HOTPATH_BULKHEAD_FULL, HOTPATH_BULKHEAD_WAIT) from `execute`, when it refuses.
 * @throws AbortedError (HOTPATH_CLOSED) from `execute`, after `close()`.
 * @throws TypeError or RangeError when an option is wrong.
 */
export function bulkhead(options: BulkheadOptions): Bulkhead {
  const read = optionReader('bulkhead', options);
  const limit = read.integer('limit', undefined, { min: 1 });
  const maxWaiting = read.integer('maxWaiting', 0, { min: 0 });
  const maxWaitMs = read.number('maxWaitMs', 30_000, { min: 0 });
  const name = read.string('name', 'bulkhead');
  const clock = read.object<Clock>('clock', systemClock, ['now', 'setTimeout', 'clearTimeout']);
  read.end();
  if (limit === undefined)
    throw new TypeError("bulkhead: option 'limit' must be a whole number, got undefined");
  return new GatedBulkhead(name, limit, maxWaiting, maxWaitMs, clock);
}

import {
  AbortedError,
  type Clock,
  createTimerWheel,
  type Milliseconds,
  optionReader,
  systemClock,
  type TimerWheel,
  WheelTimer,
} from '@hotpath/core';
import { hedgeEvents } from './events.ts';
import { BasePolicy, closedError } from './internal/base-policy.ts';
import { LatencyHistogram } from './internal/latency-histogram.ts';
import { type AbortListener, ChildScope, type Scope } from './internal/scope.ts';
import type { Policy, Step, Work } from './policy.ts';
import { type RetryBudget, retryBudget } from './retry-budget.ts';

/** How a hedge may end a call, besides with a try's own error. */
export type HedgeError = AbortedError<'HOTPATH_CLOSED'>;

/** What {@link hedge} takes. */
export interface HedgeOptions {
  /** How long to wait before each further try, in milliseconds. Absent: learned, see `quantile`. */
  readonly delayMs?: Milliseconds | undefined;
  /** The share of calls that are faster than the learned delay. Default 0.95. Not together with `delayMs`. */
  readonly quantile?: number | undefined;
  /** How many calls it watches before it uses a learned delay; until then it does not hedge. Default 100. */
  readonly minimumSamples?: number | undefined;
  /** How many tries there are at most, the first included. Default 2. */
  readonly attempts?: number | undefined;
  /** Bounds the further tries of all calls. Default: `retryBudget({ ratio: 0.1 })` of its own. */
  readonly budget?: RetryBudget | undefined;
  /** That all work given to this hedge may be done twice; else each call must say `idempotent: true`. Default false. */
  readonly idempotent?: boolean | undefined;
  /** Its name in events and statistics. Default `hedge`. */
  readonly name?: string | undefined;
  readonly clock?: Clock | undefined;
}

/** Counters of a hedge since it was made. */
export interface HedgeStats {
  readonly kind: 'hedge';
  readonly name: string;
  /** Further tries that were sent, and calls that one of them won. */
  readonly hedgedTotal: number;
  readonly wonTotal: number;
  readonly noBudgetTotal: number;
  /** The delay at present; `undefined` while it is still being learned. */
  readonly delayMs: Milliseconds | undefined;
  /** Calls under way. */
  readonly pending: number;
}

/** Sends a slow call a second time, and takes whichever answer comes first. */
export interface HedgePolicy extends Policy<HedgeError> {
  readonly kind: 'hedge';
  stats(): HedgeStats;
}

interface ResolvedHedgeOptions {
  readonly delayMs: Milliseconds | undefined;
  readonly quantile: number;
  readonly minimumSamples: number;
  readonly attempts: number;
  readonly budget: RetryBudget;
  readonly idempotent: boolean;
  readonly name: string;
  readonly clock: Clock;
}

// The learned delay is read from the histogram once in so many calls.
const LEARN_EVERY = 32;

class LearningHedge extends BasePolicy<HedgeError> implements HedgePolicy {
  readonly kind = 'hedge';
  readonly options: ResolvedHedgeOptions;
  readonly wheel: TimerWheel;
  pending = 0;
  readonly #histogram: LatencyHistogram | undefined;
  #delayMs: Milliseconds | undefined;
  #closed = false;
  #learned = 0;
  #hedgedTotal = 0;
  #wonTotal = 0;
  #noBudgetTotal = 0;

  constructor(options: ResolvedHedgeOptions) {
    super(options.name);
    this.options = options;
    this.#delayMs = options.delayMs;
    this.#histogram = options.delayMs === undefined ? new LatencyHistogram() : undefined;
    this.wheel = createTimerWheel({ clock: options.clock, tickMs: 1 });
  }

  get closed(): boolean {
    return this.#closed;
  }

  _compile(next: Step): Step {
    const { idempotent, budget } = this.options;
    return (work, scope) => {
      if (this.#closed) return Promise.reject(scope.refuse(closedError('hedge', this.name)));
      if (!idempotent && scope.options.idempotent !== true) return next(work, scope);
      if (scope.aborted) return Promise.reject(scope.reason);
      budget.recordCall();
      return new Promise((resolve, reject) => {
        new HedgedCall(this, next, work, scope, this.#delayMs, resolve, reject).begin();
      });
    };
  }

  learn(durationMs: Milliseconds): void {
    if (this.#histogram === undefined) return;
    this.#histogram.add(durationMs);
    this.#learned++;
    const { minimumSamples, quantile } = this.options;
    if (this.#learned < minimumSamples) return;
    if (this.#delayMs === undefined || this.#learned % LEARN_EVERY === 0) {
      this.#delayMs = this.#histogram.quantile(quantile);
    }
  }

  /** Whether one more try may be sent; counted, and told. */
  mayHedge(attempt: number, afterMs: Milliseconds): boolean {
    if (this.#closed) return false;
    if (!this.options.budget.tryReserve()) {
      this.#noBudgetTotal++;
      return false;
    }
    this.#hedgedTotal++;
    if (hedgeEvents.hasSubscribers) hedgeEvents.publish({ name: this.name, attempt, afterMs });
    return true;
  }

  won(): void {
    this.#wonTotal++;
  }

  stats(): HedgeStats {
    return {
      kind: 'hedge',
      name: this.name,
      hedgedTotal: this.#hedgedTotal,
      wonTotal: this.#wonTotal,
      noBudgetTotal: this.#noBudgetTotal,
      delayMs: this.#delayMs,
      pending: this.pending,
    };
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }
}

/** The inside of one try. */
class HedgedTry extends ChildScope {
  #lost = false;

  constructor(parent: Scope, attempt: number) {
    super(parent, Number.POSITIVE_INFINITY, attempt, true);
  }

  override get forsaken(): boolean {
    return this.#lost || super.forsaken;
  }

  /** Another one was faster. */
  lose(): void {
    this.#lost = true;
    this.abort(new AbortedError('HOTPATH_HEDGE_LOST', 'another try of this call was faster'));
  }
}

/** One call and all of its tries; its timer sends the next one. */
class HedgedCall extends WheelTimer implements AbortListener {
  readonly #hedge: LearningHedge;
  readonly #next: Step;
  readonly #work: Work<unknown>;
  readonly #scope: Scope;
  readonly #delayMs: Milliseconds | undefined;
  readonly #resolve: (value: unknown) => void;
  readonly #reject: (error: unknown) => void;
  readonly #startMs: Milliseconds;
  readonly #running = new Set<HedgedTry>();
  #sent = 0;
  #settled = false;

  constructor(
    hedge: LearningHedge,
    next: Step,
    work: Work<unknown>,
    scope: Scope,
    delayMs: Milliseconds | undefined,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    super();
    this.#hedge = hedge;
    this.#next = next;
    this.#work = work;
    this.#scope = scope;
    this.#delayMs = delayMs;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#startMs = hedge.options.clock.now();
  }

  begin(): void {
    this.#hedge.pending++;
    this.#scope.addListener(this);
    this.#send();
  }

  override onDue(): void {
    const afterMs = this.#hedge.options.clock.now() - this.#startMs;
    if (this.#hedge.mayHedge(this.#sent + 1, afterMs)) this.#send();
  }

  onAbort(reason: unknown): void {
    this.#settle();
    this.#reject(reason);
    for (const inner of this.#running) inner.abort(reason);
  }

  #send(): void {
    const attempt = ++this.#sent;
    const inner = new HedgedTry(this.#scope, attempt);
    this.#running.add(inner);
    if (this.#delayMs !== undefined && attempt < this.#hedge.options.attempts) {
      this.#hedge.wheel.arm(this, this.#delayMs);
    }
    this.#next(this.#work, inner).then(
      (value) => this.#succeeded(inner, value),
      (error) => this.#failed(inner, error),
    );
  }

  #succeeded(inner: HedgedTry, value: unknown): void {
    if (this.#settled) return;
    this.#running.delete(inner);
    // From the first try's start, whichever won: a hedge that saved the call must not shorten the delay that sent it.
    this.#hedge.learn(this.#hedge.options.clock.now() - this.#startMs);
    if (inner.attempt > 1) this.#hedge.won();
    this.#settle();
    this.#resolve(value);
    for (const loser of this.#running) loser.lose();
  }

  #failed(inner: HedgedTry, error: unknown): void {
    if (this.#settled) return;
    this.#running.delete(inner);
    // Another try under way may still succeed; sending more for an error is a retry's business.
    if (this.#running.size > 0) return;
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    this.#settled = true;
    this.#hedge.pending--;
    this.#hedge.wheel.disarm(this);
    this.#scope.removeListener(this);
  }
}

/**
 * Makes a hedge: when a call takes longer than `delayMs`, or than most calls lately did, it is sent again;
 * the first success is the answer and the others are aborted (HOTPATH_HEDGE_LOST).
 *
 * Only for work that may be done twice; any other passes through untouched. It fails when no try is left
 * running, with the last one's error. Source: "The Tail at Scale" (Dean and Barroso, 2013); gRPC A6.
 *
 * @example
 * const policy = hedge({ quantile: 0.95 });
 * const value = await policy.execute(({ signal }) => read(key, { signal }), { idempotent: true });
 *
 * @throws AbortedError (HOTPATH_CLOSED) from `execute`, after `close()`.
 * @throws TypeError or RangeError when an option is wrong.
 */
export function hedge(options: HedgeOptions = {}): HedgePolicy {
  const read = optionReader('hedge', options);
  if (options.delayMs !== undefined && options.quantile !== undefined) {
    throw new TypeError("hedge: option 'delayMs' excludes 'quantile', got both");
  }
  const clock = read.object<Clock>('clock', systemClock, ['now', 'setTimeout', 'clearTimeout']);
  const resolved: ResolvedHedgeOptions = {
    delayMs: read.number('delayMs', undefined, { min: 0, max: Number.MAX_SAFE_INTEGER }),
    quantile: read.number('quantile', 0.95, { min: 0.01, max: 0.9999 }),
    minimumSamples: read.integer('minimumSamples', 100, { min: 1 }),
    attempts: read.integer('attempts', 2, { min: 1, max: 100 }),
    budget:
      read.object<RetryBudget | undefined>('budget', undefined, ['recordCall', 'tryReserve', 'release']) ??
      retryBudget({ ratio: 0.1, clock }),
    idempotent: read.boolean('idempotent', false),
    name: read.string('name', 'hedge'),
    clock,
  };
  read.end();
  return new LearningHedge(Object.freeze(resolved));
}

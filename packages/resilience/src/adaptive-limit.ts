import {
  type AbortedError,
  type Clock,
  isHotpathError,
  type Milliseconds,
  optionReader,
  RejectedError,
  systemClock,
} from '@hotpath/core';
import { limitEvents } from './events.ts';
import { BasePolicy, closedError } from './internal/base-policy.ts';
import { ConcurrencyGate, gatedStep } from './internal/concurrency-gate.ts';
import { aimd, gradient2, type LimitAlgorithm, vegas } from './internal/limit-algorithms.ts';
import type { Scope } from './internal/scope.ts';
import { type TimeSource, timeSource } from './internal/turn-clock.ts';
import type { Policy, Step, Work } from './policy.ts';

/** How an adaptive limit may end a call. */
export type AdaptiveLimitError =
  | RejectedError<'HOTPATH_CONCURRENCY_LIMITED'>
  | AbortedError<'HOTPATH_CLOSED'>;

/** What {@link adaptiveLimit} takes. */
export interface AdaptiveLimitOptions {
  /** How the limit is found. Default `gradient2`. */
  readonly algorithm?: 'aimd' | 'vegas' | 'gradient2' | undefined;
  /** How many calls run at once at the start. Default 20. */
  readonly initialLimit?: number | undefined;
  /** The limit never goes below this. Default 1. */
  readonly minLimit?: number | undefined;
  /** … nor above this. Default 1,000. */
  readonly maxLimit?: number | undefined;
  /** How long samples are gathered before the limit is looked at, in milliseconds. Default 1,000. */
  readonly windowMs?: Milliseconds | undefined;
  /** … and how many there must be. Default 10. */
  readonly minimumSamples?: number | undefined;
  /** Whether an error is a sign of overload. Default: a timeout, or a rejection by a limit further in. Other errors say nothing. */
  readonly isDrop?: ((error: unknown) => boolean) | undefined;
  /** How many calls may wait for room. Default 0. */
  readonly maxWaiting?: number | undefined;
  /** How long one waits at most, in milliseconds. Default 1,000. */
  readonly maxWaitMs?: Milliseconds | undefined;
  /** Its name in events, errors and statistics. Default `adaptive-limit`. */
  readonly name?: string | undefined;
  readonly clock?: Clock | undefined;
}

/** Counters of an adaptive limit since it was made, and what is going on. */
export interface AdaptiveLimitStats {
  readonly kind: 'adaptive-limit';
  readonly name: string;
  /** The limit at present, in whole calls. */
  readonly limit: number;
  readonly inFlight: number;
  readonly waiting: number;
  readonly admittedTotal: number;
  readonly rejectedTotal: number;
  readonly droppedTotal: number;
}

/** Bounds how many calls run at once by what the dependency shows it can bear. */
export interface AdaptiveLimit extends Policy<AdaptiveLimitError> {
  readonly kind: 'adaptive-limit';
  stats(): AdaptiveLimitStats;
}

interface ResolvedAdaptiveLimitOptions {
  readonly algorithm: 'aimd' | 'vegas' | 'gradient2';
  readonly initialLimit: number;
  readonly minLimit: number;
  readonly maxLimit: number;
  readonly windowMs: Milliseconds;
  readonly minimumSamples: number;
  readonly isDrop: (error: unknown) => boolean;
  readonly maxWaiting: number;
  readonly maxWaitMs: Milliseconds;
  readonly name: string;
  readonly clock: Clock;
}

function isOverload(error: unknown): boolean {
  return isHotpathError(error) && (error.family === 'timeout' || error.family === 'rejected');
}

const ALGORITHMS: Readonly<Record<string, () => LimitAlgorithm>> = { aimd, vegas, gradient2 };

class WindowedAdaptiveLimit extends BasePolicy<AdaptiveLimitError> implements AdaptiveLimit {
  readonly kind = 'adaptive-limit';
  readonly #options: ResolvedAdaptiveLimitOptions;
  readonly #gate: ConcurrencyGate;
  readonly #algorithm: LimitAlgorithm;
  readonly #time: TimeSource;
  /** The limit with its fraction; the gate's is the whole part. */
  #limit: number;
  #windowEndMs: Milliseconds;
  #samples = 0;
  #rttSumMs: Milliseconds = 0;
  #mostInFlight = 0;
  #dropped = false;
  #closed = false;
  #admittedTotal = 0;
  #rejectedTotal = 0;
  #droppedTotal = 0;

  constructor(options: ResolvedAdaptiveLimitOptions) {
    super(options.name);
    this.#options = options;
    this.#algorithm = (ALGORITHMS[options.algorithm] as () => LimitAlgorithm)();
    this.#time = timeSource(options.clock);
    this.#limit = options.initialLimit;
    this.#windowEndMs = this.#time.now() + options.windowMs;
    this.#gate = new ConcurrencyGate(
      options.initialLimit,
      options.maxWaiting,
      options.maxWaitMs,
      options.clock,
      {
        full: () => this.#limited(),
        late: () => this.#limited(),
      },
    );
  }

  _compile(next: Step): Step {
    const gated = gatedStep('adaptiveLimit', this.#gate, (work, scope) => this.#run(next, work, scope));
    return (work, scope) =>
      this.#closed
        ? Promise.reject(scope.refuse(closedError('adaptive limit', this.name)))
        : gated(work, scope);
  }

  #run(next: Step, work: Work<unknown>, scope: Scope): Promise<unknown> {
    const gate = this.#gate;
    const { inFlight } = gate;
    const startMs = this.#time.now();
    this.#admittedTotal++;
    const promise = next(work, scope);
    promise.then(
      () => {
        const nowMs = this.#time.now();
        this.#sample(nowMs - startMs, inFlight, false, nowMs);
        gate.leave();
      },
      (error) => {
        if (!scope.forsaken && this.#isDrop(error)) {
          const nowMs = this.#time.now();
          this.#droppedTotal++;
          this.#sample(nowMs - startMs, inFlight, true, nowMs);
        }
        gate.leave();
      },
    );
    return promise;
  }

  #isDrop(error: unknown): boolean {
    try {
      return this.#options.isDrop(error);
    } catch {
      return false;
    }
  }

  #sample(rttMs: Milliseconds, inFlight: number, dropped: boolean, nowMs: Milliseconds): void {
    this.#samples++;
    this.#rttSumMs += rttMs;
    if (inFlight > this.#mostInFlight) this.#mostInFlight = inFlight;
    if (dropped) this.#dropped = true;
    if (nowMs < this.#windowEndMs || this.#samples < this.#options.minimumSamples) return;
    const { minLimit, maxLimit, windowMs } = this.#options;
    const wanted = this.#algorithm.next(this.#limit, {
      rttMs: this.#rttSumMs / this.#samples,
      inFlight: this.#mostInFlight,
      dropped: this.#dropped,
    });
    this.#limit = Math.max(minLimit, Math.min(maxLimit, wanted));
    this.#windowEndMs = nowMs + windowMs;
    this.#samples = 0;
    this.#rttSumMs = 0;
    this.#mostInFlight = 0;
    this.#dropped = false;
    this.#apply();
  }

  #apply(): void {
    const from = this.#gate.limit;
    const to = Math.max(1, Math.floor(this.#limit + 1e-9));
    if (to === from) return;
    this.#gate.limit = to;
    if (limitEvents.hasSubscribers) limitEvents.publish({ name: this.name, from, to });
  }

  stats(): AdaptiveLimitStats {
    return {
      kind: 'adaptive-limit',
      name: this.name,
      limit: this.#gate.limit,
      inFlight: this.#gate.inFlight,
      waiting: this.#gate.waiting,
      admittedTotal: this.#admittedTotal,
      rejectedTotal: this.#rejectedTotal,
      droppedTotal: this.#droppedTotal,
    };
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#gate.clear((scope) => scope.refuse(closedError('adaptive limit', this.name)));
    return Promise.resolve();
  }

  #limited(): AdaptiveLimitError {
    this.#rejectedTotal++;
    const code = 'HOTPATH_CONCURRENCY_LIMITED';
    this.tellRejected(code);
    return new RejectedError(code, `adaptive limit '${this.name}': ${this.#gate.limit} calls run already`);
  }
}

/**
 * Makes a limit on concurrent calls that finds its own value from how long calls take and which are dropped.
 *
 * It moves once a window, and only when at least half of it was in use. Timeouts count as drops, so put
 * a timeout inside. Source: Netflix concurrency-limits; TCP Vegas.
 *
 * @example
 * const policy = pipeline(adaptiveLimit({ algorithm: 'gradient2' }), timeout(500));
 *
 * @throws RejectedError (HOTPATH_CONCURRENCY_LIMITED) from `execute`, when it refuses.
 * @throws AbortedError (HOTPATH_CLOSED) from `execute`, after `close()`.
 * @throws TypeError or RangeError when an option is wrong.
 */
export function adaptiveLimit(options: AdaptiveLimitOptions = {}): AdaptiveLimit {
  const read = optionReader('adaptiveLimit', options);
  const minLimit = read.integer('minLimit', 1, { min: 1 });
  const maxLimit = read.integer('maxLimit', Math.max(1_000, minLimit), { min: minLimit });
  const resolved: ResolvedAdaptiveLimitOptions = {
    algorithm: read.oneOf('algorithm', ['aimd', 'vegas', 'gradient2'], 'gradient2'),
    minLimit,
    maxLimit,
    initialLimit: read.integer('initialLimit', Math.min(maxLimit, Math.max(20, minLimit)), {
      min: minLimit,
      max: maxLimit,
    }),
    windowMs: read.number('windowMs', 1_000, { min: 0 }),
    minimumSamples: read.integer('minimumSamples', 10, { min: 1 }),
    isDrop: read.function('isDrop', isOverload),
    maxWaiting: read.integer('maxWaiting', 0, { min: 0 }),
    maxWaitMs: read.number('maxWaitMs', 1_000, { min: 0 }),
    name: read.string('name', 'adaptive-limit'),
    clock: read.object<Clock>('clock', systemClock, ['now', 'setTimeout', 'clearTimeout']),
  };
  read.end();
  return new WindowedAdaptiveLimit(Object.freeze(resolved));
}

import { EventEmitter } from 'node:events';
import { type Milliseconds, optionReader } from '@hotpath/core';
import OpossumBreaker from 'opossum';
import { circuitCoreOf } from './circuit-breaker.ts';
import type { CircuitBreaker, CircuitState } from './circuit-types.ts';
import type { CircuitCore, CircuitObserver } from './internal/circuit-core.ts';
import { wrongArgument } from './internal/limiter-errors.ts';

/** The statistics that an opossum breaker shows; here they are those of the breaker behind it. */
export interface OpossumStats {
  readonly fires: number;
  readonly successes: number;
  readonly failures: number;
  readonly rejects: number;
}

/** What opossum's users use of an opossum breaker. It is one: `instanceof` holds. */
export interface OpossumFace<Arguments extends unknown[], Value> extends EventEmitter {
  readonly name: string;
  readonly opened: boolean;
  readonly closed: boolean;
  readonly halfOpen: boolean;
  readonly enabled: boolean;
  readonly isShutdown: boolean;
  readonly stats: OpossumStats;
  fire(...given: Arguments): Promise<Value>;
  fallback(instead: (...given: unknown[]) => unknown): this;
  open(): void;
  close(): void;
  enable(): void;
  disable(): void;
  /**
   * Opens the breaker when `check` rejects; now, and every `intervalMs` (default 5,000) until `shutdown()`.
   *
   * @throws TypeError when `check` is no function; RangeError when `intervalMs` is not above 0 and below 2^31.
   */
  healthCheck(check: () => PromiseLike<unknown>, intervalMs?: Milliseconds): void;
  /** Ends its health checks, and leaves the breaker behind it as it is. */
  shutdown(): void;
  toJSON(): unknown;
}

/** What {@link asOpossum} takes besides breaker and action. */
export interface AsOpossumOptions {
  /** Default: the breaker's name. */
  readonly name?: string | undefined;
  /** Default: the name. */
  readonly group?: string | undefined;
}

/** What is taken over from opossum's class; what is overridden is left out, for its types make properties of accessors. */
interface OpossumBase extends EventEmitter {
  readonly enabled: boolean;
  readonly isShutdown: boolean;
  call(context: unknown, ...given: unknown[]): Promise<unknown>;
  shutdown(): void;
}
const Base = OpossumBreaker as unknown as new (
  action: (...given: unknown[]) => unknown,
  options: object,
) => OpossumBase;

// A controller that never rotates keeps opossum's statistics from starting an interval each.
const inertOptions = (): object => ({
  rollingCountBuckets: 1,
  rollingPercentilesEnabled: false,
  enableSnapshots: false,
  rotateBucketController: new EventEmitter(),
});

// opossum does not export the class, but it does make instances, and wants one of its own.
const Status = OpossumBreaker.newStatus(inertOptions() as OpossumBreaker.StatusOptions).constructor as new (
  options: object,
) => object;

/** Statistics that count nothing by themselves: they are read from the breaker's core, in O(1). */
class CoreStatus extends Status {
  readonly #core: CircuitCore;

  constructor(core: CircuitCore) {
    super(inertOptions());
    this.#core = core;
  }

  increment(): void {}

  get stats(): OpossumStats & Record<string, unknown> {
    const { calls, failures, rejectedTotal } = this.#core.stats();
    return {
      fires: calls,
      failures,
      successes: calls - failures,
      rejects: rejectedTotal,
      fallbacks: 0,
      timeouts: 0,
      cacheHits: 0,
      cacheMisses: 0,
      semaphoreRejections: 0,
      percentiles: {},
      latencyTimes: [],
      latencyMean: -1,
    };
  }

  get window(): readonly object[] {
    return [this.stats];
  }
}

const HEALTH_CHECK_MS = 5_000;
/** The platform's timers have 31 bits, and take what is longer for a millisecond. */
const END_OF_TIMERS_MS = 2 ** 31;
const DECIDING_EVENTS = ['open', 'success'];

/**
 * An opossum breaker whose state is another's: opossum does the firing, the fallbacks and the events, and
 * its decisions (when to open, when to try again, what a success means) are taken out.
 */
class FacedBreaker extends Base implements CircuitObserver {
  readonly #core: CircuitCore;
  readonly #healthChecks: NodeJS.Timeout[] = [];
  #refusing = false;

  constructor(breaker: CircuitBreaker, action: (...given: unknown[]) => unknown, options: AsOpossumOptions) {
    const core = circuitCoreOf(breaker);
    const { openMs, windowMs, failureRatio, minimumCalls } = core.options;
    super(
      (...given: unknown[]) =>
        this.enabled ? breaker.execute(() => action(...given)) : Promise.resolve(action(...given)),
      {
        ...inertOptions(),
        name: options.name ?? breaker.name,
        group: options.group ?? options.name ?? breaker.name,
        status: new CoreStatus(core),
        timeout: false,
        resetTimeout: openMs,
        rollingCountTimeout: windowMs,
        errorThresholdPercentage: Math.min(1, failureRatio) * 100,
        volumeThreshold: minimumCalls,
      },
    );
    this.#core = core;
    for (const event of DECIDING_EVENTS) {
      // Its own listeners arm a timer on `open` and close on any `success`. Metrics exporters subscribe to
      // whatever `eventNames()` lists, so the name has to stay.
      this.removeAllListeners(event);
      this.on(event, () => {});
    }
    core.observers ??= new Set();
    core.observers.add(this);
  }

  get closed(): boolean {
    return !this.#refusing && this.#core.state !== 'open' && this.#core.state !== 'isolated';
  }
  get opened(): boolean {
    return this.#core.state === 'open' || this.#core.state === 'isolated';
  }
  get halfOpen(): boolean {
    return this.#core.state === 'half-open';
  }
  // While it "warms up" opossum never opens by itself.
  get warmUp(): boolean {
    return true;
  }

  override call(context: unknown, ...given: unknown[]): Promise<unknown> {
    this.#refusing = this.enabled && !this.isShutdown && this.#core.isRefusing();
    try {
      return super.call(context, ...given);
    } finally {
      this.#refusing = false;
    }
  }

  open(): void {
    this.#core.trip();
  }

  close(): void {
    this.#core.reset();
  }

  healthCheck(check: () => PromiseLike<unknown>, intervalMs = HEALTH_CHECK_MS): void {
    if (typeof check !== 'function') throw new TypeError('healthCheck: the check must be a function');
    if (!(typeof intervalMs === 'number' && intervalMs > 0 && intervalMs < END_OF_TIMERS_MS)) {
      const expected = `a number above 0 and below ${END_OF_TIMERS_MS}`;
      throw wrongArgument('healthCheck', 'intervalMs', expected, intervalMs);
    }
    const run = async (): Promise<void> => {
      try {
        await check.call(this);
      } catch (error) {
        if (this.isShutdown) return;
        this.emit('healthCheckFailed', error);
        this.open();
      }
    };
    const timer = setInterval(run, intervalMs);
    timer.unref();
    this.#healthChecks.push(timer);
    void run();
  }

  override shutdown(): void {
    this.#core.observers?.delete(this);
    // opossum's own leaves them running.
    for (const timer of this.#healthChecks.splice(0)) clearInterval(timer);
    super.shutdown();
  }

  onState(to: CircuitState): void {
    try {
      if (to === 'closed') this.emit('close');
      else if (to === 'half-open') this.emit('halfOpen', this.#core.options.openMs);
      else this.emit('open');
    } catch (error) {
      // A listener's fault is the process's to hear of, and not that of the call whose result moved the breaker.
      process.nextTick(rethrow, error);
    }
  }
}

function rethrow(error: unknown): never {
  throw error;
}

/**
 * Shows a breaker as an opossum breaker for `action`, for what is built on opossum: exporters, dashboards, `fire`.
 *
 * State and statistics are the breaker's, whoever calls it; `fire` goes through it, and a refusal is
 * opossum's own (`EOPENBREAKER`). Events of calls come from `fire`, those of the state from every change.
 * It starts no timer, other than for a health check. Several faces of one breaker are fine.
 *
 * @example
 * const breaker = circuitBreaker({ failureRatio: 0.5 });
 * const face = asOpossum(breaker, (id: string) => fetchUser(id));
 * face.on('open', () => page('user service'));
 * const user = await face.fire('42');
 *
 * @throws TypeError when `breaker` was not made by `circuitBreaker`, or an option is wrong.
 */
export function asOpossum<Arguments extends unknown[], Value>(
  breaker: CircuitBreaker,
  action: (...given: Arguments) => PromiseLike<Value> | Value,
  options: AsOpossumOptions = {},
): OpossumFace<Arguments, Value> {
  if (typeof action !== 'function') throw new TypeError('asOpossum: the second argument must be a function');
  const read = optionReader('asOpossum', options);
  read.string('name', undefined);
  read.string('group', undefined);
  read.end();
  const face = new FacedBreaker(breaker, action as (...given: unknown[]) => unknown, options);
  return face as unknown as OpossumFace<Arguments, Value>;
}

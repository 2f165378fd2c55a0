import type { Milliseconds } from '@hotpath/core';
import { type CircuitBreakerOptions, resolveCircuitBreakerOptions } from './circuit-options.ts';
import type {
  CircuitBreaker,
  CircuitBreakerError,
  CircuitBreakerStats,
  CircuitSnapshot,
  CircuitState,
  Permit,
} from './circuit-types.ts';
import { BasePolicy } from './internal/base-policy.ts';
import { CircuitCore } from './internal/circuit-core.ts';
import { CircuitRefusal, circuitStep } from './internal/circuit-step.ts';
import type { ExecuteOptions, Outcome, Step, Work } from './policy.ts';

class CoreCircuitBreaker extends BasePolicy<CircuitBreakerError> implements CircuitBreaker {
  readonly kind = 'circuit-breaker';
  readonly #core: CircuitCore;

  constructor(core: CircuitCore) {
    super(core.options.name);
    this.#core = core;
  }

  static coreOf(breaker: CoreCircuitBreaker): CircuitCore {
    return breaker.#core;
  }

  get state(): CircuitState {
    return this.#core.state;
  }
  get retryAfterMs(): Milliseconds | undefined {
    return this.#core.retryAfterMs;
  }
  tryEnter(): Permit {
    return this.#core.tryEnter();
  }
  recordSuccess(permit: Permit, durationMs: Milliseconds = 0): void {
    this.#core.recordSuccess(permit, durationMs);
  }
  recordFailure(permit: Permit, durationMs: Milliseconds = 0): void {
    this.#core.recordFailure(permit, durationMs);
  }
  release(permit: Permit): void {
    this.#core.release(permit);
  }
  refusal(): CircuitBreakerError {
    return this.#core.refusal();
  }
  isolate(): () => void {
    return this.#core.isolate();
  }
  trip(): void {
    this.#core.trip();
  }
  reset(): void {
    this.#core.reset();
  }
  exportState(): CircuitSnapshot {
    return this.#core.exportState();
  }
  importState(snapshot: unknown): void {
    this.#core.importState(snapshot);
  }
  stats(): CircuitBreakerStats {
    return this.#core.stats();
  }

  override executeOutcome<Value>(
    work: Work<Value>,
    options?: ExecuteOptions,
  ): Promise<Outcome<Value, CircuitBreakerError>> {
    // Refusing is what an open breaker does most: it costs no error unless somebody reads it.
    if (options?.signal?.aborted !== true && this.#core.isRefusing()) {
      return Promise.resolve(new CircuitRefusal(this.#core));
    }
    return super.executeOutcome(work, options);
  }

  close(): Promise<void> {
    this.#core.shut();
    return Promise.resolve();
  }

  _compile(next: Step): Step {
    return circuitStep(this.#core, next);
  }
}

/**
 * Makes a circuit breaker: after too many failures it refuses calls for a while, then lets a few probes decide.
 *
 * Its calls cost, while closed, a comparison before and a few additions after; it holds no timer and,
 * idle, no window. Errors of this library's limits and the caller's own cancellations do not count.
 *
 * @example
 * const breaker = circuitBreaker({ failureRatio: 0.5, minimumCalls: 20, windowMs: 10_000, openMs: 30_000 });
 * const user = await breaker.execute(({ signal }) => fetchUser(id, { signal }));
 *
 * @throws UnavailableError (HOTPATH_CIRCUIT_OPEN, HOTPATH_CIRCUIT_ISOLATED) from `execute`, when it refuses.
 * @throws AbortedError (HOTPATH_CLOSED) from `execute`, after `close()`.
 * @throws TypeError or RangeError when an option is wrong.
 */
export function circuitBreaker(options: CircuitBreakerOptions = {}): CircuitBreaker {
  return new CoreCircuitBreaker(new CircuitCore(resolveCircuitBreakerOptions(options)));
}

/** @internal */
export function circuitCoreOf(breaker: CircuitBreaker): CircuitCore {
  if (!(breaker instanceof CoreCircuitBreaker))
    throw new TypeError('expected a breaker made by circuitBreaker()');
  return CoreCircuitBreaker.coreOf(breaker);
}

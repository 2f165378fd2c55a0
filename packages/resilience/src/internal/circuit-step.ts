import type { Milliseconds } from '@hotpath/core';
import type { Verdict } from '../circuit-options.ts';
import type { CircuitBreakerError, Permit } from '../circuit-types.ts';
import { classifyError } from '../classify-error.ts';
import type { Step } from '../policy.ts';
import { type CircuitCore, CLOSED } from './circuit-core.ts';
import type { Scope } from './scope.ts';

/** A refusal whose error is made when somebody reads it: a stack costs more than all the rest. */
export class CircuitRefusal {
  readonly status = 'rejected';
  readonly #core: CircuitCore;
  #error: CircuitBreakerError | undefined = undefined;

  constructor(core: CircuitCore) {
    this.#core = core;
  }

  get error(): CircuitBreakerError {
    this.#error ??= this.#core.refusal();
    return this.#error;
  }
}

/** The handlers for the results of one generation, shared by all of its calls. */
interface Handlers {
  readonly generation: Permit;
  readonly onValue: (value: unknown) => void;
  readonly onError: (error: unknown) => void;
}

/**
 * Observes the work's promise rather than standing in its way: the caller gets the very promise of
 * the work, so success costs no extra turn of the microtask queue.
 */
export function circuitStep(core: CircuitCore, next: Step): Step {
  const { slowCallMs, classifyResult, classifyError: classifyGiven } = core.options;
  const timed = slowCallMs !== Number.POSITIVE_INFINITY;
  const verdictOf = classifyGiven ?? classifyError;
  let handlers: Handlers | undefined;

  const settleValue = (permit: Permit, value: unknown, durationMs: Milliseconds): void => {
    let verdict: Verdict = classifyResult === undefined ? 'success' : 'failure';
    try {
      if (classifyResult !== undefined) verdict = classifyResult(value);
    } catch {
      // A broken classifier must not become an unhandled rejection of the observing promise.
    }
    settle(permit, verdict, durationMs);
  };
  const settleError = (permit: Permit, error: unknown, durationMs: Milliseconds): void => {
    let verdict: Verdict = 'failure';
    try {
      verdict = verdictOf(error);
    } catch {
      // As above.
    }
    settle(permit, verdict, durationMs);
  };
  const settle = (permit: Permit, verdict: Verdict, durationMs: Milliseconds): void => {
    if (verdict === 'success') core.recordSuccess(permit, durationMs);
    else if (verdict === 'ignored') core.release(permit);
    else core.recordFailure(permit, durationMs);
  };

  const handlersFor = (generation: Permit): Handlers => {
    handlers = {
      generation,
      onValue:
        classifyResult === undefined
          ? () => core.recordSuccess(generation, 0)
          : (value) => settleValue(generation, value, 0),
      onError: (error) => settleError(generation, error, 0),
    };
    return handlers;
  };

  const observeOne = (
    promise: Promise<unknown>,
    permit: Permit,
    scope: Scope,
    startMs: Milliseconds,
  ): void => {
    promise.then(
      (value) => settleValue(permit, value, timed ? core.now() - startMs : 0),
      (error) => {
        // Whatever it failed with: drivers wrap the signal's reason in errors of their own.
        if (scope.forsaken) core.release(permit);
        else settleError(permit, error, timed ? core.now() - startMs : 0);
      },
    );
  };

  return (work, scope) => {
    const permit = core.phase === CLOSED ? core.generation : core.tryEnter();
    if (permit === 0) return Promise.reject(scope.refuse(core.refusal()));
    if (timed || scope.forsakable) {
      const startMs = timed ? core.now() : 0;
      const promise = next(work, scope);
      observeOne(promise, permit, scope, startMs);
      return promise;
    }
    const shared = handlers !== undefined && handlers.generation === permit ? handlers : handlersFor(permit);
    const promise = next(work, scope);
    promise.then(shared.onValue, shared.onError);
    return promise;
  };
}

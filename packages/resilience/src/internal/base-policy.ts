import { AbortedError, describe, type HotpathError, type Milliseconds } from '@hotpath/core';
import { rejectedEvents } from '../events.ts';
import type { ExecuteOptions, Outcome, Policy, Step, Work } from '../policy.ts';
import { BARE_SCOPE, CallScope } from './scope.ts';

/** The innermost step: the work itself, its synchronous results and throws made a promise. */
export function invoke(work: Work<unknown>, scope: Parameters<Step>[1]): Promise<unknown> {
  try {
    const result = work(scope);
    return result instanceof Promise ? result : Promise.resolve(result);
  } catch (error) {
    return Promise.reject(error);
  }
}

export async function outcomeOf<Value, Failure>(
  step: Step,
  work: Work<Value>,
  options: ExecuteOptions | undefined,
): Promise<Outcome<Value, Failure>> {
  let scope: CallScope | undefined;
  try {
    checkWork(work);
    scope = new CallScope(options);
    if (scope.aborted) return { status: 'failed', error: scope.reason };
    return { status: 'ok', value: (await step(work, scope)) as Value };
  } catch (error) {
    return scope?.wasRefused(error)
      ? { status: 'rejected', error: error as Failure }
      : { status: 'failed', error };
  }
}

function checkWork(work: unknown): void {
  if (typeof work !== 'function') throw wrongWork(work);
}

function wrongWork(work: unknown): TypeError {
  return new TypeError(`execute: the work must be a function, got ${describe(work)}`);
}

/** What every policy has in common: standing alone, and being closed. */
export abstract class BasePolicy<Failure extends HotpathError, Extra = never>
  implements Policy<Failure, Extra>
{
  abstract readonly kind: string;
  readonly name: string;
  declare readonly _failure?: Failure;
  declare readonly _extra?: Extra;
  #alone: Step | undefined = undefined;

  constructor(name: string) {
    this.name = name;
  }

  abstract _compile(next: Step): Step;
  abstract stats(): object;
  abstract close(): Promise<void>;

  execute<Value>(work: Work<Value>, options?: ExecuteOptions): Promise<Value | Extra> {
    const step = this.#alone ?? this.#compileAlone();
    // Before anything counts it: a call that can't be made is no failure of a dependency.
    if (typeof work !== 'function') return Promise.reject(wrongWork(work));
    return options === undefined
      ? (step(work, BARE_SCOPE) as Promise<Value>)
      : this.#executeWith(step, work, options);
  }

  #executeWith<Value>(step: Step, work: Work<Value>, options: ExecuteOptions): Promise<Value> {
    let scope: CallScope;
    try {
      scope = new CallScope(options);
    } catch (error) {
      return Promise.reject(error);
    }
    return scope.aborted ? Promise.reject(scope.reason) : (step(work, scope) as Promise<Value>);
  }

  executeOutcome<Value>(
    work: Work<Value>,
    options?: ExecuteOptions,
  ): Promise<Outcome<Value | Extra, Failure>> {
    return outcomeOf(this.#alone ?? this.#compileAlone(), work, options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Tells whoever listens that this policy ended a call. */
  protected tellRejected(code: string, key?: string, retryAfterMs?: Milliseconds): void {
    if (!rejectedEvents.hasSubscribers) return;
    rejectedEvents.publish({ kind: this.kind, name: this.name, code, key, retryAfterMs });
  }

  #compileAlone(): Step {
    this.#alone = this._compile(invoke);
    return this.#alone;
  }
}

/** The error for a call that comes after `close()`. */
export function closedError(kind: string, name: string): AbortedError<'HOTPATH_CLOSED'> {
  return new AbortedError('HOTPATH_CLOSED', `${kind} '${name}' is closed`);
}

import { AbortedError, type HotpathError } from '@hotpath/core';
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
  const scope = new CallScope(options);
  if (scope.aborted) return { status: 'failed', error: scope.reason };
  try {
    return { status: 'ok', value: (await step(work, scope)) as Value };
  } catch (error) {
    return scope.wasRefused(error)
      ? { status: 'rejected', error: error as Failure }
      : { status: 'failed', error };
  }
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
    if (options === undefined) return step(work, BARE_SCOPE) as Promise<Value>;
    if (options.signal?.aborted) return Promise.reject(options.signal.reason);
    return step(work, new CallScope(options)) as Promise<Value>;
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

  #compileAlone(): Step {
    this.#alone = this._compile(invoke);
    return this.#alone;
  }
}

/** The error for a call that comes after `close()`. */
export function closedError(kind: string, name: string): AbortedError<'HOTPATH_CLOSED'> {
  return new AbortedError('HOTPATH_CLOSED', `${kind} '${name}' is closed`);
}

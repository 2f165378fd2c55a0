import type { HotpathError } from '@hotpath/core';
import type { Scope } from './internal/scope.ts';

/** What the work inside a policy is given. */
export interface PolicyContext {
  /** Aborts when the caller gives up or a policy's time is over. Made when first read. */
  readonly signal: AbortSignal;
  /** Which try this is, from 1. */
  readonly attempt: number;
}

/** What a policy runs; it may be synchronous. */
export type Work<Value> = (context: PolicyContext) => PromiseLike<Value> | Value;

/** What a caller may give besides the work. */
export interface ExecuteOptions {
  /** Ends every wait at once, and reaches the work as `context.signal`. */
  readonly signal?: AbortSignal | undefined;
  /** Whom a keyed policy (a rate limiter) counts this call for. */
  readonly key?: string | undefined;
  /** What this call costs a rate limiter. Default 1. */
  readonly cost?: number | undefined;
  /** Who goes first where calls wait or are shed: from 0 (first) to 9. Default 5. */
  readonly priority?: number | undefined;
  /** Whether doing the work twice does no harm; a hedge needs it. Default false. */
  readonly idempotent?: boolean | undefined;
}

/**
 * What became of a call. `rejected`: a policy ended it, `error` is one of the policies' errors;
 * `failed`: the work itself failed, or the caller aborted it.
 */
export type Outcome<Value, Failure> =
  | { readonly status: 'ok'; readonly value: Value }
  | { readonly status: 'rejected'; readonly error: Failure }
  | { readonly status: 'failed'; readonly error: unknown };

/** @internal */
export type Step = (work: Work<unknown>, scope: Scope) => Promise<unknown>;

/** Something that stands between a caller and the work; alone or as a part of a pipeline. */
export interface Policy<Failure extends HotpathError = never, Extra = never> {
  /** What kind of policy it is: `circuit-breaker`, `retry`, … */
  readonly kind: string;
  /** Its name in events and statistics. */
  readonly name: string;
  /**
   * Runs the work under this policy and settles as it does, unless the policy ends it.
   *
   * @throws The policy's own errors, named at the function that makes it; the work's error, untouched.
   * @throws The caller's `signal.reason`, untouched.
   */
  execute<Value>(work: Work<Value>, options?: ExecuteOptions): Promise<Value | Extra>;
  /** As `execute`, but never rejects: every ending is an {@link Outcome}. */
  executeOutcome<Value>(
    work: Work<Value>,
    options?: ExecuteOptions,
  ): Promise<Outcome<Value | Extra, Failure>>;
  /** Counters since it was made, and what is going on. */
  stats(): object;
  /** Refuses further calls and ends every wait with AbortedError (HOTPATH_CLOSED); work under way goes on. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
  /** Puts this policy around a step; for pipelines. @internal */
  _compile(next: Step): Step;
  /** The errors this policy may end a call with; exists for the type checker only. @internal */
  readonly _failure?: Failure;
  /** What it may give instead of the work's value; exists for the type checker only. @internal */
  readonly _extra?: Extra;
}

/** The union of the values with which a policy, or a pipeline, may stand in for the work's own. */
export type PolicyValue<P> = P extends { readonly _extra?: infer Extra } ? Exclude<Extra, undefined> : never;

/** The union of the errors with which a policy, or a pipeline, may end a call. */
export type PolicyError<P> = P extends { readonly _failure?: infer Failure }
  ? Exclude<Failure, undefined>
  : never;

import { describe, type Milliseconds, WheelTimer } from '@hotpath/core';
import type { ExecuteOptions, PolicyContext } from '../policy.ts';

/** Who wants to be told that a scope was aborted. */
export interface AbortListener {
  onAbort(reason: unknown): void;
}

const NO_OPTIONS: ExecuteOptions = Object.freeze({});

/**
 * What a piece of work may use while it runs, and how its policies tell each other to stop.
 *
 * Scopes form a chain: each policy that bounds its inner part (a timeout, a hedge, an attempt) adds one.
 * An abort runs down the chain through plain listeners; an `AbortSignal` exists only where somebody
 * reads `signal`, because making one costs more than a whole pipeline.
 */
export abstract class Scope extends WheelTimer implements PolicyContext {
  readonly options: ExecuteOptions;
  /** Monotonic time after which the result is of no use to anybody; Infinity when there is none. */
  readonly deadlineMs: Milliseconds;
  readonly attempt: number;
  /** Whether `forsaken` may ever become true, so that others need not look. */
  readonly forsakable: boolean;
  #listeners: AbortListener | Set<AbortListener> | undefined = undefined;

  constructor(options: ExecuteOptions, deadlineMs: Milliseconds, attempt: number, forsakable: boolean) {
    super();
    this.options = options;
    this.deadlineMs = deadlineMs;
    this.attempt = attempt;
    this.forsakable = forsakable;
  }

  abstract get signal(): AbortSignal;
  /** Whether it can be aborted at all, and so whether waiting needs to listen. */
  abstract get abortable(): boolean;
  abstract get aborted(): boolean;
  abstract get reason(): unknown;
  /** Nobody wants the result any more: the caller left, or another try won. Its failure says nothing about the dependency. */
  abstract get forsaken(): boolean;
  /** Marks `error` as made by a policy of this call, for `executeOutcome`; returns it. */
  abstract refuse<Failure>(error: Failure): Failure;

  override onDue(): void {}

  addListener(listener: AbortListener): void {
    const current = this.#listeners;
    if (current === undefined) this.#listeners = listener;
    else if (current instanceof Set) current.add(listener);
    else this.#listeners = new Set([current, listener]);
  }

  removeListener(listener: AbortListener): void {
    const current = this.#listeners;
    if (current === listener) this.#listeners = undefined;
    else if (current instanceof Set) current.delete(listener);
  }

  protected notifyAbort(reason: unknown): void {
    const current = this.#listeners;
    this.#listeners = undefined;
    if (current === undefined) return;
    if (current instanceof Set) for (const listener of current) listener.onAbort(reason);
    else current.onAbort(reason);
  }

  protected get hasListeners(): boolean {
    const current = this.#listeners;
    return current instanceof Set ? current.size > 0 : current !== undefined;
  }
}

/** The scope of a call that was given nothing: shared by all of them, so it keeps no state. */
class BareScope extends Scope {
  // Each reader gets a signal of its own: listeners on one shared for ever would pile up.
  get signal(): AbortSignal {
    return new AbortController().signal;
  }
  get abortable(): boolean {
    return false;
  }
  get aborted(): boolean {
    return false;
  }
  get reason(): unknown {
    return undefined;
  }
  get forsaken(): boolean {
    return false;
  }
  refuse<Failure>(error: Failure): Failure {
    return error;
  }
  override addListener(): void {}
  override removeListener(): void {}
}

export const BARE_SCOPE: Scope = new BareScope(NO_OPTIONS, Number.POSITIVE_INFINITY, 1, false);

/** The outermost scope of one call: holds what the caller gave. */
export class CallScope extends Scope {
  #refusals: unknown[] | undefined = undefined;
  #ownSignal: AbortSignal | undefined = undefined;

  /** @throws TypeError when `options` is not an object, or its signal not an AbortSignal. */
  constructor(options: ExecuteOptions = NO_OPTIONS) {
    if (typeof options !== 'object' || options === null) {
      throw new TypeError(`execute: options must be an object, got ${describe(options)}`);
    }
    const { signal } = options;
    if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
      throw new TypeError(`execute: option 'signal' must be an AbortSignal, got ${describe(signal)}`);
    }
    super(options, Number.POSITIVE_INFINITY, 1, signal !== undefined);
  }

  get signal(): AbortSignal {
    if (this.options.signal !== undefined) return this.options.signal;
    this.#ownSignal ??= new AbortController().signal;
    return this.#ownSignal;
  }
  get abortable(): boolean {
    return this.options.signal !== undefined;
  }
  get aborted(): boolean {
    return this.options.signal?.aborted === true;
  }
  get reason(): unknown {
    return this.options.signal?.reason;
  }
  get forsaken(): boolean {
    return this.aborted;
  }

  override refuse<Failure>(error: Failure): Failure {
    if (this.#refusals === undefined) this.#refusals = [error];
    else this.#refusals.push(error);
    return error;
  }

  wasRefused(error: unknown): boolean {
    return this.#refusals?.includes(error) === true;
  }

  override addListener(listener: AbortListener): void {
    if (!this.hasListeners) this.options.signal?.addEventListener('abort', this);
    super.addListener(listener);
  }

  override removeListener(listener: AbortListener): void {
    super.removeListener(listener);
    if (!this.hasListeners) this.options.signal?.removeEventListener('abort', this);
  }

  /** Called by the caller's signal. */
  handleEvent(): void {
    this.options.signal?.removeEventListener('abort', this);
    this.notifyAbort(this.reason);
  }
}

/** A scope inside another: ends with it, or earlier on its own. */
export class ChildScope extends Scope implements AbortListener {
  readonly parent: Scope;
  #controller: AbortController | undefined = undefined;
  #abortReason: { readonly reason: unknown } | undefined = undefined;

  constructor(
    parent: Scope,
    deadlineMs: Milliseconds,
    attempt: number,
    forsakable: boolean = parent.forsakable,
  ) {
    super(
      parent.options,
      deadlineMs < parent.deadlineMs ? deadlineMs : parent.deadlineMs,
      attempt,
      forsakable,
    );
    this.parent = parent;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason.reason);
    }
    return this.#controller.signal;
  }
  get abortable(): boolean {
    return true;
  }
  get aborted(): boolean {
    return this.#abortReason !== undefined;
  }
  get reason(): unknown {
    return this.#abortReason?.reason;
  }
  get forsaken(): boolean {
    return this.parent.forsaken;
  }
  refuse<Failure>(error: Failure): Failure {
    return this.parent.refuse(error);
  }

  /** Follows the parent from now on; `unfollow()` must be called when the work is settled. */
  follow(): void {
    if (!this.parent.abortable) return;
    if (this.parent.aborted) this.onAbort(this.parent.reason);
    else this.parent.addListener(this);
  }

  unfollow(): void {
    if (this.parent.abortable) this.parent.removeListener(this);
  }

  onAbort(reason: unknown): void {
    this.abort(reason);
  }

  abort(reason: unknown): void {
    if (this.#abortReason !== undefined) return;
    this.#abortReason = { reason };
    this.#controller?.abort(reason);
    this.notifyAbort(reason);
  }
}

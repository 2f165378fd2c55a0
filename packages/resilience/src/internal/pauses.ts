import type { Clock, Milliseconds, TimerHandle } from '@hotpath/core';
import type { AbortListener, Scope } from './scope.ts';

/** The waits of one policy: each ends by time, with its scope, or when the policy lets go of it. */
export class Pauses {
  readonly #clock: Clock;
  readonly #pauses = new Set<Pause>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#pauses.size;
  }

  /** Resolves after `forMs`, or at `endAll`. Rejects with the scope's reason when it is aborted, or as `leaveAll` says. */
  wait(scope: Scope, forMs: Milliseconds): Promise<void> {
    if (scope.aborted) return Promise.reject(scope.reason);
    return new Promise((resolve, reject) => {
      const pause = new Pause(scope, resolve, reject, (settled, timer) => {
        this.#clock.clearTimeout(timer);
        this.#pauses.delete(settled);
      });
      this.#pauses.add(pause);
      scope.addListener(pause);
      pause.timer = this.#clock.setTimeout(() => pause.end(), forMs);
    });
  }

  endAll(): void {
    for (const pause of this.#pauses) pause.end();
  }

  leaveAll(errorFor: (scope: Scope) => unknown): void {
    for (const pause of this.#pauses) pause.onAbort(errorFor(pause.scope));
  }
}

class Pause implements AbortListener {
  readonly scope: Scope;
  timer: TimerHandle | undefined = undefined;
  readonly #resolve: () => void;
  readonly #reject: (reason: unknown) => void;
  readonly #onSettled: (pause: Pause, timer: TimerHandle | undefined) => void;

  constructor(
    scope: Scope,
    resolve: () => void,
    reject: (reason: unknown) => void,
    onSettled: (pause: Pause, timer: TimerHandle | undefined) => void,
  ) {
    this.scope = scope;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#onSettled = onSettled;
  }

  end(): void {
    this.#settle();
    this.#resolve();
  }

  onAbort(reason: unknown): void {
    this.#settle();
    this.#reject(reason);
  }

  #settle(): void {
    this.scope.removeListener(this);
    this.#onSettled(this, this.timer);
  }
}

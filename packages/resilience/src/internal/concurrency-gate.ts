import { type Clock, createTimerWheel, type Milliseconds, type TimerWheel } from '@hotpath/core';
import type { Step } from '../policy.ts';
import type { Scope } from './scope.ts';
import { checkedPriority, Waiter, WaitingRoom } from './waiting-room.ts';

/** The errors with which a gate turns away; made by the policy that owns it. */
export interface GateErrors {
  full(): Error;
  late(): Error;
}

/** Lets at most `limit` in at once; further ones wait in a bounded room, in the order of priority and arrival. */
export class ConcurrencyGate {
  /** May be changed while calls run; who waits for a raised one goes in with the next `leave()`. */
  limit: number;
  inFlight = 0;
  readonly #clock: Clock;
  readonly #maxWaiting: number;
  readonly #maxWaitMs: Milliseconds;
  readonly #errors: GateErrors;
  readonly #room = new WaitingRoom<GateWaiter>();
  #wheel: TimerWheel | undefined;

  constructor(limit: number, maxWaiting: number, maxWaitMs: Milliseconds, clock: Clock, errors: GateErrors) {
    this.limit = limit;
    this.#maxWaiting = maxWaiting;
    this.#maxWaitMs = maxWaitMs;
    this.#clock = clock;
    this.#errors = errors;
  }

  get waiting(): number {
    return this.#room.size;
  }

  /** Goes in at once, or says no. Nobody overtakes those who wait. */
  tryEnter(): boolean {
    if (this.inFlight >= this.limit || this.#room.size > 0) return false;
    this.inFlight++;
    return true;
  }

  /** Goes in when there is room; rejects when the waiting room is full, at the deadline, and when the scope ends. */
  enter(scope: Scope, priority: number): Promise<void> {
    const patienceMs = Math.min(this.#maxWaitMs, scope.deadlineMs - this.#clock.now());
    if (this.#room.size >= this.#maxWaiting || patienceMs <= 0)
      return Promise.reject(scope.refuse(this.#errors.full()));
    if (scope.aborted) return Promise.reject(scope.reason);
    return new Promise((resolve, reject) => {
      const waiter = new GateWaiter(this, scope, priority, resolve, reject);
      this.#room.enter(waiter);
      scope.addListener(waiter);
      if (patienceMs === Number.POSITIVE_INFINITY) return;
      this.#wheel ??= createTimerWheel({ clock: this.#clock, tickMs: 1 });
      this.#wheel.arm(waiter, patienceMs);
    });
  }

  leave(): void {
    this.inFlight--;
    if (this.#room.size > 0) this.#admitWaiting();
  }

  #admitWaiting(): void {
    while (this.inFlight < this.limit) {
      const waiter = this.#room.peek();
      if (waiter === undefined) return;
      this.inFlight++;
      this.#letGo(waiter);
      waiter.resolve();
    }
  }

  /** Turns away everybody who waits. */
  clear(errorFor: (scope: Scope) => unknown): void {
    for (let waiter = this.#room.peek(); waiter !== undefined; waiter = this.#room.peek()) {
      this.turnAway(waiter, errorFor(waiter.scope));
    }
  }

  turnAway(waiter: GateWaiter, reason: unknown): void {
    if (this.#letGo(waiter)) waiter.reject(reason);
  }

  late(): Error {
    return this.#errors.late();
  }

  #letGo(waiter: GateWaiter): boolean {
    if (!this.#room.leave(waiter)) return false;
    this.#wheel?.disarm(waiter);
    waiter.scope.removeListener(waiter);
    return true;
  }
}

/** Lets each call through the gate; `run` makes it, and gives its place back when it has ended. */
export function gatedStep(owner: string, gate: ConcurrencyGate, run: Step): Step {
  return (work, scope) => {
    if (gate.tryEnter()) return run(work, scope);
    let priority: number;
    try {
      priority = checkedPriority(owner, scope.options.priority);
    } catch (error) {
      return Promise.reject(error);
    }
    return gate.enter(scope, priority).then(() => {
      if (!scope.aborted) return run(work, scope);
      // It was aborted between its admission and its turn.
      gate.leave();
      throw scope.reason;
    });
  };
}

class GateWaiter extends Waiter {
  readonly scope: Scope;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
  readonly #gate: ConcurrencyGate;

  constructor(
    gate: ConcurrencyGate,
    scope: Scope,
    priority: number,
    resolve: () => void,
    reject: (reason: unknown) => void,
  ) {
    super(priority, 1);
    this.#gate = gate;
    this.scope = scope;
    this.resolve = resolve;
    this.reject = reject;
  }

  override onDue(): void {
    this.#gate.turnAway(this, this.scope.refuse(this.#gate.late()));
  }

  onAbort(reason: unknown): void {
    this.#gate.turnAway(this, reason);
  }
}

import type { TimerHandle } from '@hotpath/core';
import type { Admission, Bucket } from './gcra.ts';
import type { KeyEntry } from './key-table.ts';
import type { Scope } from './scope.ts';
import { Waiter, WaitingRoom } from './waiting-room.ts';

/** One key's bucket, and who waits for it. */
export class LimiterBucket implements Bucket, KeyEntry {
  tatMs = 0;
  /** Made when the first one has to wait, and dropped when the last one has gone. */
  waiters: WaitingRoom<LimiterWaiter> | undefined = undefined;
  timer: TimerHandle | undefined = undefined;

  get busy(): boolean {
    return this.waiters !== undefined;
  }

  enter(waiter: LimiterWaiter): void {
    this.waiters ??= new WaitingRoom();
    this.waiters.enter(waiter);
  }
}

/** What a limiter does with a waiter that has to leave. */
export interface LimiterWaiterEvents {
  onDeadline(waiter: LimiterWaiter): void;
  onAbort(waiter: LimiterWaiter, reason: unknown): void;
}

/** A call that waits for its turn. */
export class LimiterWaiter extends Waiter {
  readonly bucket: LimiterBucket;
  readonly scope: Scope | undefined;
  readonly resolve: (admission: Admission) => void;
  readonly reject: (reason: unknown) => void;
  readonly #events: LimiterWaiterEvents;

  constructor(
    bucket: LimiterBucket,
    priority: number,
    cost: number,
    scope: Scope | undefined,
    resolve: (admission: Admission) => void,
    reject: (reason: unknown) => void,
    events: LimiterWaiterEvents,
  ) {
    super(priority, cost);
    this.bucket = bucket;
    this.scope = scope;
    this.resolve = resolve;
    this.reject = reject;
    this.#events = events;
  }

  override onDue(): void {
    this.#events.onDeadline(this);
  }

  onAbort(reason: unknown): void {
    this.#events.onAbort(this, reason);
  }
}

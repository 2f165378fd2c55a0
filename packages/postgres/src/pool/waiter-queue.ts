import { WheelTimer } from '@hotpath/core';
import type { PooledConnection } from './pooled-connection.ts';

/** Somebody who wants a connection. Its timer is its own to arm. */
export abstract class Waiter extends WheelTimer {
  /** Its neighbours in the queue: kept here, so that to leave it takes no search. */
  nextWaiter: Waiter | undefined = undefined;
  previousWaiter: Waiter | undefined = undefined;
  queued = false;
  /** Where it asked, when that was noted. */
  site: string | undefined = undefined;

  /** Called at most once, with a connection that is the waiter's until it is released. */
  abstract onConnection(connection: PooledConnection): void;
  /** Called at most once, instead. */
  abstract onRefused(error: Error): void;
}

/** First come, first served; to join, to leave and to be served take constant time. */
export class WaiterQueue {
  #first: Waiter | undefined;
  #last: Waiter | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(waiter: Waiter): void {
    waiter.queued = true;
    waiter.previousWaiter = this.#last;
    if (this.#last === undefined) this.#first = waiter;
    else this.#last.nextWaiter = waiter;
    this.#last = waiter;
    this.#size++;
  }

  shift(): Waiter | undefined {
    const first = this.#first;
    if (first !== undefined) this.remove(first);
    return first;
  }

  /** Returns whether it was here. */
  remove(waiter: Waiter): boolean {
    if (!waiter.queued) return false;
    const { previousWaiter, nextWaiter } = waiter;
    if (previousWaiter === undefined) this.#first = nextWaiter;
    else previousWaiter.nextWaiter = nextWaiter;
    if (nextWaiter === undefined) this.#last = previousWaiter;
    else nextWaiter.previousWaiter = previousWaiter;
    waiter.previousWaiter = undefined;
    waiter.nextWaiter = undefined;
    waiter.queued = false;
    this.#size--;
    return true;
  }
}

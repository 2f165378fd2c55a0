import type { Connection } from './connection.ts';

/** Somebody who waits for a connection; an element of at most one {@link WaiterQueue}. */
export abstract class Waiter {
  _next: Waiter | undefined = undefined;
  _previous: Waiter | undefined = undefined;
  /** The queue that it waits in. */
  _queue: WaiterQueue | undefined = undefined;
  /** 0 to 9; the higher goes first. */
  abstract readonly priority: number;

  /** It has a connection now, and must give it back. */
  abstract onConnection(connection: Connection): void;
  /** A connection that was begun for it could not be made. */
  abstract onConnectFailure(error: unknown): void;
}

/** The lowest and highest priority, and the one that is meant when none is given. */
export const PRIORITY = { min: 0, max: 9, default: 5 } as const;

/** A queue with ten priorities, first come first served within each; everything is O(1) but for the ten. */
export class WaiterQueue {
  readonly #heads: (Waiter | undefined)[] = new Array(PRIORITY.max + 1).fill(undefined);
  readonly #tails: (Waiter | undefined)[] = new Array(PRIORITY.max + 1).fill(undefined);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(waiter: Waiter): void {
    const { priority } = waiter;
    const tail = this.#tails[priority];
    waiter._queue = this;
    waiter._previous = tail;
    if (tail === undefined) this.#heads[priority] = waiter;
    else tail._next = waiter;
    this.#tails[priority] = waiter;
    this.#size++;
  }

  /** Takes out whoever is next. */
  shift(): Waiter | undefined {
    if (this.#size === 0) return undefined;
    for (let priority = PRIORITY.max; priority >= 0; priority--) {
      const head = this.#heads[priority];
      if (head === undefined) continue;
      this.remove(head);
      return head;
    }
    return undefined;
  }

  remove(waiter: Waiter): void {
    if (waiter._queue !== this) return;
    const { priority, _next: next, _previous: previous } = waiter;
    if (previous === undefined) this.#heads[priority] = next;
    else previous._next = next;
    if (next === undefined) this.#tails[priority] = previous;
    else next._previous = previous;
    waiter._next = undefined;
    waiter._previous = undefined;
    waiter._queue = undefined;
    this.#size--;
  }
}

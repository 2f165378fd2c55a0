import type { Connection } from './connection.ts';

/** The client's idle connections, the one that has been idle longest first. */
export class IdleList {
  #oldest: Connection | undefined;
  #newest: Connection | undefined;
  #size = 0;
  /** Stamped on what becomes idle, so that it can be told later what was idle before. */
  period = 0;

  get size(): number {
    return this.#size;
  }

  get oldest(): Connection | undefined {
    return this.#oldest;
  }

  add(connection: Connection): void {
    const newest = this.#newest;
    connection._isIdle = true;
    connection._idlePeriod = this.period;
    connection._idlePrevious = newest;
    if (newest === undefined) this.#oldest = connection;
    else newest._idleNext = connection;
    this.#newest = connection;
    this.#size++;
  }

  remove(connection: Connection): void {
    if (!connection._isIdle) return;
    const { _idleNext: next, _idlePrevious: previous } = connection;
    if (next === undefined) this.#newest = previous;
    else next._idlePrevious = previous;
    if (previous === undefined) this.#oldest = next;
    else previous._idleNext = next;
    connection._idleNext = undefined;
    connection._idlePrevious = undefined;
    connection._isIdle = false;
    this.#size--;
  }
}

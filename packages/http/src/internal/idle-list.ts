import type { Clock, TimerHandle } from '@hotpath/core';
import type { Connection } from './connection.ts';

/** For how long a connection is idle at least before it is closed as one too many. */
const TRIM_AFTER_MS = 50;

/** The client's idle connections, the one that has been idle longest first. */
export class IdleList {
  readonly #max: number;
  readonly #clock: Clock;
  readonly #close: (connection: Connection) => void;
  #oldest: Connection | undefined;
  #newest: Connection | undefined;
  #size = 0;
  /** Stamped on what becomes idle, so that it can be told later what was idle before. */
  #period = 0;
  #trimTimer: TimerHandle | undefined;

  /** `close` takes a connection out of the list, too. */
  constructor(max: number, clock: Clock, close: (connection: Connection) => void) {
    this.#max = max;
    this.#clock = clock;
    this.#close = close;
  }

  get size(): number {
    return this.#size;
  }

  get oldest(): Connection | undefined {
    return this.#oldest;
  }

  add(connection: Connection): void {
    const newest = this.#newest;
    connection._isIdle = true;
    connection._idlePeriod = this.#period;
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

  /**
   * Where there are more than may be, closes those that stay idle for a whole period.
   *
   * Callers that come in bursts leave all of them idle for a moment, and to connect anew for the next
   * burst costs far more than to keep them so long.
   */
  trim(): void {
    if (this.#size <= this.#max || this.#trimTimer !== undefined) return;
    const period = ++this.#period;
    // Who keeps none wants none to be used again.
    this.#trimTimer = this.#clock.setTimeout(
      () => this.#trimBefore(period),
      this.#max === 0 ? 0 : TRIM_AFTER_MS,
    );
    this.#trimTimer.unref();
  }

  stopTrimming(): void {
    this.#clock.clearTimeout(this.#trimTimer);
  }

  #trimBefore(period: number): void {
    this.#trimTimer = undefined;
    while (this.#size > this.#max && this.#oldest!._idlePeriod < period) this.#close(this.#oldest!);
    this.trim();
  }
}

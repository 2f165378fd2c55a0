import type { Clock, Milliseconds, TimerHandle } from '@hotpath/core';
import type { Connection } from './connection.ts';
import { IdleList } from './idle-list.ts';
import { OriginPool } from './origin-pool.ts';
import type { Waiter } from './waiter-queue.ts';

/** Makes one connection to an origin, and calls back once. */
export type Dial = (
  origin: OriginPool,
  callback: (error: unknown, connection: Connection | undefined) => void,
) => void;

export interface ConnectionPoolOptions {
  readonly maxConnections: number;
  readonly maxConnectionsPerOrigin: number;
  readonly maxIdle: number;
  readonly maxAgeMs: Milliseconds;
  readonly maxWaitingPerOrigin: number;
  /** No other origin is expected. While there is one only, it may have all connections. */
  readonly hasOneOrigin: boolean;
  /** How many exchanges a connection to an origin may carry, before there was one to tell. */
  readonly exchangesExpected: (origin: OriginPool) => number;
  readonly clock: Clock;
}

/** For how long a connection is idle at least before it is closed as one too many. */
const TRIM_AFTER_MS = 50;

/**
 * Hands out connections: at most so many in all, the most recently used first, shared fairly among origins.
 *
 * Whoever finds none waits in its origin's queue. A connection is begun for each waiter that those
 * being made will not serve; whoever is first takes whichever connection is free first. Where all
 * places are taken, an origin with more than its fair share gives up connections as they come back.
 */
export class ConnectionPool {
  readonly #options: ConnectionPoolOptions;
  readonly #dial: Dial;
  readonly #idle = new IdleList();
  /** Origins with waiters. */
  readonly #waiting = new Set<OriginPool>();
  readonly #origins = new Set<OriginPool>();
  readonly #connections = new Set<Connection>();
  #open = 0;
  #closing = 0;
  #pumpScheduled = false;
  #trimTimer: TimerHandle | undefined;
  #closed = false;
  #destroyed = false;
  #onEmpty: (() => void) | undefined;

  constructor(options: ConnectionPoolOptions, dial: Dial) {
    this.#options = options;
    this.#dial = dial;
  }

  /** Connections that are there or being made. */
  get open(): number {
    return this.#open;
  }

  get idle(): number {
    return this.#idle.size;
  }

  /** Whether anybody waits for a connection. */
  get hasWaiters(): boolean {
    return this.#waiting.size > 0;
  }

  addOrigin(url: URL): OriginPool {
    const origin = new OriginPool(url);
    origin.exchangesPerConnection = this.#options.exchangesExpected(origin);
    this.#origins.add(origin);
    return origin;
  }

  removeOrigin(origin: OriginPool): void {
    this.dropIdle(origin);
    this.#origins.delete(origin);
  }

  /** A free connection, if there is one and nobody waits for it. */
  take(origin: OriginPool, nowMs: Milliseconds): Connection | undefined {
    return origin.waiters.size === 0 ? this.#takeWithRoom(origin, nowMs) : undefined;
  }

  /** Whether a connection to this origin could be made at once, and for nobody else. */
  hasPlaceFor(origin: OriginPool): boolean {
    const { maxConnections, maxConnectionsPerOrigin } = this.#options;
    return this.#waiting.size === 0 && this.#open < maxConnections && origin.open < maxConnectionsPerOrigin;
  }

  /** Queues a waiter; `false` when its origin's queue is full, or nothing will be connected any more. */
  enqueue(origin: OriginPool, waiter: Waiter): boolean {
    if (this.#destroyed) return false;
    origin.waiters.push(waiter);
    this.#waiting.add(origin);
    this.#dialForWaiters();
    // Those for whom a connection is being made wait for the network, not for a place.
    const served = origin.connecting * origin.exchangesPerConnection;
    if (origin.waiters.size <= served + this.#options.maxWaitingPerOrigin) return true;
    this.leave(origin, waiter);
    return false;
  }

  /** Takes a waiter out of its queue; connections begun for it go to others. */
  leave(origin: OriginPool, waiter: Waiter): void {
    origin.waiters.remove(waiter);
    if (origin.waiters.size === 0) this.#waiting.delete(origin);
  }

  /** Gives a place on a connection back. Waiters get it in a microtask: undici is not done with it yet. */
  release(connection: Connection): void {
    const { origin } = connection;
    connection.inFlight--;
    origin.inFlight--;
    if (connection.closing) {
      if (connection.inFlight === 0) connection.close();
      return;
    }
    if (!connection.usable) return;
    if (connection.inFlight === 0 && (this.#isEnding || this.#mustYield(origin))) {
      this.#close(connection);
      return;
    }
    if (!connection._hasRoom) origin.addWithRoom(connection);
    if (connection.inFlight === 0) {
      this.#idle.add(connection);
      if (this.#idle.size > this.#options.maxIdle) this.#scheduleTrim();
    }
    if (this.#waiting.size > 0) this.#schedulePump();
  }

  /** Closes the idle connections of an origin. */
  dropIdle(origin: OriginPool): void {
    for (let connection = this.#idle.oldest; connection !== undefined; ) {
      const next = connection._idleNext;
      if (connection.origin === origin) this.#close(connection);
      connection = next;
    }
  }

  /** Takes no more exchanges on this connection, and closes it when those that it holds are done. */
  retire(connection: Connection): void {
    if (connection.closing) return;
    if (connection.inFlight === 0) {
      this.#close(connection);
      return;
    }
    this.#markClosing(connection);
    this.#schedulePump();
  }

  /** A connection's socket is closed. */
  onClosed(connection: Connection): void {
    if (!this.#connections.delete(connection)) return;
    this.#idle.remove(connection);
    connection.origin.removeWithRoom(connection);
    if (connection.closing) this.#closing--;
    connection.closing = true;
    this.#forgetPlace(connection.origin);
  }

  /** Serves whoever waits already, and closes what is idle; resolves when nothing is open any more. */
  close(): Promise<void> {
    this.#closed = true;
    this.#options.clock.clearTimeout(this.#trimTimer);
    for (let connection = this.#idle.oldest; connection !== undefined; connection = this.#idle.oldest) {
      this.#close(connection);
    }
    if (this.#isEmpty) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  /** Fails whoever waits, and ends every connection, with whatever it carries. */
  destroy(error: unknown): void {
    this.#destroyed = true;
    for (const { waiters } of this.#waiting) {
      for (let waiter = waiters.shift(); waiter !== undefined; waiter = waiters.shift()) {
        waiter.onConnectFailure(error);
      }
    }
    this.#waiting.clear();
    for (const connection of this.#connections) {
      if (!connection.closing) this.#markClosing(connection);
      connection.destroy();
    }
    if (this.#isEmpty) this.#onEmpty?.();
  }

  /** Closed, and nobody waits: a connection that comes free is for nobody. */
  get #isEnding(): boolean {
    return this.#closed && this.#waiting.size === 0;
  }

  get #isEmpty(): boolean {
    return this.#open === 0 && this.#isEnding;
  }

  #forgetPlace(origin: OriginPool): void {
    origin.open--;
    this.#open--;
    if (this.#waiting.size > 0) this.#dialForWaiters();
    else if (this.#isEmpty) this.#onEmpty?.();
  }

  #takeWithRoom(origin: OriginPool, nowMs: Milliseconds): Connection | undefined {
    for (let connection = origin.lastWithRoom; connection !== undefined; connection = origin.lastWithRoom) {
      if (!connection.usable) {
        this.#idle.remove(connection);
        origin.removeWithRoom(connection);
        continue;
      }
      if (nowMs - connection.openedMs > this.#options.maxAgeMs) {
        this.retire(connection);
        continue;
      }
      connection.inFlight++;
      origin.inFlight++;
      origin.dispatched++;
      this.#idle.remove(connection);
      if (connection.inFlight >= connection.capacity) origin.removeWithRoom(connection);
      return connection;
    }
    return undefined;
  }

  #markClosing(connection: Connection): void {
    connection.closing = true;
    this.#closing++;
    this.#idle.remove(connection);
    connection.origin.removeWithRoom(connection);
  }

  #close(connection: Connection): void {
    if (!connection.closing) this.#markClosing(connection);
    connection.close();
  }

  #schedulePump(): void {
    if (this.#pumpScheduled) return;
    this.#pumpScheduled = true;
    queueMicrotask(() => {
      this.#pumpScheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    const nowMs = this.#options.clock.now();
    for (const origin of this.#waiting) {
      while (origin.waiters.size > 0) {
        const connection = this.#takeWithRoom(origin, nowMs);
        if (connection === undefined) break;
        origin.waiters.shift()!.onConnection(connection);
      }
      if (origin.waiters.size === 0) this.#waiting.delete(origin);
    }
    if (this.#waiting.size > 0) this.#dialForWaiters();
  }

  #dialForWaiters(): void {
    for (;;) {
      const origin = this.#neediest();
      if (origin === undefined) return;
      if (this.#open >= this.#options.maxConnections) {
        // Each connection that closes makes room for one; those on their way count.
        const idle = this.#closing === 0 ? this.#idle.oldest : undefined;
        if (idle !== undefined) this.#close(idle);
        return;
      }
      this.#dialFor(origin);
    }
  }

  /** The origin that has the fewest connections among those that need one more and may have it. */
  #neediest(): OriginPool | undefined {
    const { maxConnections, maxConnectionsPerOrigin } = this.#options;
    // A quarter is kept for origins below their share, so that slow ones can't take everything.
    const reserved = this.#sharesWithOthers ? Math.floor(maxConnections / 4) : 0;
    let best: OriginPool | undefined;
    for (const origin of this.#waiting) {
      if (origin.waiters.size <= origin.connecting * origin.exchangesPerConnection) continue;
      if (origin.open >= maxConnectionsPerOrigin) continue;
      if (this.#open >= maxConnections - reserved && origin.open >= this.#fairShare()) continue;
      if (best === undefined || origin.open < best.open) best = origin;
    }
    return best;
  }

  get #sharesWithOthers(): boolean {
    return this.#origins.size > 1 || !this.#options.hasOneOrigin;
  }

  #fairShare(): number {
    let active = 0;
    for (const origin of this.#origins) if (origin.open > 0 || origin.waiters.size > 0) active++;
    // One more than there are, so that the next origin to come finds room.
    if (this.#sharesWithOthers) active++;
    return Math.max(1, Math.floor(this.#options.maxConnections / active));
  }

  /** Whether an origin has to give its connection up for one that has less than its share. */
  #mustYield(origin: OriginPool): boolean {
    if (this.#waiting.size === 0 || this.#open < this.#options.maxConnections || this.#closing > 0)
      return false;
    const share = this.#fairShare();
    if (origin.open <= share) return false;
    for (const other of this.#waiting) {
      if (other !== origin && other.open < share && other.waiters.size > other.connecting) return true;
    }
    return false;
  }

  #dialFor(origin: OriginPool): void {
    origin.open++;
    origin.connecting++;
    this.#open++;
    this.#dial(origin, (error, connection) => {
      origin.connecting--;
      if (connection === undefined) {
        const waiter = origin.waiters.shift();
        if (origin.waiters.size === 0) this.#waiting.delete(origin);
        this.#forgetPlace(origin);
        waiter?.onConnectFailure(error);
        if (this.#isEmpty) this.#onEmpty?.();
        return;
      }
      origin.connects++;
      origin.exchangesPerConnection = connection.capacity;
      this.#connections.add(connection);
      if (this.#isEnding) {
        this.#close(connection);
        return;
      }
      origin.addWithRoom(connection);
      this.#idle.add(connection);
      this.#pump();
      if (this.#idle.size > this.#options.maxIdle) this.#scheduleTrim();
    });
  }

  /**
   * Closes surplus connections that stay idle for a whole period.
   *
   * Callers that come in bursts leave all of them idle for a moment, and to connect anew for the next
   * burst costs far more than to keep them so long.
   */
  #scheduleTrim(): void {
    if (this.#trimTimer !== undefined) return;
    const { clock, maxIdle } = this.#options;
    const period = ++this.#idle.period;
    this.#trimTimer = clock.setTimeout(
      () => {
        this.#trimTimer = undefined;
        for (let oldest = this.#idle.oldest; this.#idle.size > maxIdle; oldest = this.#idle.oldest) {
          if (oldest!._idlePeriod >= period) {
            this.#scheduleTrim();
            return;
          }
          this.#close(oldest!);
        }
      },
      // Who keeps none wants none to be used again.
      maxIdle === 0 ? 0 : TRIM_AFTER_MS,
    );
    this.#trimTimer.unref();
  }
}

import type { Clock, Milliseconds } from '@hotpath/core';
import type { Connection, ConnectionOwner } from './connection.ts';
import { FairShare } from './fair-share.ts';
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

/**
 * Hands out connections: at most so many in all, the most recently used first, shared fairly among origins.
 *
 * Whoever finds none waits in its origin's queue. A connection is begun for each waiter that those
 * being made will not serve; whoever is first takes whichever connection is free first. Where all
 * places are taken, an origin with more than its fair share gives up connections as they come back.
 */
export class ConnectionPool implements ConnectionOwner {
  readonly #options: ConnectionPoolOptions;
  readonly #dial: Dial;
  readonly #idle: IdleList;
  readonly #shares: FairShare;
  /** Origins with waiters. */
  readonly #waiting = new Set<OriginPool>();
  readonly #origins = new Set<OriginPool>();
  readonly #connections = new Set<Connection>();
  #open = 0;
  #closing = 0;
  #pumpScheduled = false;
  #closed = false;
  #destroyed = false;
  #onEmpty: (() => void) | undefined;

  constructor(options: ConnectionPoolOptions, dial: Dial) {
    this.#options = options;
    this.#dial = dial;
    this.#idle = new IdleList(options.maxIdle, options.clock, (connection) => this.#close(connection));
    this.#shares = new FairShare(options, this.#origins, this.#waiting);
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
    if (!connection._hasRoom && connection.inFlight < connection.capacity) origin.addWithRoom(connection);
    if (connection.inFlight === 0) {
      this.#idle.add(connection);
      this.#idle.trim();
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

  /** Makes use of what a connection has come to carry, or takes away what it no longer does. */
  onCapacity(connection: Connection): void {
    const { origin } = connection;
    if (connection.closing) return;
    origin.exchangesPerConnection = connection.capacity;
    if (connection.inFlight >= connection.capacity) origin.removeWithRoom(connection);
    else if (!connection._hasRoom) {
      origin.addWithRoom(connection);
      if (this.#waiting.size > 0) this.#schedulePump();
    }
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
    this.#idle.stopTrimming();
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
      const origin = this.#shares.neediest(this.#open);
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

  #mustYield(origin: OriginPool): boolean {
    if (this.#waiting.size === 0 || this.#open < this.#options.maxConnections || this.#closing > 0) {
      return false;
    }
    return this.#shares.mustYield(origin);
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
      this.#idle.trim();
    });
  }
}

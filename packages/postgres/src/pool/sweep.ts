import type { Milliseconds, TimerHandle } from '@hotpath/core';
import type { ResolvedPoolOptions } from './pool-options.ts';
import type { PooledConnection } from './pooled-connection.ts';

/** What a look at a connection may find; what it calls may take the connection out of the pool. */
export interface SweepEvents {
  /** It has been out for too long; told once. */
  onLeaked(connection: PooledConnection, now: Milliseconds): void;
  /** It has idled for too long, and there are more than have to be kept. */
  onUnused(connection: PooledConnection): void;
  /** Its time is over while it idles. */
  onExpired(connection: PooledConnection): void;
  /** Its time will be over before the next look. */
  onExpiring(connection: PooledConnection): void;
}

const LONGEST_PERIOD_MS = 10_000;
const SHORTEST_PERIOD_MS = 10;

/** One timer for the times of all connections; it keeps no process alive. */
export class Sweep {
  readonly #options: ResolvedPoolOptions;
  readonly #connections: ReadonlySet<PooledConnection>;
  readonly #events: SweepEvents;
  readonly #everyMs: Milliseconds | undefined;
  #timer: TimerHandle | undefined;

  /** @param connections Those to look at; the owner's to change. */
  constructor(options: ResolvedPoolOptions, connections: ReadonlySet<PooledConnection>, events: SweepEvents) {
    this.#options = options;
    this.#connections = connections;
    this.#events = events;
    const { idleTimeoutMs, maxLifetimeMs, leakThresholdMs } = options;
    const periods = [idleTimeoutMs, maxLifetimeMs, leakThresholdMs].filter((ms) => ms > 0);
    if (periods.length === 0) return;
    this.#everyMs = Math.min(LONGEST_PERIOD_MS, Math.max(SHORTEST_PERIOD_MS, Math.min(...periods) / 4));
  }

  /** Goes on as long as there are connections to look at. */
  arm(): void {
    const everyMs = this.#everyMs;
    if (this.#timer !== undefined || everyMs === undefined) return;
    this.#timer = this.#options.clock.setTimeout(() => {
      this.#timer = undefined;
      this.#lookAtAll(everyMs);
      if (this.#connections.size > 0) this.arm();
    }, everyMs);
    this.#timer.unref();
  }

  stop(): void {
    this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #lookAtAll(everyMs: Milliseconds): void {
    const now = this.#options.clock.now();
    for (const connection of this.#connections) {
      if (connection.state === 'busy') this.#lookAtBusy(connection, now);
      else if (connection.state === 'idle') this.#lookAtIdle(connection, now, now + everyMs);
    }
  }

  #lookAtBusy(connection: PooledConnection, now: Milliseconds): void {
    const { leakThresholdMs } = this.#options;
    if (leakThresholdMs === 0 || connection.leakReported) return;
    if (now - connection.acquiredAtMs > leakThresholdMs) this.#events.onLeaked(connection, now);
  }

  #lookAtIdle(connection: PooledConnection, now: Milliseconds, nextLookMs: Milliseconds): void {
    const { idleTimeoutMs, minConnections } = this.#options;
    const isUnused = idleTimeoutMs > 0 && now - connection.lastUsedAtMs >= idleTimeoutMs;
    if (isUnused && this.#connections.size > minConnections) this.#events.onUnused(connection);
    else if (connection.replacing) return;
    else if (now >= connection.expiresAtMs) this.#events.onExpired(connection);
    else if (nextLookMs >= connection.expiresAtMs) this.#events.onExpiring(connection);
  }
}

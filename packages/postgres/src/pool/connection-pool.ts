import { createTimerWheel, type Milliseconds, type TimerWheel } from '@hotpath/core';
import { poolClosed, queueFull, serverDown } from '../errors.ts';
import { connectionChannel, generationChannel } from '../telemetry.ts';
import { sendCancelRequest } from '../wire/cancel-request.ts';
import type { PgClient } from '../wire/pg-client.ts';
import { Connector, type ConnectorHooks } from './connector.ts';
import { LeakWatch } from './leak-watch.ts';
import { LINGER_MS, Parting } from './parting.ts';
import type { ResolvedPoolOptions } from './pool-options.ts';
import { PoolCounters, type PoolStats, summarise } from './pool-stats.ts';
import type { PooledConnection } from './pooled-connection.ts';
import { settleConnection, validateConnection } from './probe.ts';
import { Sweep } from './sweep.ts';
import { type Waiter, WaiterQueue } from './waiter-queue.ts';

/** What the pool's owner wants to know; each is called synchronously. */
export interface PoolHooks extends ConnectorHooks {
  onOpened?(client: PgClient): void;
  onAcquired?(client: PgClient): void;
  onReleased?(error: unknown, client: PgClient): void;
  onRemoved?(client: PgClient, reason: string): void;
  /** A connection failed while it was idle. */
  onIdleError?(error: Error, client: PgClient): void;
  /** What those are told who are refused because no connection can be made. */
  readonly downHint?: string | undefined;
}

// Longer than most files: who may have a connection, and when, is decided in one place.

/**
 * A bounded set of connections, handed out last in, first out, to waiters first come, first served.
 *
 * A waiter is bound to no connection: the first one that is ready serves the first waiter.
 */
export class ConnectionPool {
  readonly options: ResolvedPoolOptions;
  readonly counters: PoolCounters = new PoolCounters();
  readonly wheel: TimerWheel;
  readonly #hooks: PoolHooks;
  readonly #all = new Set<PooledConnection>();
  readonly #idle: PooledConnection[] = [];
  readonly #parting: Parting;
  readonly #waiters = new WaiterQueue();
  readonly #connector: Connector;
  readonly #leaks: LeakWatch;
  readonly #sweep: Sweep;
  #generation = 0;
  #checking = 0;
  /** Idle connections last used before this are checked whatever their age: another one was just lost. */
  #suspectBeforeMs = Number.NEGATIVE_INFINITY;
  #onEmpty: (() => void) | undefined;
  closing = false;

  constructor(options: ResolvedPoolOptions, hooks: PoolHooks) {
    this.options = options;
    this.#hooks = hooks;
    this.wheel = createTimerWheel({ tickMs: 5, clock: options.clock });
    this.#leaks = new LeakWatch(options, this.counters);
    this.#parting = new Parting(options.clock, (client, reason) => {
      hooks.onRemoved?.(client, reason);
      this.#windDown();
    });
    this.#connector = new Connector(options, hooks, this.counters, {
      onOpened: (connection) => this.#onOpened(connection),
      onFailed: (error, retryAfterMs, connection) => this.#onDialFailed(error, retryAfterMs, connection),
      onBroken: (connection, error) => this.#onClientError(connection, error),
      onPauseOver: () => {
        this.#supply();
        this.#fillUp();
      },
    });
    this.#sweep = new Sweep(options, this.#all, {
      onLeaked: (connection, now) => this.#leaks.report(connection, now),
      onUnused: (connection) => this.#closeIdle(connection, 'idle'),
      onExpired: (connection) => this.#closeIdle(connection, 'expired'),
      onExpiring: (connection) => this.#replaceAhead(connection),
    });
    this.#fillUp();
  }

  get total(): number {
    return this.#all.size;
  }

  get idle(): number {
    return this.#idle.length;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /** Connections past their lifetime that are still out. */
  get expired(): number {
    const now = this.options.clock.now();
    let count = 0;
    for (const connection of this.#all) if (now >= connection.expiresAtMs) count++;
    return count;
  }

  /** Gives the waiter a connection, now or later; or refuses it. */
  acquire(waiter: Waiter): void {
    if (this.closing) {
      waiter.onRefused(poolClosed());
      return;
    }
    const { clock, validateAfterMs, maxWaiting } = this.options;
    waiter.site = this.#leaks.siteOfCaller();
    if (this.#waiters.size === 0) {
      const now = clock.now();
      for (let i = this.#idle.length - 1; i >= 0; i--) {
        const connection = this.#idle[i]!;
        if (!connection.usable || now >= connection.expiresAtMs) {
          this.#idle.pop();
          this.#close(connection, 'expired');
          continue;
        }
        const stale = now - connection.lastUsedAtMs > validateAfterMs;
        if (stale || connection.lastUsedAtMs < this.#suspectBeforeMs) break;
        this.#idle.pop();
        this.#handOver(connection, waiter, now);
        return;
      }
    }
    if (this.#waiters.size >= maxWaiting && !this.#canSupplyMore()) {
      this.counters.queueRejections++;
      waiter.onRefused(queueFull(maxWaiting));
      return;
    }
    this.#waiters.push(waiter);
    this.#supply();
  }

  /** Takes a waiter out of the queue; returns whether it was there. */
  leave(waiter: Waiter): boolean {
    const wasThere = this.#waiters.remove(waiter);
    this.#windDown();
    return wasThere;
  }

  /** Takes a connection back. With an `error` it is closed. */
  release(connection: PooledConnection, error?: unknown): void {
    const now = this.options.clock.now();
    this.counters.held.record(now - connection.acquiredAtMs);
    connection.uses++;
    this.#hooks.onReleased?.(error, connection.client);
    if (error) {
      this.#close(connection, 'released with an error');
      return;
    }
    if (!connection.usable) {
      this.#close(connection, 'lost');
      return;
    }
    if (connection.inTransaction || !connection.quiet) {
      connection.state = 'settling';
      settleConnection(this, connection, (ok) => {
        if (connection.state !== 'settling') return;
        if (ok) this.#ready(connection, this.options.clock.now());
        else this.#close(connection, 'left unsettled');
      });
      return;
    }
    this.#ready(connection, now);
  }

  /** Gives up every connection that is open now: the idle at once, the others when they come back. */
  retireGeneration(reason: string): void {
    this.#generation++;
    for (const connection of this.#idle.splice(0)) this.#close(connection, reason);
    if (generationChannel.hasSubscribers) {
      generationChannel.publish({ generation: this.#generation, reason });
    }
  }

  /**
   * Ends every connection, those in use when they come back; calls back when the last socket is closed. Who waits
   * is refused; with `drain` they are served first.
   */
  close(done: () => void, drain = false): void {
    this.closing = true;
    this.#onEmpty = done;
    this.#sweep.stop();
    if (!drain) this.#refuseAll(poolClosed());
    this.#windDown();
  }

  /** Drops what is still out; what it runs is cancelled. */
  destroyAll(): void {
    this.#refuseAll(poolClosed());
    for (const connection of this.#all) {
      // The server would go on with it for nobody, and keep others waiting by its snapshot and locks.
      const { wire } = connection;
      if (wire !== undefined && !connection.quiet) void sendCancelRequest(wire, LINGER_MS);
      this.#close(connection, 'closed');
      connection.destroy();
    }
    this.#parting.destroyAll();
  }

  stats(): PoolStats {
    return summarise(this.counters, {
      total: this.#all.size,
      idle: this.#idle.length,
      connecting: this.#connector.connecting,
      checking: this.#checking,
      waiting: this.#waiters.size,
      max: this.options.max,
      generation: this.#generation,
    });
  }

  #handOver(connection: PooledConnection, waiter: Waiter, now: number): void {
    connection.state = 'busy';
    connection.acquiredAtMs = now;
    connection.leakReported = false;
    connection.site = waiter.site;
    if (this.options.allowExitOnIdle) connection.client.ref?.();
    this.counters.acquired++;
    this.#hooks.onAcquired?.(connection.client);
    waiter.onConnection(connection);
  }

  /** A connection is free: it goes to the first waiter, or to rest, unless its time is over. */
  #ready(connection: PooledConnection, now: number): void {
    if (connection.generation !== this.#generation) {
      this.#close(connection, 'older generation');
      return;
    }
    if (now >= connection.expiresAtMs) {
      this.#close(connection, 'expired');
      return;
    }
    if (connection.uses >= this.options.maxUses) {
      this.#close(connection, 'used up');
      return;
    }
    connection.lastUsedAtMs = now;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      this.#handOver(connection, waiter, now);
      this.#windDown();
      return;
    }
    if (this.closing) {
      this.#close(connection, 'closed');
      return;
    }
    connection.state = 'idle';
    if (this.options.allowExitOnIdle) connection.client.unref?.();
    this.#idle.push(connection);
  }

  /** Whether somebody more than `maxWaiting` may come to a connection without having to wait for another's. */
  #canSupplyMore(): boolean {
    const { max, maxWaiting } = this.options;
    const isPossible = this.#all.size < max || this.#idle.length > 0;
    // While the server is away only one is opened at a time, and nobody would be refused.
    return isPossible && this.#waiters.size < maxWaiting + max;
  }

  /** Sets as many connections on their way as there are waiters, as far as that is allowed. */
  #supply(): void {
    while (this.#waiters.size > this.#connector.connecting + this.#checking) {
      const connection = this.#idle.pop();
      if (connection !== undefined) this.#check(connection);
      else if (this.#all.size >= this.options.max || !this.#connector.mayOpen()) return;
      else this.#dial();
    }
  }

  #dial(replaced?: PooledConnection): void {
    const connection = this.#connector.create(this.#generation);
    if (connection === undefined) return;
    connection.replaces = replaced;
    if (replaced !== undefined) replaced.replacing = true;
    this.#all.add(connection);
    this.#connector.open(connection);
  }

  #onOpened(connection: PooledConnection): void {
    const { replaces } = connection;
    connection.replaces = undefined;
    if (connectionChannel.hasSubscribers) {
      connectionChannel.publish({ kind: 'open', total: this.#all.size });
    }
    this.#hooks.onOpened?.(connection.client);
    if (replaces?.state === 'idle') this.#closeIdle(replaces, 'replaced');
    this.#sweep.arm();
    this.#ready(connection, connection.openedAtMs);
    this.#supply();
    this.#fillUp();
  }

  #onDialFailed(error: Error, retryAfterMs: Milliseconds, connection: PooledConnection | undefined): void {
    if (connection?.replaces !== undefined) connection.replaces.replacing = false;
    if (connection !== undefined) this.#all.delete(connection);
    if (connectionChannel.hasSubscribers) {
      connectionChannel.publish({ kind: 'connect-failed', total: this.#all.size, error });
    }
    if (this.#all.size === 0) this.#refuseAll(serverDown(error, retryAfterMs, this.#hooks.downHint));
    this.#supply();
    this.#fillUp();
    this.#windDown();
  }

  #check(connection: PooledConnection): void {
    connection.state = 'checking';
    this.#checking++;
    this.counters.validations++;
    validateConnection(this, connection, (ok) => {
      this.#checking--;
      if (connection.state !== 'checking') return;
      if (ok) {
        this.#ready(connection, this.options.clock.now());
      } else {
        this.counters.failedValidations++;
        connection.broken ??= new Error('the connection did not answer');
        // First, so that no other one of its age is checked in turn for the waiter.
        if (connection.generation === this.#generation)
          this.retireGeneration('a connection failed validation');
        this.#close(connection, 'failed validation');
      }
      this.#supply();
    });
  }

  #onClientError(connection: PooledConnection, error: Error): void {
    if (connection.broken === undefined) {
      connection.broken = error;
      this.#suspectBeforeMs = this.options.clock.now();
    }
    if (connection.state !== 'idle') return;
    this.#closeIdle(connection, 'lost while idle');
    this.#hooks.onIdleError?.(error, connection.client);
  }

  #close(connection: PooledConnection, reason: string): void {
    if (connection.state === 'closed') return;
    if (connection.state === 'connecting') {
      this.#abandon(connection);
      return;
    }
    connection.state = 'closed';
    this.#all.delete(connection);
    this.counters.closed++;
    this.counters.lifetime.record(this.options.clock.now() - connection.openedAtMs);
    if (connectionChannel.hasSubscribers) {
      connectionChannel.publish({ kind: 'close', total: this.#all.size, reason });
    }
    this.#parting.add(connection, reason);
    this.#supply();
    this.#fillUp();
    this.#windDown();
  }

  /** Nobody needs a connection that is not open yet. */
  #abandon(connection: PooledConnection): void {
    connection.state = 'closed';
    this.#all.delete(connection);
    connection.abandon?.();
  }

  #refuseAll(error: Error): void {
    for (let left = this.#waiters.size; left > 0; left--) this.#waiters.shift()?.onRefused(error);
  }

  /** While closing, and when nobody waits any more: all goes that is not in use. */
  #windDown(): void {
    if (!this.closing || this.#waiters.size > 0 || this.#onEmpty === undefined) return;
    this.#connector.stop();
    for (const connection of this.#idle.splice(0)) this.#close(connection, 'closed');
    for (const connection of this.#all) if (connection.state === 'connecting') this.#abandon(connection);
    if (this.#all.size + this.#parting.size > 0) return;
    const done = this.#onEmpty;
    this.#onEmpty = undefined;
    done?.();
  }

  #fillUp(): void {
    while (!this.closing && this.#all.size < this.options.minConnections && this.#connector.mayOpen())
      this.#dial();
  }

  #replaceAhead(connection: PooledConnection): void {
    if (this.#all.size >= this.options.max || !this.#connector.mayOpen()) return;
    this.#dial(connection);
  }

  #closeIdle(connection: PooledConnection, reason: string): void {
    this.#idle.splice(this.#idle.indexOf(connection), 1);
    this.#close(connection, reason);
  }
}

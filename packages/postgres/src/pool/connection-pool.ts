import { createTimerWheel, type TimerHandle, type TimerWheel } from '@hotpath/core';
import { poolClosed, queueFull, serverDown } from '../errors.ts';
import { connectionChannel, generationChannel, leakChannel } from '../telemetry.ts';
import type { PgClient } from '../wire/pg-client.ts';
import { Backoff } from './backoff.ts';
import { type DialHooks, dial } from './dial.ts';
import type { ResolvedPoolOptions } from './pool-options.ts';
import { PoolCounters, type PoolStats, summarise } from './pool-stats.ts';
import { PooledConnection } from './pooled-connection.ts';
import { settleConnection, validateConnection } from './probe.ts';
import { callSite, verdictOn } from './sweep.ts';
import { type Waiter, WaiterQueue } from './waiter-queue.ts';

/** What the pool's owner wants to know; each is called synchronously. */
export interface PoolHooks extends DialHooks {
  createClient(): PgClient;
  onOpened?(client: PgClient): void;
  onAcquired?(client: PgClient): void;
  onReleased?(error: unknown, client: PgClient): void;
  onRemoved?(client: PgClient): void;
  /** A connection failed while it was idle. */
  onIdleError?(error: Error, client: PgClient): void;
}

const FIRST_RECONNECT_DELAY_MS = 25;
const LINGER_MS = 2_000;

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
  readonly #waiters = new WaiterQueue();
  readonly #backoff: Backoff;
  #generation = 0;
  #connecting = 0;
  #checking = 0;
  /** Idle connections last used before this are checked whatever their age: another one was just lost. */
  #suspectBeforeMs = Number.NEGATIVE_INFINITY;
  #dialNotBeforeMs = Number.NEGATIVE_INFINITY;
  #redial: TimerHandle | undefined;
  #sweep: TimerHandle | undefined;
  #leakSeen = false;
  #onEmpty: (() => void) | undefined;
  closing = false;

  constructor(options: ResolvedPoolOptions, hooks: PoolHooks) {
    this.options = options;
    this.#hooks = hooks;
    this.wheel = createTimerWheel({ tickMs: 5, clock: options.clock });
    this.#backoff = new Backoff(
      Math.min(FIRST_RECONNECT_DELAY_MS, options.maxReconnectDelayMs),
      options.maxReconnectDelayMs,
      options.random,
    );
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
    const { clock, validateAfterMs, maxWaiting, leakThresholdMs, leakSampleRatio, random } = this.options;
    if (leakThresholdMs > 0 && (this.#leakSeen || random() < leakSampleRatio)) waiter.site = callSite();
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
    return this.#waiters.remove(waiter);
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

  /** Ends every connection, those in use when they come back; calls back when none is left. */
  close(done: () => void): void {
    this.closing = true;
    this.#onEmpty = done;
    this.options.clock.clearTimeout(this.#redial);
    this.options.clock.clearTimeout(this.#sweep);
    for (let waiter = this.#waiters.shift(); waiter !== undefined; waiter = this.#waiters.shift()) {
      waiter.onRefused(poolClosed());
    }
    for (const connection of this.#idle.splice(0)) this.#close(connection, 'closed');
    this.#checkEmpty();
  }

  /** Drops what is still out. */
  destroyAll(): void {
    for (const connection of this.#all) {
      this.#close(connection, 'closed');
      connection.destroy();
    }
  }

  stats(): PoolStats {
    return summarise(this.counters, {
      total: this.#all.size,
      idle: this.#idle.length,
      connecting: this.#connecting,
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
    if (this.closing) {
      this.#close(connection, 'closed');
      return;
    }
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
      return;
    }
    connection.state = 'idle';
    if (this.options.allowExitOnIdle) connection.client.unref?.();
    this.#idle.push(connection);
  }

  #canSupplyMore(): boolean {
    return this.#all.size < this.options.max || this.#idle.length > 0;
  }

  /** Sets as many connections on their way as there are waiters, as far as that is allowed. */
  #supply(): void {
    if (this.closing) return;
    while (this.#waiters.size > this.#connecting + this.#checking) {
      const connection = this.#idle.pop();
      if (connection !== undefined) this.#check(connection);
      else if (this.#all.size >= this.options.max || !this.#mayDial()) return;
      else this.#dial();
    }
  }

  /** While the server refuses, one try at a time, with pauses. */
  #mayDial(): boolean {
    if (this.#backoff.failures === 0) return true;
    if (this.#connecting > 0) return false;
    const { clock } = this.options;
    const inMs = this.#dialNotBeforeMs - clock.now();
    if (inMs <= 0) return true;
    this.#redial ??= clock.setTimeout(() => {
      this.#redial = undefined;
      this.#supply();
      this.#fillUp();
    }, inMs);
    return false;
  }

  #dial(replaced?: PooledConnection): void {
    const { clock, connectTimeoutMs, maxLifetimeMs, random } = this.options;
    const connection = new PooledConnection(this.#hooks.createClient(), this.#generation);
    const { client } = connection;
    this.#all.add(connection);
    this.#connecting++;
    client.on('error', (error: Error) => this.#onClientError(connection, error));
    client.on('end', () => this.#onClientError(connection, new Error('Connection terminated')));
    dial(connection, this.#hooks, clock, connectTimeoutMs, (error) => {
      this.#connecting--;
      if (connection.state === 'closed') return this.#checkEmpty();
      if (error !== undefined) return this.#onDialFailed(connection, error);
      this.#backoff.reset();
      const now = clock.now();
      connection.openedAtMs = now;
      if (maxLifetimeMs > 0) connection.expiresAtMs = now + maxLifetimeMs * (1 - 0.1 * random());
      this.counters.opened++;
      if (connectionChannel.hasSubscribers) {
        connectionChannel.publish({ kind: 'open', total: this.#all.size });
      }
      this.#hooks.onOpened?.(client);
      if (replaced?.state === 'idle') this.#closeIdle(replaced, 'replaced');
      this.#armSweep();
      this.#ready(connection, now);
      this.#supply();
      this.#fillUp();
    });
  }

  #onDialFailed(connection: PooledConnection, error: Error): void {
    const { clock } = this.options;
    this.#all.delete(connection);
    connection.state = 'closed';
    this.counters.connectFailures++;
    const now = clock.now();
    // Of several that were under way together, only the first counts.
    if (now >= this.#dialNotBeforeMs) this.#dialNotBeforeMs = now + this.#backoff.next();
    if (connectionChannel.hasSubscribers) {
      connectionChannel.publish({ kind: 'connect-failed', total: this.#all.size, error });
    }
    if (this.closing) {
      this.#checkEmpty();
      return;
    }
    if (this.#all.size === this.#connecting && this.#connecting === 0) {
      const down = serverDown(error, this.#dialNotBeforeMs - now);
      for (let left = this.#waiters.size; left > 0; left--) this.#waiters.shift()?.onRefused(down);
    }
    this.#supply();
    this.#fillUp();
  }

  #check(connection: PooledConnection): void {
    connection.state = 'checking';
    this.#checking++;
    this.counters.validations++;
    validateConnection(this, connection, (ok) => {
      this.#checking--;
      if (ok && connection.state === 'checking') {
        this.#ready(connection, this.options.clock.now());
      } else {
        this.counters.failedValidations++;
        connection.broken ??= new Error('the connection did not answer');
        this.#close(connection, 'failed validation');
        if (connection.generation === this.#generation)
          this.retireGeneration('a connection failed validation');
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
    connection.state = 'closed';
    this.#all.delete(connection);
    this.counters.closed++;
    this.counters.lifetime.record(this.options.clock.now() - connection.openedAtMs);
    if (connectionChannel.hasSubscribers) {
      connectionChannel.publish({ kind: 'close', total: this.#all.size, reason });
    }
    const { client } = connection;
    if (!connection.quiet || !connection.usable) connection.destroy();
    // A server that does not answer the goodbye must not hold the socket for ever.
    const linger = this.options.clock.setTimeout(() => connection.destroy(), LINGER_MS);
    linger.unref();
    client.end(() => {
      this.options.clock.clearTimeout(linger);
      this.#hooks.onRemoved?.(client);
    });
    if (this.closing) this.#checkEmpty();
    else {
      this.#supply();
      this.#fillUp();
    }
  }

  #checkEmpty(): void {
    if (!this.closing || this.#all.size > 0 || this.#onEmpty === undefined) return;
    const done = this.#onEmpty;
    this.#onEmpty = undefined;
    done();
  }

  #fillUp(): void {
    while (!this.closing && this.#all.size < this.options.minConnections && this.#mayDial()) this.#dial();
  }

  #armSweep(): void {
    if (this.#sweep !== undefined || this.closing) return;
    const { clock, idleTimeoutMs, maxLifetimeMs, leakThresholdMs } = this.options;
    const periods = [idleTimeoutMs, maxLifetimeMs, leakThresholdMs].filter((ms) => ms > 0);
    if (periods.length === 0) return;
    const everyMs = Math.min(10_000, Math.max(10, Math.min(...periods) / 4));
    this.#sweep = clock.setTimeout(() => {
      this.#sweep = undefined;
      this.#sweepOnce(everyMs);
      if (this.#all.size > 0) this.#armSweep();
    }, everyMs);
    this.#sweep.unref();
  }

  #sweepOnce(everyMs: number): void {
    const { clock, minConnections, max } = this.options;
    const now = clock.now();
    for (const connection of this.#all) {
      switch (verdictOn(connection, this.options, now, now + everyMs, this.#all.size > minConnections)) {
        case 'leaked':
          this.#reportLeak(connection, now);
          break;
        case 'unused':
          this.#closeIdle(connection, 'idle');
          break;
        case 'expired':
          if (this.#all.size >= max || !this.#mayDial()) this.#closeIdle(connection, 'expired');
          break;
        case 'expiring':
          if (this.#all.size >= max || !this.#mayDial()) break;
          connection.replacing = true;
          this.#dial(connection);
          break;
      }
    }
  }

  #reportLeak(connection: PooledConnection, now: number): void {
    connection.leakReported = true;
    this.#leakSeen = true;
    this.counters.leaks++;
    if (!leakChannel.hasSubscribers) return;
    leakChannel.publish({ heldMs: now - connection.acquiredAtMs, site: connection.site });
  }

  #closeIdle(connection: PooledConnection, reason: string): void {
    this.#idle.splice(this.#idle.indexOf(connection), 1);
    this.#close(connection, reason);
  }
}

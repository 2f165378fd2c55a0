import type { Clock, Milliseconds, TimerWheel } from '@hotpath/core';
import { acquireTimeout } from '../errors.ts';
import type { ConnectionPool } from '../pool/connection-pool.ts';
import type { PooledConnection } from '../pool/pooled-connection.ts';
import { Waiter } from '../pool/waiter-queue.ts';
import type { Exchange } from '../wire/exchange.ts';
import type { StatementExchange } from '../wire/statement-exchange.ts';
import type { WireClient } from '../wire/wire-client.ts';
import type { QueryShape, QueryShapes } from './query-shape.ts';
import { type QueryOptions, QueryTask } from './query-task.ts';

/** Watches queries; called after each that went well. */
export interface QueryObserver {
  onQuery(shape: QueryShape, values: readonly unknown[], durationMs: Milliseconds): void;
}

/** What {@link AcquireOptions} says about one acquire. */
export interface AcquireOptions {
  /** Default: the pool's `acquireTimeoutMs`. */
  readonly timeoutMs?: Milliseconds | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Runs statements on the connections of one pool. */
export class Executor {
  readonly pool: ConnectionPool;
  readonly wheel: TimerWheel;
  readonly clock: Clock;
  readonly shapes: QueryShapes;
  /** Whether statements are kept prepared. */
  readonly prepares: boolean;
  readonly queryTimeoutMs: Milliseconds;
  observer: QueryObserver | undefined;

  constructor(pool: ConnectionPool, shapes: QueryShapes, prepares: boolean, queryTimeoutMs: Milliseconds) {
    this.pool = pool;
    this.wheel = pool.wheel;
    this.clock = pool.options.clock;
    this.shapes = shapes;
    this.prepares = prepares;
    this.queryTimeoutMs = queryTimeoutMs;
  }

  /** Runs one statement on whichever connection is free. */
  run(text: string, values?: readonly unknown[], options?: QueryOptions): Promise<StatementExchange> {
    return new Promise((resolve, reject) => {
      new QueryTask(this, text, values, options, resolve, reject).start();
    });
  }

  /** Runs one statement on a connection that the caller holds. */
  runOn(
    connection: PooledConnection,
    text: string,
    values?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<StatementExchange> {
    return new Promise((resolve, reject) => {
      new QueryTask(this, text, values, options, resolve, reject).startOn(connection);
    });
  }

  /** Runs an exchange of the caller's making on a connection that it holds. */
  exchangeOn<T>(
    connection: PooledConnection,
    make: (client: WireClient, resolve: (value: T) => void, reject: (error: unknown) => void) => Exchange,
  ): Promise<T> {
    const wire = connection.wire!;
    return new Promise((resolve, reject) => {
      wire.query(make(wire, resolve, reject));
    });
  }

  acquire(options?: AcquireOptions): Promise<PooledConnection> {
    return acquireConnection(this.pool, options);
  }

  /** Gives a connection back, after a request to cancel that is still on its way: it must not hit the next user. */
  release(connection: PooledConnection, error?: unknown): void {
    const { cancelling } = connection;
    connection.cancelling = undefined;
    if (cancelling === undefined) this.pool.release(connection, error);
    else void cancelling.then(() => this.pool.release(connection, error));
  }

  /** After a failover the old primary may live on as a standby: its connections are of no use for writes. */
  onReadOnlyServer(): void {
    this.pool.retireGeneration('the server has become read-only');
  }
}

/**
 * Waits for a connection of `pool`.
 *
 * @throws TimeoutError (HOTPATH_PG_ACQUIRE_TIMEOUT), RejectedError (HOTPATH_PG_QUEUE_FULL), UnavailableError
 * (HOTPATH_PG_DOWN), AbortedError (HOTPATH_PG_CLOSED); the signal's reason, untouched.
 */
export function acquireConnection(pool: ConnectionPool, options?: AcquireOptions): Promise<PooledConnection> {
  return new Promise((resolve, reject) => {
    const signal = options?.signal;
    if (signal?.aborted) return reject(signal.reason);
    const waiter = new AcquireWaiter(
      pool,
      options?.timeoutMs ?? pool.options.acquireTimeoutMs,
      signal,
      resolve,
      reject,
    );
    pool.acquire(waiter);
    waiter.wait();
  });
}

/** A wait for a connection that ends with the connection in the caller's hands. */
export class AcquireWaiter extends Waiter {
  readonly #pool: ConnectionPool;
  readonly #timeoutMs: Milliseconds;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (connection: PooledConnection) => void;
  readonly #reject: (error: unknown) => void;
  #queuedAtMs = 0;
  #onAbort: (() => void) | undefined;

  constructor(
    pool: ConnectionPool,
    timeoutMs: Milliseconds,
    signal: AbortSignal | undefined,
    resolve: (connection: PooledConnection) => void,
    reject: (error: unknown) => void,
  ) {
    super();
    this.#pool = pool;
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Starts the clock and heeds the signal, when it was not served at once. */
  wait(): void {
    if (!this.queued) return;
    this.#queuedAtMs = this.#pool.options.clock.now();
    if (this.#timeoutMs > 0) this.#pool.wheel.arm(this, this.#timeoutMs);
    const signal = this.#signal;
    if (signal === undefined) return;
    this.#onAbort = () => {
      if (this.#pool.leave(this)) this.onRefused(signal.reason);
    };
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  override onConnection(connection: PooledConnection): void {
    if (this.#queuedAtMs > 0) {
      this.#pool.counters.wait.record(this.#pool.options.clock.now() - this.#queuedAtMs);
      this.#end();
    }
    this.#resolve(connection);
  }

  override onRefused(error: Error): void {
    this.#end();
    this.#reject(error);
  }

  override onDue(): void {
    this.#pool.leave(this);
    this.#pool.counters.acquireTimeouts++;
    this.onRefused(acquireTimeout(this.#timeoutMs));
  }

  #end(): void {
    this.#pool.wheel.disarm(this);
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}

import type { Clock, Milliseconds, TimerWheel } from '@hotpath/core';
import type { ConnectionPool } from '../pool/connection-pool.ts';
import type { PooledConnection } from '../pool/pooled-connection.ts';
import type { Exchange } from '../wire/exchange.ts';
import type { StatementExchange } from '../wire/statement-exchange.ts';
import type { WireClient } from '../wire/wire-client.ts';
import { type AcquireOptions, acquireConnection } from './acquire.ts';
import type { NPlusOneDetector } from './monitor.ts';
import type { QueryShape, QueryShapes } from './query-shape.ts';
import { type QueryOptions, QueryTask } from './query-task.ts';

/** Watches queries; called after each that went well. */
export interface QueryObserver {
  onQuery(shape: QueryShape, values: readonly unknown[], durationMs: Milliseconds): void;
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
  detector: NPlusOneDetector | undefined;

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

  /** As {@link runOn}, and refuses a text with more than one statement. */
  runAlone(
    connection: PooledConnection,
    text: string,
    values: readonly unknown[],
    options: QueryOptions,
  ): Promise<StatementExchange> {
    return new Promise((resolve, reject) => {
      const task = new QueryTask(this, text, values, options, resolve, reject);
      task.simple = false;
      task.name = '';
      task.startOn(connection);
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

  /** Waits no longer than the pool allows, and no longer than `timeoutMs`. */
  acquire({ timeoutMs, signal }: AcquireOptions = {}): Promise<PooledConnection> {
    const { acquireTimeoutMs } = this.pool.options;
    const waitMs =
      timeoutMs && acquireTimeoutMs ? Math.min(timeoutMs, acquireTimeoutMs) : timeoutMs || acquireTimeoutMs;
    return acquireConnection(this.pool, { timeoutMs: waitMs, signal });
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

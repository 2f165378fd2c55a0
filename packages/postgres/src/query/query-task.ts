import { describe, type Milliseconds } from '@hotpath/core';
import { acquireTimeout, queryTimeout, sqlState, typedQueryError } from '../errors.ts';
import type { PooledConnection } from '../pool/pooled-connection.ts';
import { Waiter } from '../pool/waiter-queue.ts';
import { sendCancelRequest } from '../wire/cancel-request.ts';
import type { TypeSource } from '../wire/pg-client.ts';
import type { RowMode } from '../wire/row-shape.ts';
import {
  isStale,
  StatementExchange,
  type StatementOwner,
  type StatementRequest,
} from '../wire/statement-exchange.ts';
import type { Executor } from './executor.ts';
import type { QueryShape } from './query-shape.ts';
import { CANCEL_GRACE_MS } from './time-limit.ts';

const NO_VALUES: readonly unknown[] = Object.freeze([]);

/** What may be said about one query besides its text and values. */
export interface QueryOptions {
  /** How long it may take, the wait for a connection included. Default: the client's `queryTimeoutMs`. */
  readonly timeoutMs?: Milliseconds | undefined;
  /** Gives it up; the server is asked to cancel it. */
  readonly signal?: AbortSignal | undefined;
}

/** @throws TypeError for what is no text, or no list of values. */
export function checkStatement(owner: string, text: unknown, values: unknown): void {
  if (typeof text !== 'string')
    throw new TypeError(`${owner}: the text must be a string, got ${describe(text)}`);
  if (values !== undefined && !Array.isArray(values))
    throw new TypeError(`${owner}: the values must be an array, got ${describe(values)}`);
}

/**
 * One query from its call to its answer: waits for a connection, runs, gives the connection back.
 *
 * The caller's promise settles when the deadline or signal fires; the connection stays taken until
 * the server has answered both the query and the request to cancel it.
 */
export class QueryTask extends Waiter implements StatementOwner, StatementRequest {
  readonly text: string;
  readonly values: readonly unknown[];
  readonly shape: QueryShape;
  name: string;
  simple: boolean;
  types: TypeSource | undefined = undefined;
  mode: RowMode = 'object';
  readonly #executor: Executor;
  readonly #resolve: (result: StatementExchange) => void;
  readonly #reject: (error: unknown) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #timeoutMs: Milliseconds;
  /** Whether the connection is given back at the end. */
  #owns = true;
  #connection: PooledConnection | undefined;
  #startedAtMs: Milliseconds;
  #onAbort: (() => void) | undefined;
  #settled = false;
  #retried = false;
  /** How many of query and cancel request are not over yet. */
  #open = 0;

  constructor(
    executor: Executor,
    text: string,
    values: readonly unknown[] | undefined,
    options: QueryOptions | undefined,
    resolve: (result: StatementExchange) => void,
    reject: (error: unknown) => void,
  ) {
    super();
    checkStatement('query', text, values);
    this.#executor = executor;
    this.text = text;
    this.values = values ?? NO_VALUES;
    this.shape = executor.shapes.get(text);
    this.simple = this.values.length === 0 && this.shape.multiple;
    this.name = !this.simple && executor.prepares && ++this.shape.uses > 1 ? this.shape.name : '';
    this.#resolve = resolve;
    this.#reject = reject;
    this.#signal = options?.signal;
    this.#timeoutMs = options?.timeoutMs ?? executor.queryTimeoutMs;
    this.#startedAtMs = executor.clock.now();
    executor.detector?.note(text);
  }

  /** Begins, on a connection from the pool. */
  start(): void {
    if (!this.#listen()) return;
    this.#executor.pool.acquire(this);
    if (!this.queued) return;
    const { acquireTimeoutMs } = this.#executor.pool.options;
    const waitMs = Math.min(
      acquireTimeoutMs || Number.POSITIVE_INFINITY,
      this.#timeoutMs || Number.POSITIVE_INFINITY,
    );
    if (waitMs !== Number.POSITIVE_INFINITY) this.#executor.wheel.arm(this, waitMs);
  }

  /** Begins, on a connection that stays the caller's. */
  startOn(connection: PooledConnection): void {
    this.#owns = false;
    if (this.#listen()) this.onConnection(connection);
  }

  override onConnection(connection: PooledConnection): void {
    this.#connection = connection;
    const { clock, pool, wheel } = this.#executor;
    const now = clock.now();
    if (this.#owns && this.armed) pool.counters.wait.record(now - this.#startedAtMs);
    if (this.#timeoutMs > 0) wheel.arm(this, Math.max(0, this.#startedAtMs + this.#timeoutMs - now));
    else wheel.disarm(this);
    this.#run();
  }

  override onRefused(error: Error): void {
    this.#fail(error);
  }

  override onDue(): void {
    const { pool } = this.#executor;
    if (this.#connection === undefined) {
      pool.leave(this);
      const { acquireTimeoutMs } = pool.options;
      const byQueue = acquireTimeoutMs > 0 && (this.#timeoutMs === 0 || acquireTimeoutMs <= this.#timeoutMs);
      if (byQueue) pool.counters.acquireTimeouts++;
      this.#fail(byQueue ? acquireTimeout(acquireTimeoutMs) : queryTimeout(this.#timeoutMs));
    } else if (this.#settled) this.#connection.destroy();
    else this.#giveUp(queryTimeout(this.#timeoutMs));
  }

  onResult(exchange: StatementExchange): void {
    const { clock, observer } = this.#executor;
    const durationMs = clock.now() - this.#startedAtMs;
    this.shape.record(durationMs, exchange.rows.length);
    this.#over();
    if (this.#settled) return;
    this.#stopListening();
    this.#settled = true;
    this.#resolve(exchange);
    observer?.onQuery(this.shape, this.values, durationMs);
  }

  onFailure(error: Error, exchange: StatementExchange): void {
    this.shape.errors++;
    if (this.#runAgain(error, exchange)) return;
    if (this.#owns && sqlState(error) === '25006') this.#executor.onReadOnlyServer();
    this.#over();
    this.#fail(typedQueryError(error));
  }

  #run(): void {
    this.#open++;
    const wire = this.#connection!.wire!;
    wire.query(new StatementExchange(wire, this, this));
  }

  /**
   * A statement prepared before the schema changed (0A000), or one that the session no longer has (26000), is
   * dropped; the query runs again where that can't repeat an effect: the server refused it before it began.
   */
  #runAgain(error: Error, exchange: StatementExchange): boolean {
    const wire = this.#connection!.wire!;
    if (this.name === '' || !isStale(sqlState(error), error, exchange)) return false;
    wire.statements.drop(this.name);
    if (this.#retried || this.#settled || wire.transactionStatus !== 'I' || wire._queryable === false)
      return false;
    this.#retried = true;
    this.#open--;
    this.#run();
    return true;
  }

  /** Settles the caller's promise now, and has the server stop. */
  #giveUp(error: unknown): void {
    const connection = this.#connection!;
    this.#fail(error);
    this.#open++;
    this.#executor.wheel.arm(this, CANCEL_GRACE_MS);
    const cancelled = sendCancelRequest(connection.client, CANCEL_GRACE_MS);
    connection.cancelling = cancelled;
    void cancelled.then(() => this.#over());
  }

  /** One of query and cancel request is over; after the last the connection goes back. */
  #over(): void {
    if (--this.#open > 0) return;
    this.#executor.wheel.disarm(this);
    if (this.#owns) this.#executor.pool.release(this.#connection!);
  }

  #fail(error: unknown): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#executor.wheel.disarm(this);
    this.#stopListening();
    this.#reject(error);
  }

  #listen(): boolean {
    const signal = this.#signal;
    if (signal === undefined) return true;
    if (signal.aborted) {
      this.#fail(signal.reason);
      return false;
    }
    this.#onAbort = () => {
      if (this.#connection !== undefined) return this.#giveUp(signal.reason);
      this.#executor.pool.leave(this);
      this.#fail(signal.reason);
    };
    signal.addEventListener('abort', this.#onAbort, { once: true });
    return true;
  }

  #stopListening(): void {
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}

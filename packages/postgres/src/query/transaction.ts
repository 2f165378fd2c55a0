import { describe, type Milliseconds, optionReader, sleep } from '@hotpath/core';
import { Kysely } from 'kysely';
import {
  commitUnknown,
  isConnectionLoss,
  rolledBack,
  sqlState,
  transactionBusy,
  transactionOver,
} from '../errors.ts';
import type { PooledConnection } from '../pool/pooled-connection.ts';
import type { Executor } from './executor.ts';
import { HotpathDialect } from './kysely-dialect.ts';
import type { QueryOptions } from './query-task.ts';
import { checkLimits, readLimits } from './time-limit.ts';

export type IsolationLevel = 'read committed' | 'repeatable read' | 'serializable';

/** What a transaction takes besides its work. */
export interface TransactionOptions {
  /** How often the whole callback is run again after a serialisation failure or a deadlock. Default 3. */
  readonly retries?: number | undefined;
  /** Default: the server's, which is `read committed`. */
  readonly isolation?: IsolationLevel | undefined;
  readonly readOnly?: boolean | undefined;
  /** Ends it: the running statement is cancelled, the transaction rolled back. */
  readonly signal?: AbortSignal | undefined;
  /** How long each of its statements, and the wait for a connection, may take. */
  readonly timeoutMs?: Milliseconds | undefined;
}

/** A transaction that is open; not to be used after its callback, or that of a transaction around it, has settled. */
export interface Transaction<DB> {
  /** A Kysely within the transaction. */
  readonly kysely: Kysely<DB>;
  /**
   * Runs one statement; resolves with its rows. The transaction's own signal ends it as well.
   *
   * @throws RejectedError (HOTPATH_PG_TRANSACTION_OVER) after the callback has settled.
   * @throws TimeoutError (HOTPATH_PG_QUERY_TIMEOUT), UnavailableError (HOTPATH_PG_CONNECTION_LOST); the signal's reason.
   */
  query<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<Row[]>;
  /**
   * Runs `work` within a savepoint: when it fails, only its own effects are undone, and the failure is the caller's to
   * catch or to pass on. What runs on the outer handle meanwhile is within the savepoint as well.
   *
   * @throws What `work` throws; RejectedError (HOTPATH_PG_TRANSACTION_OVER) after the callback has settled.
   * @throws RejectedError (HOTPATH_PG_TRANSACTION_BUSY) while another savepoint of this handle is open.
   */
  transaction<T>(work: (inner: Transaction<DB>) => Promise<T>): Promise<T>;
}

const DEFAULT_RETRIES = 3;
const FIRST_RETRY_DELAY_MS = 5;
const LONGEST_RETRY_DELAY_MS = 1_000;
const ROLLBACK_TIMEOUT_MS = 5_000;
const retriedStates = new Set(['40001', '40P01']);
const levels = ['read committed', 'repeatable read', 'serializable'] as const;

/**
 * Runs `work` in a transaction and commits, or rolls back when it fails.
 *
 * After 40001 (serialisation failure) and 40P01 (deadlock) the whole callback runs again. Never when it is
 * not known whether COMMIT took effect.
 *
 * @throws UnavailableError (HOTPATH_PG_COMMIT_UNKNOWN) when the connection was lost between COMMIT and its answer.
 * @throws UpstreamError (HOTPATH_PG_ROLLED_BACK) when a failure was swallowed and COMMIT therefore rolled back.
 */
export async function runTransaction<T>(
  executor: Executor,
  work: (connection: PooledConnection) => Promise<T>,
  options: TransactionOptions = {},
  prelude?: (connection: PooledConnection) => Promise<unknown>,
): Promise<T> {
  const read = optionReader('transaction', options);
  const retries = read.integer('retries', DEFAULT_RETRIES, { min: 0 });
  const isolation = read.oneOf('isolation', levels, undefined);
  const isReadOnly = read.boolean('readOnly', false);
  const limits = readLimits(read);
  read.end();
  const { signal, timeoutMs } = limits;
  const { random, clock } = executor.pool.options;
  const begin = `begin${isolation === undefined ? '' : ` isolation level ${isolation}`}${isReadOnly ? ' read only' : ''}`;
  for (let attempt = 0; ; attempt++) {
    const connection = await executor.acquire(limits);
    let failure: unknown;
    try {
      await executor.runOn(connection, begin, undefined, limits);
      if (prelude !== undefined) await prelude(connection);
      const result = await work(connection);
      signal?.throwIfAborted();
      await commit(executor, connection, timeoutMs);
      executor.release(connection);
      return result;
    } catch (error) {
      failure = error;
    }
    await rollBack(executor, connection);
    if (attempt >= retries || !retriedStates.has(sqlState(failure) ?? '')) throw failure;
    const pauseMs = Math.min(LONGEST_RETRY_DELAY_MS, FIRST_RETRY_DELAY_MS * 2 ** attempt);
    await sleep(pauseMs * (0.5 + random()), { signal, clock });
  }
}

/** It is not given up when a signal fires: whether it took effect would not be known then. */
async function commit(
  executor: Executor,
  connection: PooledConnection,
  timeoutMs: Milliseconds | undefined,
): Promise<void> {
  let command: string | null;
  try {
    command = (await executor.runOn(connection, 'commit', undefined, { timeoutMs })).tag.command;
  } catch (error) {
    // A deferred constraint or a serialisation failure is an answer; everything else is none.
    if (sqlState(error) !== undefined && !isConnectionLoss(error)) throw error;
    throw commitUnknown(error);
  }
  if (command === 'ROLLBACK') throw rolledBack();
}

/** Gives the connection back clean, or not at all. One that still runs a statement is not waited for. */
function rollBack(executor: Executor, connection: PooledConnection): Promise<void> {
  const isRunning = connection.usable && !connection.quiet;
  const rolledBack = (async () => {
    try {
      await connection.cancelling;
      if (connection.usable && (connection.inTransaction || !connection.quiet)) {
        await executor.runOn(connection, 'rollback', undefined, { timeoutMs: ROLLBACK_TIMEOUT_MS });
      }
      executor.release(connection);
    } catch (error) {
      executor.release(connection, error);
    }
  })();
  return isRunning ? Promise.resolve() : rolledBack;
}

/** A statement's limits within its transaction's. */
function narrowed(outer: QueryOptions, own: QueryOptions | undefined): QueryOptions {
  if (own === undefined) return outer;
  const signals = [outer.signal, own.signal].filter((signal) => signal !== undefined);
  const signal = signals.length > 1 ? AbortSignal.any(signals) : signals[0];
  return { timeoutMs: own.timeoutMs ?? outer.timeoutMs, signal };
}

/** The handle that a transaction's callback is given. */
export class TransactionScope<DB> implements Transaction<DB> {
  readonly #executor: Executor;
  readonly #connection: PooledConnection;
  readonly #options: QueryOptions;
  /** The handle around a savepoint's. */
  readonly #outer: TransactionScope<DB> | undefined;
  readonly #depth: number;
  #kysely: Kysely<DB> | undefined;
  #isOver = false;
  /** While a savepoint is open: to undo it undoes all that came after it, whoever did that. */
  #isBusy = false;

  constructor(
    executor: Executor,
    connection: PooledConnection,
    options: QueryOptions,
    outer?: TransactionScope<DB>,
  ) {
    this.#executor = executor;
    this.#connection = connection;
    this.#options = options;
    this.#outer = outer;
    this.#depth = outer === undefined ? 0 : outer.#depth + 1;
  }

  /**
   * Makes of a user's callback what {@link runTransaction} runs.
   *
   * @throws TypeError when it is none.
   */
  static around<DB, T>(
    executor: Executor,
    work: (transaction: Transaction<DB>) => Promise<T>,
    options: TransactionOptions | undefined,
  ): (connection: PooledConnection) => Promise<T> {
    const limits = { signal: options?.signal, timeoutMs: options?.timeoutMs };
    if (typeof work !== 'function')
      throw new TypeError(`transaction: the work must be a function, got ${describe(work)}`);
    return (connection) => TransactionScope.run(new TransactionScope<DB>(executor, connection, limits), work);
  }

  /** Runs a callback with a handle that is good until the callback has settled. */
  static async run<DB, T>(
    scope: TransactionScope<DB>,
    work: (transaction: Transaction<DB>) => Promise<T>,
  ): Promise<T> {
    try {
      return await work(scope);
    } finally {
      scope.#isOver = true;
    }
  }

  get kysely(): Kysely<DB> {
    this.#kysely ??= new Kysely<DB>({
      dialect: new HotpathDialect(this.#executor, {
        acquire: async () => this.#lend(),
        release: () => {},
        check: () => void this.#lend(),
      }),
    });
    return this.#kysely;
  }

  async query<Row>(text: string, values?: readonly unknown[], options?: QueryOptions): Promise<Row[]> {
    checkLimits('query', options);
    const limits = narrowed(this.#options, options);
    const { rows } = await this.#executor.runOn(this.#lend(), text, values, limits);
    return rows as Row[];
  }

  async transaction<T>(work: (inner: Transaction<DB>) => Promise<T>): Promise<T> {
    if (this.#isBusy) throw transactionBusy();
    this.#isBusy = true;
    try {
      return await this.#inSavepoint(work);
    } finally {
      this.#isBusy = false;
    }
  }

  async #inSavepoint<T>(work: (inner: Transaction<DB>) => Promise<T>): Promise<T> {
    const name = `hotpath_${this.#depth + 1}`;
    await this.query(`savepoint ${name}`);
    try {
      const inner = new TransactionScope<DB>(this.#executor, this.#connection, this.#options, this);
      const result = await TransactionScope.run(inner, work);
      await this.query(`release ${name}`);
      return result;
    } catch (error) {
      await this.#rollBackTo(name);
      throw error;
    }
  }

  /** Waits for a statement that was given up: nothing that it did may outlast the savepoint. Never rejects. */
  async #rollBackTo(name: string): Promise<void> {
    // With its signal the transaction itself ends.
    if (this.#options.signal?.aborted) return;
    const connection = this.#connection;
    await connection.cancelling;
    // The transaction may have ended without waiting for its savepoint.
    if (this.#hasEnded || !connection.usable) return;
    const limits = { timeoutMs: ROLLBACK_TIMEOUT_MS };
    // One that fails leaves a transaction that can only be rolled back.
    await this.#executor.runOn(connection, `rollback to ${name}`, undefined, limits).catch(() => {});
  }

  /** @throws RejectedError (HOTPATH_PG_TRANSACTION_OVER) when the connection may be somebody else's. */
  #lend(): PooledConnection {
    if (this.#hasEnded) throw transactionOver();
    return this.#connection;
  }

  /** A savepoint that nobody waited for ends with what is around it: the connection may be somebody else's then. */
  get #hasEnded(): boolean {
    for (let scope: TransactionScope<DB> | undefined = this; scope !== undefined; scope = scope.#outer)
      if (scope.#isOver) return true;
    return false;
  }
}

import { type Milliseconds, sleep } from '@hotpath/core';
import { Kysely } from 'kysely';
import { commitUnknown, isConnectionLoss, rolledBack, sqlState } from '../errors.ts';
import type { PooledConnection } from '../pool/pooled-connection.ts';
import type { Executor } from './executor.ts';
import { HotpathDialect } from './kysely-dialect.ts';
import type { QueryOptions } from './query-task.ts';

export type IsolationLevel = 'read committed' | 'repeatable read' | 'serializable';

/** What a transaction takes besides its work. */
export interface TransactionOptions {
  /** How often the whole callback is run again after a serialisation failure or a deadlock. Default 3. */
  readonly retries?: number;
  /** Default: the server's, which is `read committed`. */
  readonly isolation?: IsolationLevel;
  readonly readOnly?: boolean;
  /** Ends it: the running statement is cancelled, the transaction rolled back. */
  readonly signal?: AbortSignal;
  /** How long each of its statements, and the wait for a connection, may take. */
  readonly timeoutMs?: Milliseconds;
}

/** A transaction that is open; not to be used after its callback has settled. */
export interface Transaction<DB> {
  readonly kysely: Kysely<DB>;
  /** Runs one statement; returns its rows. */
  query<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<Row[]>;
  /** Runs `work` within a savepoint: when it fails, only its own effects are undone. */
  transaction<T>(work: (inner: Transaction<DB>) => Promise<T>): Promise<T>;
}

const DEFAULT_RETRIES = 3;
const FIRST_RETRY_DELAY_MS = 5;
const retriedStates = new Set(['40001', '40P01']);

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
  { retries = DEFAULT_RETRIES, isolation, readOnly, signal, timeoutMs }: TransactionOptions = {},
  prelude?: (connection: PooledConnection) => Promise<unknown>,
): Promise<T> {
  const begin = `begin${isolation === undefined ? '' : ` isolation level ${isolation}`}${readOnly ? ' read only' : ''}`;
  for (let attempt = 0; ; attempt++) {
    const connection = await executor.acquire({ signal, timeoutMs });
    let failure: unknown;
    try {
      await executor.runOn(connection, begin, undefined, { signal, timeoutMs });
      if (prelude !== undefined) await prelude(connection);
      const result = await work(connection);
      signal?.throwIfAborted();
      await commit(executor, connection);
      executor.release(connection);
      return result;
    } catch (error) {
      failure = error;
    }
    await rollBack(executor, connection);
    if (attempt >= retries || !retriedStates.has(sqlState(failure) ?? '')) throw failure;
    const { random, clock } = executor.pool.options;
    await sleep(FIRST_RETRY_DELAY_MS * 2 ** attempt * (0.5 + random()), { signal, clock });
  }
}

async function commit(executor: Executor, connection: PooledConnection): Promise<void> {
  let command: string | null;
  try {
    command = (await executor.runOn(connection, 'commit')).tag.command;
  } catch (error) {
    // A deferred constraint or a serialisation failure is an answer; everything else is none.
    if (sqlState(error) !== undefined && !isConnectionLoss(error)) throw error;
    throw commitUnknown(error);
  }
  if (command === 'ROLLBACK') throw rolledBack();
}

/** Gives the connection back clean, or not at all. */
async function rollBack(executor: Executor, connection: PooledConnection): Promise<void> {
  try {
    if (connection.usable && (connection.inTransaction || !connection.quiet)) {
      await connection.cancelling;
      await executor.runOn(connection, 'rollback');
    }
    executor.release(connection);
  } catch (error) {
    executor.release(connection, error);
  }
}

/** The handle that a transaction's callback is given. */
export class TransactionScope<DB> implements Transaction<DB> {
  readonly #executor: Executor;
  readonly #connection: PooledConnection;
  readonly #options: QueryOptions;
  readonly #depth: number;
  #kysely: Kysely<DB> | undefined;

  constructor(executor: Executor, connection: PooledConnection, options: QueryOptions, depth = 0) {
    this.#executor = executor;
    this.#connection = connection;
    this.#options = options;
    this.#depth = depth;
  }

  get kysely(): Kysely<DB> {
    const connection = this.#connection;
    this.#kysely ??= new Kysely<DB>({
      dialect: new HotpathDialect(this.#executor, { acquire: async () => connection, release: () => {} }),
    });
    return this.#kysely;
  }

  async query<Row>(text: string, values?: readonly unknown[], options?: QueryOptions): Promise<Row[]> {
    const { rows } = await this.#executor.runOn(this.#connection, text, values, options ?? this.#options);
    return rows as Row[];
  }

  async transaction<T>(work: (inner: Transaction<DB>) => Promise<T>): Promise<T> {
    const name = `hotpath_${this.#depth + 1}`;
    await this.query(`savepoint ${name}`);
    try {
      const result = await work(
        new TransactionScope<DB>(this.#executor, this.#connection, this.#options, this.#depth + 1),
      );
      await this.query(`release ${name}`);
      return result;
    } catch (error) {
      if (this.#connection.usable) await this.#executor.runOn(this.#connection, `rollback to ${name}`);
      throw error;
    }
  }
}

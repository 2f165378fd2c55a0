import {
  CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryCompiler,
  type QueryResult,
  type TransactionSettings,
} from 'kysely';
import { rolledBack } from '../errors.ts';
import { quoteName } from '../identifiers.ts';
import type { PooledConnection } from '../pool/pooled-connection.ts';
import { sendCancelRequest } from '../wire/cancel-request.ts';
import type { StatementExchange } from '../wire/statement-exchange.ts';
import { CursorReader } from './cursor.ts';
import type { Executor } from './executor.ts';
import { CANCEL_GRACE_MS } from './time-limit.ts';

const WRITES = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE']);

/** What newer versions of Kysely pass along with what can be given up. */
interface AbortableOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Where Kysely's connections come from and go to. */
export interface ConnectionSource {
  acquire(options?: AbortableOptions): Promise<PooledConnection>;
  release(connection: PooledConnection, error?: unknown): void;
  /** Called before each query; throws when the connection that was acquired may be somebody else's by now. */
  check?(): void;
}

class KyselyConnection implements DatabaseConnection {
  readonly connection: PooledConnection;
  readonly #executor: Executor;
  readonly #source: ConnectionSource;
  broken: unknown;

  constructor(executor: Executor, source: ConnectionSource, connection: PooledConnection) {
    this.#executor = executor;
    this.#source = source;
    this.connection = connection;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    this.#source.check?.();
    return kyselyResult(await this.#executor.runOn(this.connection, query.sql, query.parameters));
  }

  async *streamQuery<R>(
    { sql, parameters }: CompiledQuery,
    chunkSize: number,
    { signal }: AbortableOptions = {},
  ): AsyncIterableIterator<QueryResult<R>> {
    this.#source.check?.();
    const limits = { signal };
    const cursor = new CursorReader(this.#executor, this.connection, sql, parameters, chunkSize, limits);
    try {
      for (let rows = await cursor.read(); rows.length > 0; rows = await cursor.read()) {
        yield { rows: rows as R[] };
      }
    } finally {
      await cursor.close();
    }
  }

  async cancelQuery(): Promise<void> {
    const cancelled = sendCancelRequest(this.connection.client, CANCEL_GRACE_MS);
    this.connection.cancelling = cancelled;
    await cancelled;
  }

  async killSession(): Promise<void> {
    this.connection.destroy();
  }
}

/** What Kysely makes of a result. */
export function kyselyResult<R>({ tag, rows }: StatementExchange): QueryResult<R> {
  const { command, rowCount } = tag;
  if (command === 'SELECT') return { rows: rows as R[] };
  if (command === 'COMMIT' || command === 'ROLLBACK') return { rows: [{ command }] as R[] };
  return command !== null && WRITES.has(command)
    ? { numAffectedRows: BigInt(rowCount ?? 0), rows: rows as R[] }
    : { rows: rows as R[] };
}

class HotpathDriver implements Driver {
  readonly #executor: Executor;
  readonly #source: ConnectionSource;
  /** What Kysely was given for each: it remembers every new one, which costs more than to find the last. */
  readonly #lent = new WeakMap<PooledConnection, KyselyConnection>();

  constructor(executor: Executor, source: ConnectionSource) {
    this.#executor = executor;
    this.#source = source;
  }

  async init(): Promise<void> {}

  async acquireConnection(options?: AbortableOptions): Promise<DatabaseConnection> {
    const connection = await this.#source.acquire(options);
    let lent = this.#lent.get(connection);
    if (lent === undefined) {
      lent = new KyselyConnection(this.#executor, this.#source, connection);
      this.#lent.set(connection, lent);
    }
    lent.broken = undefined;
    return lent;
  }

  async beginTransaction(connection: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    const level = settings.isolationLevel === undefined ? '' : ` isolation level ${settings.isolationLevel}`;
    const access = settings.accessMode === undefined ? '' : ` ${settings.accessMode}`;
    await connection.executeQuery(CompiledQuery.raw(`start transaction${level}${access}`));
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    const { rows } = await connection.executeQuery<{ command: string }>(CompiledQuery.raw('commit'));
    if (rows[0]?.command === 'ROLLBACK') throw rolledBack();
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    try {
      await (connection as KyselyConnection).connection.cancelling;
      await connection.executeQuery(CompiledQuery.raw('rollback'));
    } catch (error) {
      (connection as KyselyConnection).broken = error;
      throw error;
    }
  }

  async savepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw(`savepoint ${quoteName(name)}`));
  }

  async rollbackToSavepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await (connection as KyselyConnection).connection.cancelling;
    await connection.executeQuery(CompiledQuery.raw(`rollback to ${quoteName(name)}`));
  }

  async releaseSavepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw(`release ${quoteName(name)}`));
  }

  async releaseConnection(connection: DatabaseConnection): Promise<void> {
    const { connection: pooled, broken } = connection as KyselyConnection;
    this.#source.release(pooled, broken);
  }

  /** The pool is closed by whoever made it. */
  async destroy(): Promise<void> {}
}

/** Kysely on a pool of this package: its queries are prepared, timed and cancelled as all others are. */
export class HotpathDialect implements Dialect {
  readonly #executor: Executor;
  readonly #source: ConnectionSource;

  constructor(executor: Executor, source: ConnectionSource) {
    this.#executor = executor;
    this.#source = source;
  }

  createDriver(): Driver {
    return new HotpathDriver(this.#executor, this.#source);
  }

  createQueryCompiler(): QueryCompiler {
    return new PostgresQueryCompiler();
  }

  createAdapter(): DialectAdapter {
    return new PostgresAdapter();
  }

  // biome-ignore lint/suspicious/noExplicitAny: Kysely's own signature.
  createIntrospector(db: Kysely<any>): DatabaseIntrospector {
    return new PostgresIntrospector(db);
  }
}

import { type Milliseconds, optionReader } from '@hotpath/core';
import { Kysely } from 'kysely';
import {
  type InsertOptions,
  insertMany,
  type UpsertCounts,
  type UpsertOptions,
  upsertMany,
} from './bulk/write-many.ts';
import { Catalog } from './catalog.ts';
import { DirectSession } from './direct-session.ts';
import { poolClosed } from './errors.ts';
import { createIndexes, type Indexes } from './indexes/indexes.ts';
import { ConnectionPool } from './pool/connection-pool.ts';
import type { ResolvedPoolOptions } from './pool/pool-options.ts';
import type { Postgres, PostgresStats, ReadOnly, ReadOptions, StreamOptions } from './postgres.ts';
import { clientConfig, downHint, type ResolvedPostgresOptions } from './postgres-options.ts';
import { type BatchOptions, type BatchQuery, type BatchResult, runBatch } from './query/batch.ts';
import { CursorReader } from './query/cursor.ts';
import { Executor } from './query/executor.ts';
import { type ExplainOptions, type Explanation, explain } from './query/explain.ts';
import { HotpathDialect } from './query/kysely-dialect.ts';
import { Listener, type ListenOptions, type Subscription } from './query/listen.ts';
import { BatchingLoader, type LoaderOptions } from './query/loader.ts';
import { NPlusOneDetector, SlowQueryWatch } from './query/monitor.ts';
import { type PageOptions, paginate } from './query/paginate.ts';
import { QueryShapes } from './query/query-shape.ts';
import { checkStatement, type QueryOptions, QueryTask } from './query/query-task.ts';
import { Replicas, type WriteToken } from './query/replicas.ts';
import { type RelationOf, selectIn, type WithChildren } from './query/select-in.ts';
import { BoundVariables, type SessionVariables, type VariableScope } from './query/session-variables.ts';
import { checkLimits, readLimits, TimeLimit } from './query/time-limit.ts';
import {
  runTransaction,
  type Transaction,
  type TransactionOptions,
  TransactionScope,
} from './query/transaction.ts';
import { WireClient } from './wire/wire-client.ts';

const CLOSE_TIMEOUT_MS = 5_000;
const DIRECT_CONNECT_MS = 30_000;
const STREAM_BATCH = 500;
const LARGEST_STREAM_BATCH = 1_000_000;
const QUIET_SHAPES = 16;

/** What `createPostgres` makes. */
export class PostgresClient<DB> implements Postgres<DB> {
  readonly kysely: Kysely<DB>;
  readonly indexes: Indexes;
  readonly readonly: ReadOnly;
  readonly #executor: Executor;
  /** For queries that must not be counted and watched. */
  readonly #quiet: Executor;
  readonly #catalog: Catalog;
  readonly #replicas: Replicas;
  readonly #listener: Listener;
  readonly #isPooled: boolean;
  readonly #closed = new AbortController();
  #closing: Promise<void> | undefined;

  constructor(options: ResolvedPostgresOptions) {
    const executor = executorFor(options, options.connectionString, options.pool);
    this.#executor = executor;
    this.#quiet = new Executor(executor.pool, new QueryShapes(QUIET_SHAPES), false, options.queryTimeoutMs);
    executor.observer = new SlowQueryWatch(this.#quiet, options.slowQueryMs, options.explainSampleRatio);
    if (options.detectNPlusOne !== undefined) {
      executor.detector = new NPlusOneDetector(options.detectNPlusOne, () => executor.clock.now());
    }
    const followers = options.replicas.map((connectionString) =>
      executorFor(options, connectionString, { ...options.pool, minConnections: 0 }),
    );
    this.#replicas = new Replicas(executor, followers, options.maxReplicaLagMs, options.replicaCheckMs);
    this.#isPooled = options.pooler !== undefined;
    this.#catalog = new Catalog((text, values) => executor.run(text, values));
    this.kysely = new Kysely<DB>({
      dialect: new HotpathDialect(executor, {
        acquire: (options) => executor.acquire(options),
        release: (connection, error) => executor.release(connection, error),
      }),
    });
    const direct = clientConfig(options, options.directConnectionString);
    const { clock, random, connectTimeoutMs } = options.pool;
    this.indexes = createIndexes({
      open: () =>
        DirectSession.open(direct, connectTimeoutMs || DIRECT_CONNECT_MS, clock, this.#closed.signal),
      owner: this.#closed.signal,
      clock,
      random,
    });
    this.#listener = new Listener({
      config: direct,
      connectTimeoutMs: connectTimeoutMs || DIRECT_CONNECT_MS,
      heartbeatMs: options.listenHeartbeatMs,
      clock,
      random,
    });
    this.readonly = {
      query: (text, values, queryOptions) => this.#read(text, values, queryOptions),
      stats: () => this.#replicas.stats(),
    };
  }

  async #read<Row>(
    text: string,
    values: readonly unknown[] | undefined,
    options: ReadOptions | undefined,
  ): Promise<Row[]> {
    const read = optionReader('readonly.query', options);
    const after = read.string('after', undefined);
    const limit = new TimeLimit(this.#executor, readLimits(read));
    read.end();
    const answer = await this.#replicas.read(after, (executor) => executor.run(text, values, limit.left()));
    return answer.rows as Row[];
  }

  async writeToken(options?: QueryOptions): Promise<WriteToken> {
    checkLimits('writeToken', options);
    const text = 'select pg_current_wal_insert_lsn()::text as lsn';
    const { rows } = await this.#executor.run(text, [], options);
    return (rows[0] as { lsn: string }).lsn;
  }

  paginate(table: string, options?: PageOptions): Promise<never> {
    return paginate(this.#executor, this.#catalog, table, options) as Promise<never>;
  }

  explain(text: string, values?: readonly unknown[], options?: ExplainOptions): Promise<Explanation> {
    return explain(this.#quiet, text, values, options);
  }

  listen(channel: string, options: ListenOptions): Promise<Subscription> {
    return this.#listener.listen(channel, options);
  }

  withVariables(variables: SessionVariables): VariableScope<DB> {
    return new BoundVariables<DB>(this.#executor, variables, this.#isPooled);
  }

  query<Row>(text: string, values?: readonly unknown[], options?: QueryOptions): Promise<Row[]> {
    return new Promise((resolve, reject) => {
      checkLimits('query', options);
      new QueryTask(
        this.#executor,
        text,
        values,
        options,
        ({ rows }) => resolve(rows as Row[]),
        reject,
      ).start();
    });
  }

  async transaction<T>(
    work: (transaction: Transaction<DB>) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T> {
    return runTransaction(this.#executor, TransactionScope.around(this.#executor, work, options), options);
  }

  batch(queries: readonly BatchQuery[], options?: BatchOptions): Promise<BatchResult[]> {
    return runBatch(this.#executor, queries, options);
  }

  loader(table: string, column: string | readonly string[], options: LoaderOptions = {}): never {
    const by = typeof column === 'string' ? [column] : column;
    return new BatchingLoader(this.#executor, this.#catalog, table, by, options) as never;
  }

  selectIn<Parent extends object, const R extends RelationOf<DB>>(
    parents: readonly Parent[],
    relation: R,
    options?: QueryOptions,
  ): Promise<WithChildren<Parent, R, DB>[]> {
    return selectIn(this.#executor, this.#catalog, parents, relation as never, options) as Promise<never[]>;
  }

  upsertMany(table: string, rows: readonly object[], options?: UpsertOptions): Promise<UpsertCounts> {
    return upsertMany(
      this.#executor,
      this.#catalog,
      table,
      rows as readonly Record<string, unknown>[],
      options,
    );
  }

  insertMany(table: string, rows: readonly object[], options?: InsertOptions): Promise<number> {
    return insertMany(
      this.#executor,
      this.#catalog,
      table,
      rows as readonly Record<string, unknown>[],
      options,
    );
  }

  async *stream<Row>(
    text: string,
    values: readonly unknown[] = [],
    options: StreamOptions = {},
  ): AsyncIterableIterator<Row> {
    const read = optionReader('stream', options);
    const batchSize = read.integer('batchSize', STREAM_BATCH, { min: 1, max: LARGEST_STREAM_BATCH });
    const { signal, timeoutMs } = readLimits(read);
    read.end();
    checkStatement('stream', text, values);
    const executor = this.#executor;
    const connection = await executor.acquire({ signal, timeoutMs });
    const cursor = new CursorReader(executor, connection, text, values, batchSize, { signal, timeoutMs });
    try {
      for (let rows = await cursor.read(); rows.length > 0; rows = await cursor.read()) {
        for (const row of rows as Row[]) {
          signal?.throwIfAborted();
          yield row;
        }
      }
    } finally {
      // Not waited for: a server that no longer answers must not keep the caller.
      void cursor.close().then(() => executor.release(connection));
    }
  }

  stats(): PostgresStats {
    return { pool: this.#executor.pool.stats(), queries: this.#executor.shapes.stats() };
  }

  async close(options: { readonly timeoutMs?: Milliseconds | undefined } = {}): Promise<void> {
    const read = optionReader('close', options);
    const timeoutMs = read.number('timeoutMs', CLOSE_TIMEOUT_MS, { min: 0 });
    read.end();
    this.#closing ??= this.#close(timeoutMs);
    await this.#closing;
  }

  async #close(timeoutMs: Milliseconds): Promise<void> {
    this.#closed.abort(poolClosed());
    this.#replicas.close();
    await Promise.all([
      this.#listener.close(),
      ...[this.#executor, ...this.#replicas.executors].map((executor) => closePool(executor.pool, timeoutMs)),
    ]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function executorFor(
  options: ResolvedPostgresOptions,
  connectionString: string | undefined,
  poolOptions: ResolvedPoolOptions,
): Executor {
  const config = clientConfig(options, connectionString);
  const pool = new ConnectionPool(poolOptions, {
    createClient: () => new WireClient(config, poolOptions.statementCacheSize),
    downHint: downHint(config),
  });
  const shapes = new QueryShapes(options.maxQueryShapes);
  return new Executor(pool, shapes, options.pooler === undefined, options.queryTimeoutMs);
}

function closePool(pool: ConnectionPool, timeoutMs: Milliseconds): Promise<void> {
  const { clock } = pool.options;
  return new Promise((resolve) => {
    const timer = clock.setTimeout(() => pool.destroyAll(), timeoutMs);
    pool.close(() => {
      clock.clearTimeout(timer);
      resolve();
    });
  });
}

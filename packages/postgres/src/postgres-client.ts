import type { Milliseconds } from '@hotpath/core';
import { Kysely } from 'kysely';
import {
  type BulkTarget,
  type InsertOptions,
  insertMany,
  type UpsertCounts,
  type UpsertOptions,
  upsertMany,
} from './bulk/write-many.ts';
import { Catalog } from './catalog.ts';
import { DirectSession } from './direct-session.ts';
import { createIndexes, type Indexes } from './indexes/indexes.ts';
import { ConnectionPool } from './pool/connection-pool.ts';
import type { ResolvedPoolOptions } from './pool/pool-options.ts';
import type { Postgres, PostgresStats, ReadOnly, ReadOptions, StreamOptions } from './postgres.ts';
import { clientConfig, type ResolvedPostgresOptions } from './postgres-options.ts';
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
import { type QueryOptions, QueryTask } from './query/query-task.ts';
import { Replicas, type WriteToken } from './query/replicas.ts';
import { type Relation, selectIn, type WithChildren } from './query/select-in.ts';
import { BoundVariables, type SessionVariables, type VariableScope } from './query/session-variables.ts';
import {
  runTransaction,
  type Transaction,
  type TransactionOptions,
  TransactionScope,
} from './query/transaction.ts';
import { WireClient } from './wire/wire-client.ts';

const CLOSE_TIMEOUT_MS = 5_000;
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
  readonly #bulk: BulkTarget;
  readonly #replicas: Replicas;
  readonly #listener: Listener;
  readonly #isPooled: boolean;

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
        acquire: () => executor.acquire(),
        release: (connection, error) => executor.release(connection, error),
      }),
    });
    this.#bulk = {
      executor,
      catalog: this.#catalog,
      inTransaction: (work) => runTransaction(executor, work),
      onConnection: async (work) => {
        const connection = await executor.acquire();
        try {
          return await work(connection);
        } finally {
          executor.release(connection);
        }
      },
      run: (text, values) => executor.run(text, values),
    };
    const direct = clientConfig(options, options.directConnectionString);
    const { clock, random, connectTimeoutMs } = options.pool;
    this.indexes = createIndexes({
      open: () => DirectSession.open(direct, connectTimeoutMs || 30_000, clock),
      clock,
      random,
    });
    this.#listener = new Listener({
      config: direct,
      connectTimeoutMs: connectTimeoutMs || 30_000,
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
    const answer = await this.#replicas.read(options?.after, (executor) =>
      executor.run(text, values, options),
    );
    return answer.rows as Row[];
  }

  async writeToken(): Promise<WriteToken> {
    const { rows } = await this.#executor.run('select pg_current_wal_insert_lsn()::text as lsn');
    return (rows[0] as { lsn: string }).lsn;
  }

  paginate(table: string, options?: PageOptions): Promise<never> {
    const run = (text: string, values: readonly unknown[]) => this.#executor.run(text, values);
    return paginate(run, this.#catalog, table, options) as Promise<never>;
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

  transaction<T>(
    work: (transaction: Transaction<DB>) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T> {
    const limits = { signal: options?.signal, timeoutMs: options?.timeoutMs };
    return runTransaction(
      this.#executor,
      (connection) => work(new TransactionScope<DB>(this.#executor, connection, limits)),
      options,
    );
  }

  batch(queries: readonly BatchQuery[], options?: BatchOptions): Promise<BatchResult[]> {
    return runBatch(this.#executor, queries, options);
  }

  loader(table: string, column: string | readonly string[], options: LoaderOptions = {}): never {
    const by = typeof column === 'string' ? [column] : column;
    const run = (text: string, values: readonly unknown[]) => this.#executor.run(text, values);
    return new BatchingLoader(run, this.#catalog, table, by, options) as never;
  }

  selectIn<Parent extends object, const R extends Relation>(
    parents: readonly Parent[],
    relation: R,
  ): Promise<WithChildren<Parent, R>[]> {
    return selectIn((text, values) => this.#executor.run(text, values), this.#catalog, parents, relation);
  }

  upsertMany(table: string, rows: readonly object[], options?: UpsertOptions): Promise<UpsertCounts> {
    return upsertMany(this.#bulk, table, rows as readonly Record<string, unknown>[], options);
  }

  insertMany(table: string, rows: readonly object[], options?: InsertOptions): Promise<number> {
    return insertMany(this.#bulk, table, rows as readonly Record<string, unknown>[], options);
  }

  async *stream<Row>(
    text: string,
    values: readonly unknown[] = [],
    { batchSize = 500, signal }: StreamOptions = {},
  ): AsyncIterableIterator<Row> {
    const connection = await this.#executor.acquire({ signal });
    const cursor = new CursorReader(this.#executor, connection, text, values, batchSize);
    try {
      for (let rows = await cursor.read(); rows.length > 0; rows = await cursor.read()) {
        for (const row of rows as Row[]) {
          signal?.throwIfAborted();
          yield row;
        }
      }
    } finally {
      await cursor.close();
      this.#executor.release(connection);
    }
  }

  stats(): PostgresStats {
    return { pool: this.#executor.pool.stats(), queries: this.#executor.shapes.stats() };
  }

  async close({ timeoutMs = CLOSE_TIMEOUT_MS }: { readonly timeoutMs?: Milliseconds } = {}): Promise<void> {
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
  });
  const shapes = new QueryShapes(options.maxQueryShapes);
  return new Executor(pool, shapes, options.pooler === undefined, options.queryTimeoutMs);
}

function closePool(pool: ConnectionPool, timeoutMs: Milliseconds): Promise<void> {
  if (pool.closing) return Promise.resolve();
  const { clock } = pool.options;
  return new Promise((resolve) => {
    const timer = clock.setTimeout(() => pool.destroyAll(), timeoutMs);
    pool.close(() => {
      clock.clearTimeout(timer);
      resolve();
    });
  });
}

import type { Milliseconds } from '@hotpath/core';
import type { Insertable, Kysely, Selectable } from 'kysely';
import type { InsertOptions, UpsertCounts, UpsertOptions } from './bulk/write-many.ts';
import type { Indexes } from './indexes/indexes.ts';
import type { PoolStats } from './pool/pool-stats.ts';
import { PostgresClient } from './postgres-client.ts';
import { type PostgresOptions, resolvePostgresOptions } from './postgres-options.ts';
import type { BatchOptions, BatchQuery, BatchResult } from './query/batch.ts';
import type { ExplainOptions, Explanation } from './query/explain.ts';
import type { ListenOptions, Subscription } from './query/listen.ts';
import type { Loader, LoaderOptions } from './query/loader.ts';
import type { Page, PageOptions } from './query/paginate.ts';
import type { QueryShapeStats } from './query/query-shape.ts';
import type { QueryOptions } from './query/query-task.ts';
import type { ReplicaStats, WriteToken } from './query/replicas.ts';
import type { RelationOf, WithChildren } from './query/select-in.ts';
import type { SessionVariables, VariableScope } from './query/session-variables.ts';
import type { Transaction, TransactionOptions } from './query/transaction.ts';

type TableName<DB> = keyof DB & string;
type ColumnName<Table> = keyof Table & string;
type KeyOf<Table, Column> = Column extends keyof Table
  ? Selectable<Table>[Column & keyof Selectable<Table>] | string | number | bigint
  : // biome-ignore lint/suspicious/noExplicitAny: a database without declared tables takes any.
    any;

/** What {@link Postgres.stats} gives. */
export interface PostgresStats {
  readonly pool: PoolStats;
  readonly queries: readonly QueryShapeStats[];
}

/** What {@link Postgres.stream} takes besides text and values. */
export interface StreamOptions {
  /** How many rows are asked for at a time. Default 500. */
  readonly batchSize?: number | undefined;
  /** How long the connection and then each batch may take to come. Default: the client's `queryTimeoutMs`. */
  readonly timeoutMs?: Milliseconds | undefined;
  /** Ends it; the server is asked to cancel the query. */
  readonly signal?: AbortSignal | undefined;
}

/** What {@link ReadOnly.query} takes besides text and values. */
export interface ReadOptions extends QueryOptions {
  /** Only a server that has seen this write may answer. */
  readonly after?: WriteToken | undefined;
}

/** Reads that may be answered by a replica. */
export interface ReadOnly {
  query<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    options?: ReadOptions,
  ): Promise<Row[]>;
  stats(): readonly ReplicaStats[];
}

/** Postgres for a service under load. */
// biome-ignore lint/suspicious/noExplicitAny: without declared tables, any name will do.
export interface Postgres<DB = any> extends AsyncDisposable {
  readonly kysely: Kysely<DB>;
  query<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<Row[]>;
  transaction<T>(
    work: (transaction: Transaction<DB>) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>;
  batch(queries: readonly BatchQuery[], options?: BatchOptions): Promise<BatchResult[]>;
  loader<
    Table extends TableName<DB>,
    Column extends ColumnName<DB[Table]>,
    Selected extends ColumnName<DB[Table]> = ColumnName<DB[Table]>,
  >(
    table: Table,
    column: Column | readonly Column[],
    options?: LoaderOptions<Selected>,
  ): Loader<
    Pick<Selectable<DB[Table]>, Selected & keyof Selectable<DB[Table]>>,
    KeyOf<DB[Table], Column> | readonly unknown[]
  >;
  selectIn<Parent extends object, const R extends RelationOf<DB>>(
    parents: readonly Parent[],
    relation: R,
    options?: QueryOptions,
  ): Promise<WithChildren<Parent, R, DB>[]>;
  upsertMany<Table extends TableName<DB>>(
    table: Table,
    rows: readonly Partial<Insertable<DB[Table]>>[],
    options?: UpsertOptions<ColumnName<DB[Table]>>,
  ): Promise<UpsertCounts>;
  insertMany<Table extends TableName<DB>>(
    table: Table,
    rows: readonly Partial<Insertable<DB[Table]>>[],
    options?: InsertOptions,
  ): Promise<number>;
  stream<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    options?: StreamOptions,
  ): AsyncIterableIterator<Row>;
  /** One page of a table, by the values that the page before ended with. */
  paginate<Table extends TableName<DB>>(
    table: Table,
    options?: PageOptions<ColumnName<DB[Table]>>,
  ): Promise<Page<Selectable<DB[Table]>>>;
  /** The plan of a statement; a statement that writes is planned and not run. */
  explain(text: string, values?: readonly unknown[], options?: ExplainOptions): Promise<Explanation>;
  /** Hears what is notified, on a session of its own that comes back by itself. */
  listen(channel: string, options: ListenOptions): Promise<Subscription>;
  /** Queries that see these variables (for row-level security); they are taken back with the connection. */
  withVariables(variables: SessionVariables): VariableScope<DB>;
  /** Reads on a replica that is close enough behind, else on the primary. */
  readonly readonly: ReadOnly;
  /** A place in the log behind all writes so far, for `readonly.query(…, { after })`. */
  writeToken(options?: QueryOptions): Promise<WriteToken>;
  readonly indexes: Indexes;
  stats(): PostgresStats;
  /** Ends all connections, those in use when they come back or after `timeoutMs` (default 5,000). */
  close(options?: { readonly timeoutMs?: Milliseconds | undefined }): Promise<void>;
}

/**
 * Makes a client for one database: a pool, and everything that is done through it.
 *
 * Nothing is connected before it is needed, unless `pool.minConnections` says so.
 *
 * @throws TypeError or RangeError when an option is wrong.
 */
// biome-ignore lint/suspicious/noExplicitAny: without declared tables, any name will do.
export function createPostgres<DB = any>(options: PostgresOptions = {}): Postgres<DB> {
  return new PostgresClient<DB>(resolvePostgresOptions(options));
}

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
  /**
   * Runs one reading statement on a replica that is at most `maxReplicaLagMs` behind and has seen `after`, in turn; on
   * the primary where there is none, and once more there when the replica fails it. Resolves with its rows.
   *
   * @throws TypeError for an `after` that is no write token; what {@link Postgres.query} throws.
   */
  query<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    options?: ReadOptions,
  ): Promise<Row[]>;
  /** What was last measured of each replica, in the order of the option `replicas`. */
  stats(): readonly ReplicaStats[];
}

/**
 * Postgres for a service under load.
 *
 * Each call settles by its deadline (`timeoutMs`, by default the client's `queryTimeoutMs`) and at once when its
 * `signal` fires, also while it waits for a connection. Errors of the server itself stay as `pg` throws them.
 */
// biome-ignore lint/suspicious/noExplicitAny: without declared tables, any name will do.
export interface Postgres<DB = any> extends AsyncDisposable {
  /** A Kysely on the same pool: its queries are prepared, timed and counted as those of {@link query} are. */
  readonly kysely: Kysely<DB>;
  /**
   * Runs one statement, or several where there are no values, and resolves with the rows of the last that has any.
   *
   * A text is kept prepared from its second use on a connection. One round trip.
   *
   * @throws TimeoutError (HOTPATH_PG_QUERY_TIMEOUT) when it was not answered in time; its effect is not known then.
   * @throws TimeoutError (HOTPATH_PG_ACQUIRE_TIMEOUT) when no connection came free in `acquireTimeoutMs`.
   * @throws RejectedError (HOTPATH_PG_QUEUE_FULL) when `maxWaiting` callers wait already.
   * @throws UnavailableError (HOTPATH_PG_DOWN) when no connection can be made.
   * @throws UnavailableError (HOTPATH_PG_CONNECTION_LOST) when it broke meanwhile; the effect is not known then.
   * @throws AbortedError (HOTPATH_PG_CLOSED) after `close`.
   * @throws The signal's reason, untouched.
   *
   * @example
   * const rows = await db.query<{ name: string }>('select name from users where id = $1', [42], { timeoutMs: 500 });
   */
  query<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<Row[]>;
  /**
   * Runs `work` in a transaction and commits, or rolls back when it fails; resolves with what `work` gives.
   *
   * After 40001 (serialisation failure) and 40P01 (deadlock) the whole of `work` runs again, `retries` times at most, so
   * it must do nothing outside that it can't repeat. Never when the outcome of COMMIT is not known.
   *
   * @throws UnavailableError (HOTPATH_PG_COMMIT_UNKNOWN) when the connection broke between COMMIT and its answer.
   * @throws UpstreamError (HOTPATH_PG_ROLLED_BACK) when `work` swallowed the failure of a statement.
   * @throws What `work` throws; what {@link query} throws.
   *
   * @example
   * await db.transaction(async (tx) => {
   *   await tx.query('update accounts set amount = amount - $1 where id = $2', [10, 1]);
   *   await tx.query('update accounts set amount = amount + $1 where id = $2', [10, 2]);
   * }, { isolation: 'serializable' });
   */
  transaction<T>(
    work: (transaction: Transaction<DB>) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>;
  /**
   * Sends all queries in one write on one connection; resolves with what each gave, in order. One round trip.
   *
   * Atomic (the default), they are one transaction: the first failure rejects, and nothing stays. Otherwise each stands
   * alone, and a failure is its own result.
   *
   * @throws The failure of a query, when atomic; what {@link query} throws.
   */
  batch(queries: readonly BatchQuery[], options?: BatchOptions): Promise<BatchResult[]>;
  /**
   * Makes a loader that turns the look-ups of one tick into one query, by one column or by several.
   *
   * Nothing is kept beyond the tick. Make one where it is used, or once: it costs nothing and has nothing to close.
   *
   * @throws TypeError or RangeError when an option is wrong.
   *
   * @example
   * const users = db.loader('users', 'id');
   * const [ada, none] = await Promise.all([users.load(42), users.load(-1)]); // one query; none is null
   */
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
  /**
   * Loads the children of all parents, 500 keys a query, and resolves with new objects that hold both; the parents stay
   * as they are. A parent whose key is null has none.
   *
   * @throws TypeError or RangeError when the relation is wrong, or no parent has the property `parentKey`.
   * @throws RejectedError (HOTPATH_PG_UNKNOWN_NAME) for a table or column that is not there.
   * @throws What {@link query} throws.
   *
   * @example
   * const authors = await db.query<{ id: number }>('select id from authors');
   * await db.selectIn(authors, { table: 'books', foreignKey: 'author_id', as: 'books', orderBy: ['-id'], limit: 3 });
   */
  selectIn<Parent extends object, const R extends RelationOf<DB>>(
    parents: readonly Parent[],
    relation: R,
    options?: QueryOptions,
  ): Promise<WithChildren<Parent, R, DB>[]>;
  /**
   * Inserts or updates rows by key, all or none, and counts what it did. Rows that would not change are not written.
   *
   * One statement by arrays; COPY into a temporary table from 20,000 rows on. Rows are written in the order of their
   * keys, so that two writers do not deadlock. Columns that a row does not name keep their value or default.
   *
   * @throws RejectedError (HOTPATH_PG_UNKNOWN_NAME) for a name that is not there, or a row without its key.
   * @throws RejectedError (HOTPATH_PG_DUPLICATE_KEY) by `onDuplicate: 'error'`, when two rows have one key.
   * @throws TypeError for what is no row, or no value of its column; what {@link query} throws.
   *
   * @example
   * await db.upsertMany('users', [{ id: 42, name: 'Ada' }], { key: ['id'] }); // { inserted: 1, updated: 0, unchanged: 0 }
   */
  upsertMany<Table extends TableName<DB>>(
    table: Table,
    rows: readonly Partial<Insertable<DB[Table]>>[],
    options?: UpsertOptions<ColumnName<DB[Table]>>,
  ): Promise<UpsertCounts>;
  /**
   * Inserts rows, all or none, and resolves with how many it inserted: by arrays, from 1,000 rows on by COPY.
   *
   * @throws RejectedError (HOTPATH_PG_UNKNOWN_NAME) for a table or column that is not there.
   * @throws TypeError for what is no row, or no value of its column; what {@link query} throws.
   */
  insertMany<Table extends TableName<DB>>(
    table: Table,
    rows: readonly Partial<Insertable<DB[Table]>>[],
    options?: InsertOptions,
  ): Promise<number>;
  /**
   * Runs one statement in a transaction of its own and gives its rows as they are read, `batchSize` at a time, so that
   * neither side holds more. To leave the loop ends it.
   *
   * The limits of both sides count for each batch, not for the whole; a reader that pauses for longer than
   * `idleInTransactionTimeoutMs` loses it.
   *
   * @throws What {@link query} throws, from the loop.
   *
   * @example
   * for await (const row of db.stream('select * from events')) console.log(row);
   */
  stream<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    options?: StreamOptions,
  ): AsyncIterableIterator<Row>;
  /**
   * Reads one page of a table, by the values that the page before ended with: rows that come and go meanwhile neither
   * repeat nor hide others.
   *
   * @throws RejectedError (HOTPATH_PG_UNKNOWN_NAME) for a table or column that is not there, or a table without a
   * primary key.
   * @throws CorruptError (HOTPATH_PG_BAD_CURSOR) for an `after` of another table or order; what {@link query} throws.
   *
   * @example
   * const first = await db.paginate('users', { orderBy: ['-created_at'], pageSize: 20 });
   * const second = await db.paginate('users', { orderBy: ['-created_at'], pageSize: 20, after: first.next });
   */
  paginate<Table extends TableName<DB>>(
    table: Table,
    options?: PageOptions<ColumnName<DB[Table]>>,
  ): Promise<Page<Selectable<DB[Table]>>>;
  /**
   * Plans one statement, and runs it to measure it where it only reads: in a read-only transaction that is rolled back.
   *
   * @throws What {@link query} throws. The default of `timeoutMs` is 10,000 here.
   */
  explain(text: string, values?: readonly unknown[], options?: ExplainOptions): Promise<Explanation>;
  /**
   * Hears what is notified on a channel, from the moment that it resolves, on a session of its own for all channels.
   *
   * The session comes back by itself after a loss, also one without a word (within twice `listenHeartbeatMs`); then
   * `onGap` tells that notifications may be missing.
   *
   * @throws UnavailableError (HOTPATH_PG_DOWN, HOTPATH_PG_CONNECTION_LOST) or TimeoutError (HOTPATH_PG_QUERY_TIMEOUT)
   * when it can't be subscribed at first; AbortedError (HOTPATH_PG_CLOSED) after `close`; the signal's reason, untouched.
   * @throws TypeError for what can't be a channel, or an option that is wrong.
   */
  listen(channel: string, options: ListenOptions): Promise<Subscription>;
  /**
   * Gives a way to query that sees these session variables (for row-level security); they are taken back before anybody
   * else has the connection. Behind a transaction pooler each query is a transaction, and there is no `kysely`.
   *
   * @throws TypeError for a name without a dot, or a value that is no string, number or boolean.
   *
   * @example
   * await db.withVariables({ 'app.tenant': 7 }).query("select current_setting('app.tenant')");
   */
  withVariables(variables: SessionVariables): VariableScope<DB>;
  /** Reads on a replica that is close enough behind, else on the primary. */
  readonly readonly: ReadOnly;
  /**
   * Asks the primary for a place in its log behind all writes so far, for `readonly.query(…, { after })`.
   *
   * @throws What {@link query} throws.
   */
  writeToken(options?: QueryOptions): Promise<WriteToken>;
  /** Declared indexes, compared and built. */
  readonly indexes: Indexes;
  /** Counters since it was made; at the cost of a look, without a query. */
  stats(): PostgresStats;
  /** Refuses who waits, gives up listeners and index runs, and ends all connections, those in use when they come back or after `timeoutMs` (default 5,000). Called again it resolves with the first call. Never rejects but for a wrong option. */
  close(options?: { readonly timeoutMs?: Milliseconds | undefined }): Promise<void>;
}

/**
 * Makes a client for one database: a pool, and everything that is done through it.
 *
 * Nothing is connected before it is needed, unless `pool.minConnections` says so.
 *
 * @throws TypeError or RangeError when an option is wrong; the message names it.
 *
 * @example
 * const db = createPostgres<{ users: { id: number; name: string } }>({
 *   connectionString: process.env.DATABASE_URL,
 *   pool: { max: 20 },
 * });
 * await db.kysely.selectFrom('users').selectAll().where('id', '=', 42).executeTakeFirst();
 * await db.close();
 */
// biome-ignore lint/suspicious/noExplicitAny: without declared tables, any name will do.
export function createPostgres<DB = any>(options: PostgresOptions = {}): Postgres<DB> {
  return new PostgresClient<DB>(resolvePostgresOptions(options));
}

import { describe, type Milliseconds, optionReader } from '@hotpath/core';
import { type Catalog, columnOf, type TableInfo } from '../catalog.ts';
import { unknownName } from '../errors.ts';
import { quoteName, quoteTable } from '../identifiers.ts';
import type { PooledConnection } from '../pool/pooled-connection.ts';
import type { Executor } from '../query/executor.ts';
import { readLimits, TimeLimit, within } from '../query/time-limit.ts';
import { runTransaction } from '../query/transaction.ts';
import { CopyExchange } from '../wire/copy-exchange.ts';
import { ByteWriter } from './byte-writer.ts';
import { copyChunks } from './copy-rows.ts';
import { arrayBytes, copyBytes } from './encode-binary.ts';
import { arrayTextOf } from './encode-text.ts';
import { oneRowAKey } from './one-row-a-key.ts';
import {
  type DuplicateRule,
  groupRows,
  type KeptRow,
  type RowGroup,
  sortByKey,
  type WriteRow,
} from './rows.ts';
import { chosenRowsStatement, insertStatement, upsertStatement } from './statements.ts';

/** From so many rows on, inserts go by COPY: it takes less time of the server. */
const COPY_FROM_ROWS = 1_000;
/**
 * From so many rows on, upserts go by COPY into a temporary table. At 10,000 rows of five columns the arrays took
 * less time of server and client together; beyond, it is their memory that counts.
 */
const MERGE_FROM_ROWS = 20_000;

/** What {@link upsertMany} takes besides the rows. */
export interface UpsertOptions<Column extends string = string> {
  /** The columns by which a row is known; a unique index must be on exactly them. Default: the primary key. */
  readonly key?: readonly Column[] | undefined;
  /** The columns to overwrite. Default: all that are given, but for the key. */
  readonly update?: readonly Column[] | undefined;
  /** Which of several rows with one key counts, as a whole: nothing of the others is written. Default `last`. */
  readonly onDuplicate?: DuplicateRule | undefined;
  /** How long it may take in all. Default: the client's `queryTimeoutMs`. */
  readonly timeoutMs?: Milliseconds | undefined;
  /** Gives it up; nothing is written then. */
  readonly signal?: AbortSignal | undefined;
}

/** What {@link insertMany} takes besides the rows. */
export interface InsertOptions {
  /** What happens to a row that is there already. Default `error`: nothing is written at all. */
  readonly onConflict?: 'error' | 'ignore' | undefined;
  /** How long it may take in all. Default: the client's `queryTimeoutMs`. */
  readonly timeoutMs?: Milliseconds | undefined;
  /** Gives it up; nothing is written then. */
  readonly signal?: AbortSignal | undefined;
}

/** What a bulk upsert did. */
export interface UpsertCounts {
  readonly inserted: number;
  readonly updated: number;
  /** Rows that were there as given, and repeated ones that did not count. */
  readonly unchanged: number;
}

const conflictRules = ['error', 'ignore'] as const;
const duplicateRules = ['last', 'first', 'error'] as const;

/** One call's way to the server: every statement of it has what is left of one limit. */
class BulkWrite {
  readonly #executor: Executor;
  readonly #limit: TimeLimit;

  constructor(executor: Executor, limit: TimeLimit) {
    this.#executor = executor;
    this.#limit = limit;
  }

  /** Runs one statement, on the connection or on whichever is free. */
  run(
    text: string,
    values: readonly unknown[] = [],
    connection?: PooledConnection,
  ): Promise<{ rows: unknown[]; tag: { rowCount: number | null } }> {
    const limits = this.#limit.left();
    return connection === undefined
      ? this.#executor.run(text, values, limits)
      : this.#executor.runOn(connection, text, values, limits);
  }

  /** Does work that is one statement, on a connection of its own. */
  async onConnection<T>(work: (connection: PooledConnection) => Promise<T>): Promise<T> {
    const connection = await this.#executor.acquire(this.#limit.left());
    try {
      return await work(connection);
    } finally {
      this.#executor.release(connection);
    }
  }

  inTransaction<T>(work: (connection: PooledConnection) => Promise<T>): Promise<T> {
    return runTransaction(this.#executor, work, this.#limit.left());
  }

  copy(connection: PooledConnection, quotedTable: string, group: RowGroup): Promise<number> {
    const names = group.columns.map(({ name }) => quoteName(name)).join(', ');
    const bytes = copyBytes(group, new ByteWriter());
    const text = `copy ${quotedTable} (${names}) from stdin${bytes === undefined ? '' : ' binary'}`;
    const copied = this.#executor.exchangeOn<number>(
      connection,
      (wire, resolve, reject) => new CopyExchange(wire, text, bytes ?? copyChunks(group), resolve, reject),
    );
    return within(this.#executor, connection, copied, this.#limit.left());
  }
}

function arraysOf({ columns, rows }: RowGroup): unknown[] {
  const writer = new ByteWriter();
  return columns.map((column) => arrayBytes(rows, column, writer) ?? arrayTextOf(rows, column));
}

function checkRows(operation: string, rows: unknown): void {
  if (!Array.isArray(rows))
    throw new TypeError(`${operation}: the rows must be an array, got ${describe(rows)}`);
}

/** Inserts rows, all or none: by arrays, or by COPY when there are many. Returns how many were inserted. */
export async function insertMany(
  executor: Executor,
  catalog: Catalog,
  table: string,
  rows: readonly WriteRow[],
  options: InsertOptions = {},
): Promise<number> {
  checkRows('insertMany', rows);
  const read = optionReader('insertMany', options);
  const onConflict = read.oneOf('onConflict', conflictRules, 'error');
  const limit = new TimeLimit(executor, readLimits(read));
  read.end();
  if (rows.length === 0) return 0;
  return catalog.using(table, limit, async (info) => {
    const groups = groupRows(table, info, rows);
    const write = new BulkWrite(executor, limit);
    const copies = ({ columns, rows: { length } }: RowGroup): boolean =>
      columns.length > 0 && onConflict === 'error' && length >= COPY_FROM_ROWS;
    const one = async (group: RowGroup, connection?: PooledConnection): Promise<number> => {
      if (connection !== undefined && copies(group)) return write.copy(connection, quoteTable(table), group);
      if (group.columns.length === 0) return insertDefaults(write, table, group.rows.length, connection);
      const text = insertStatement(table, group.columns, onConflict);
      return (await write.run(text, arraysOf(group), connection)).tag.rowCount ?? 0;
    };
    const [first] = groups as [RowGroup];
    const isOneStatement = groups.length === 1 && (first.columns.length > 0 || first.rows.length === 1);
    if (isOneStatement && !copies(first)) return one(first);
    if (isOneStatement) return write.onConnection((connection) => one(first, connection));
    return write.inTransaction(async (connection) => {
      let inserted = 0;
      for (const group of groups) inserted += await one(group, connection);
      return inserted;
    });
  });
}

async function insertDefaults(
  write: BulkWrite,
  table: string,
  count: number,
  connection: PooledConnection | undefined,
): Promise<number> {
  const text = `insert into ${quoteTable(table)} default values`;
  for (let i = 0; i < count; i++) await write.run(text, [], connection);
  return count;
}

/** Inserts or updates rows by key, all or none. */
export async function upsertMany(
  executor: Executor,
  catalog: Catalog,
  table: string,
  rows: readonly WriteRow[],
  options: UpsertOptions = {},
): Promise<UpsertCounts> {
  checkRows('upsertMany', rows);
  const read = optionReader('upsertMany', options);
  const rule = read.oneOf('onDuplicate', duplicateRules, 'last');
  for (const name of ['key', 'update']) read.any(name);
  const limit = new TimeLimit(executor, readLimits(read));
  read.end();
  if (rows.length === 0) return { inserted: 0, updated: 0, unchanged: 0 };
  return catalog.using(table, limit, async (info) => {
    const key = keyOf(table, info, options);
    const write = new BulkWrite(executor, limit);
    const groups = await groupsOfKeys(write, table, info, rows, key, rule);
    const one = (group: RowGroup, connection?: PooledConnection): Promise<Written> =>
      upsertGroup(write, table, key, rule === 'error' ? 'first' : rule, options.update, group, connection);
    let written: Written;
    if (groups.length === 1 && groups[0]!.rows.length < MERGE_FROM_ROWS) written = await one(groups[0]!);
    else {
      written = await write.inTransaction(async (connection) => {
        const sum = { inserted: 0, updated: 0 };
        for (const group of groups) {
          const { inserted, updated } = await one(group, connection);
          sum.inserted += inserted;
          sum.updated += updated;
        }
        return sum;
      });
    }
    return { ...written, unchanged: rows.length - written.inserted - written.updated };
  });
}

type Written = Omit<UpsertCounts, 'unchanged'>;

function keyOf(table: string, info: TableInfo, { key = info.primaryKey, update = [] }: UpsertOptions) {
  if (!Array.isArray(key) || !Array.isArray(update))
    throw new TypeError("upsertMany: options 'key' and 'update' must be arrays of columns");
  if (key.length === 0)
    throw unknownName(`upsertMany: table ${table} has no primary key, so the option key is needed`);
  for (const name of [...key, ...update]) columnOf(table, info, name);
  return key as readonly string[];
}

/** Rows in groups by the columns that they name; of one key there is a row in one group at most. */
async function groupsOfKeys(
  write: BulkWrite,
  table: string,
  info: TableInfo,
  rows: readonly WriteRow[],
  key: readonly string[],
  rule: DuplicateRule,
): Promise<readonly RowGroup[]> {
  const groups = groupRows(table, info, rows);
  for (const name of key) {
    if (!groups.every(({ columns }) => columns.some((column) => column.name === name)))
      throw unknownName(`upsertMany: a row of ${table} lacks its key ${name}`);
  }
  if (groups.length === 1 && rule !== 'error') return groups;
  const columns = key.map((name) => info.columns.get(name)!);
  const chosen = await oneRowAKey(rows, columns, rule, async (from) => {
    const asked = await write.run(chosenRowsStatement(columns, from), arraysOf({ columns, rows }));
    return (asked.rows as { n: number }[]).map(({ n }) => n - 1);
  });
  return chosen === rows ? groups : groupRows(table, info, chosen);
}

async function upsertGroup(
  write: BulkWrite,
  table: string,
  key: readonly string[],
  rule: KeptRow,
  updateNames: readonly string[] | undefined,
  given: RowGroup,
  connection: PooledConnection | undefined,
): Promise<Written> {
  const { group, isExact } = sortByKey(given, key, rule);
  const { columns, rows } = group;
  const update = columns.filter(({ name }) =>
    updateNames === undefined ? !key.includes(name) : updateNames.includes(name),
  );
  const shape = { table, columns, key, update };
  if (connection === undefined || !isExact || rows.length < MERGE_FROM_ROWS) {
    const text = upsertStatement(isExact ? shape : { ...shape, distinct: rule });
    return countsOf(await write.run(text, arraysOf(group), connection));
  }
  const stage = quoteName(`hotpath_${columns.length}_${rows.length}`);
  const names = columns.map(({ name }) => quoteName(name)).join(', ');
  const like = `select ${names} from ${quoteTable(table)} with no data`;
  await write.run(`create temporary table ${stage} on commit drop as ${like}`, [], connection);
  await write.copy(connection, stage, group);
  const counts = countsOf(await write.run(upsertStatement({ ...shape, from: stage }), [], connection));
  await write.run(`drop table ${stage}`, [], connection);
  return counts;
}

function countsOf({ rows }: { readonly rows: unknown[] }): Written {
  const { inserted, updated } = rows[0] as { inserted: unknown; updated: unknown };
  return { inserted: Number(inserted), updated: Number(updated) };
}

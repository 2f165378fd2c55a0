import type { Catalog, ColumnInfo, TableInfo } from '../catalog.ts';
import { columnOf } from '../catalog.ts';
import { sqlState, unknownName } from '../errors.ts';
import { quoteName, quoteTable } from '../identifiers.ts';
import type { PooledConnection } from '../pool/pooled-connection.ts';
import type { Executor } from '../query/executor.ts';
import { CopyExchange } from '../wire/copy-exchange.ts';
import {
  arrayText,
  type ColumnBatch,
  type DuplicateRule,
  sortByKey,
  toBatches,
  type WriteRow,
} from './columns.ts';
import { copyChunks } from './copy-rows.ts';
import { insertStatement, upsertStatement } from './statements.ts';

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
  readonly key?: readonly Column[];
  /** The columns to overwrite. Default: all that are given, but for the key. */
  readonly update?: readonly Column[];
  /** Which of several rows with one key counts. Default `last`. */
  readonly onDuplicate?: DuplicateRule;
}

/** What {@link insertMany} takes besides the rows. */
export interface InsertOptions {
  /** What happens to a row that is there already. Default `error`: nothing is written at all. */
  readonly onConflict?: 'error' | 'ignore';
}

/** What a bulk upsert did. */
export interface UpsertCounts {
  readonly inserted: number;
  readonly updated: number;
  /** Rows that were there as given, and repeated ones that did not count. */
  readonly unchanged: number;
}

type OnConnection = <T>(work: (connection: PooledConnection) => Promise<T>) => Promise<T>;

/** What bulk writes run on: an own transaction each, or the caller's. */
export interface BulkTarget {
  readonly executor: Executor;
  readonly catalog: Catalog;
  /** Runs work in a transaction. */
  readonly inTransaction: OnConnection;
  /** Lends a connection for work that is one statement. */
  readonly onConnection: OnConnection;
  /** Runs one statement, on whichever connection. */
  run(
    text: string,
    values: readonly unknown[],
  ): Promise<{ rows: unknown[]; tag: { rowCount: number | null } }>;
}

/** Errors after which a table may look different from what is remembered of it. */
const schemaStates = new Set(['42703', '42P01', '42804', '42846', '42704']);

async function withTable<T>(
  target: BulkTarget,
  table: string,
  work: (info: TableInfo) => Promise<T>,
): Promise<T> {
  try {
    return await work(await target.catalog.table(table));
  } catch (error) {
    const code = sqlState(error) ?? (error as { code?: string }).code;
    if (code === 'HOTPATH_PG_UNKNOWN_NAME' || (code !== undefined && schemaStates.has(code)))
      target.catalog.forget(table);
    throw error;
  }
}

/** Inserts rows, all or none: by arrays, or by COPY when there are many. Returns how many were inserted. */
export function insertMany(
  target: BulkTarget,
  table: string,
  rows: readonly WriteRow[],
  { onConflict = 'error' }: InsertOptions = {},
): Promise<number> {
  if (rows.length === 0) return Promise.resolve(0);
  return withTable(target, table, async (info) => {
    const batches = toBatches(table, info, rows);
    const one = async (batch: ColumnBatch, connection?: PooledConnection): Promise<number> => {
      if (batch.columns.length === 0) return insertDefaults(target, table, batch.count, connection);
      if (connection !== undefined && onConflict === 'error' && batch.count >= COPY_FROM_ROWS) {
        return copyInto(target, connection, quoteTable(table), batch);
      }
      const text = insertStatement(table, batch.columns, onConflict);
      const values = batch.values.map(arrayText);
      const { tag } = await (connection === undefined
        ? target.run(text, values)
        : target.executor.runOn(connection, text, values));
      return tag.rowCount ?? 0;
    };
    if (batches.length === 1 && (batches[0]!.count < COPY_FROM_ROWS || onConflict !== 'error'))
      return one(batches[0]!);
    if (batches.length === 1) return target.onConnection((connection) => one(batches[0]!, connection));
    return target.inTransaction(async (connection) => {
      let inserted = 0;
      for (const batch of batches) inserted += await one(batch, connection);
      return inserted;
    });
  });
}

async function insertDefaults(
  target: BulkTarget,
  table: string,
  count: number,
  connection: PooledConnection | undefined,
): Promise<number> {
  const text = `insert into ${quoteTable(table)} default values`;
  for (let i = 0; i < count; i++) {
    await (connection === undefined ? target.run(text, []) : target.executor.runOn(connection, text));
  }
  return count;
}

/** Inserts or updates rows by key, all or none. */
export function upsertMany(
  target: BulkTarget,
  table: string,
  rows: readonly WriteRow[],
  options: UpsertOptions = {},
): Promise<UpsertCounts> {
  if (rows.length === 0) return Promise.resolve({ inserted: 0, updated: 0, unchanged: 0 });
  return withTable(target, table, async (info) => {
    const key = options.key ?? info.primaryKey;
    if (key.length === 0)
      throw unknownName(`upsertMany: table ${table} has no primary key, so the option key is needed`);
    for (const name of key) columnOf(table, info, name);
    for (const name of options.update ?? []) columnOf(table, info, name);
    const rule = options.onDuplicate ?? 'last';
    const batches = toBatches(table, info, lastOfAll(rows, key, rule));
    let inserted = 0;
    let updated = 0;
    const one = async (batch: ColumnBatch, connection?: PooledConnection): Promise<void> => {
      const counts = await upsertBatch(target, table, key, rule, options.update, batch, connection);
      inserted += counts.inserted;
      updated += counts.updated;
    };
    if (batches.length === 1 && batches[0]!.count < MERGE_FROM_ROWS) await one(batches[0]!);
    else {
      await target.inTransaction(async (connection) => {
        inserted = 0;
        updated = 0;
        for (const batch of batches) await one(batch, connection);
      });
    }
    return { inserted, updated, unchanged: rows.length - inserted - updated };
  });
}

/** Rows of different shape go in different statements: there, a key that returns must be left out beforehand. */
function lastOfAll(
  rows: readonly WriteRow[],
  key: readonly string[],
  rule: DuplicateRule,
): readonly WriteRow[] {
  const width = Object.keys(rows[0]!).length;
  if (rows.every((row) => Object.keys(row).length === width)) return rows;
  const chosen = new Map<string, WriteRow>();
  for (const row of rows) {
    const id = JSON.stringify(key.map((name) => String(row[name])));
    if (rule === 'last') chosen.delete(id);
    if (rule === 'error' || !chosen.has(id))
      chosen.set(rule === 'error' && chosen.has(id) ? `${id}#${chosen.size}` : id, row);
  }
  return [...chosen.values()];
}

async function upsertBatch(
  target: BulkTarget,
  table: string,
  key: readonly string[],
  rule: DuplicateRule,
  updateNames: readonly string[] | undefined,
  given: ColumnBatch,
  connection: PooledConnection | undefined,
): Promise<{ inserted: number; updated: number }> {
  for (const name of key) {
    if (!given.columns.some((column) => column.name === name))
      throw unknownName(`upsertMany: a row of ${table} lacks its key ${name}`);
  }
  const { batch, isExact } = sortByKey(given, key, rule);
  const { columns } = batch;
  const isUpdated = ({ name }: ColumnInfo): boolean =>
    updateNames === undefined ? !key.includes(name) : updateNames.includes(name);
  const shape = { table, columns, key, update: columns.filter(isUpdated) };
  let answer: { rows: unknown[] };
  if (connection !== undefined && isExact && batch.count >= MERGE_FROM_ROWS) {
    const stage = quoteName(`hotpath_${columns.length}_${batch.count}`);
    const { executor } = target;
    await executor.runOn(
      connection,
      `create temporary table ${stage} on commit drop as select ${columns.map(({ name }) => quoteName(name)).join(', ')} from ${quoteTable(table)} with no data`,
    );
    await copyInto(target, connection, stage, batch);
    answer = await executor.runOn(connection, upsertStatement({ ...shape, from: stage }));
    await executor.runOn(connection, `drop table ${stage}`);
  } else {
    const text = upsertStatement(isExact || rule === 'error' ? shape : { ...shape, distinct: rule });
    const values = batch.values.map(arrayText);
    answer = await (connection === undefined
      ? target.run(text, values)
      : target.executor.runOn(connection, text, values));
  }
  const { inserted, updated } = answer.rows[0] as { inserted: unknown; updated: unknown };
  return { inserted: Number(inserted), updated: Number(updated) };
}

function copyInto(
  target: BulkTarget,
  connection: PooledConnection,
  quotedTable: string,
  batch: ColumnBatch,
): Promise<number> {
  const columns = batch.columns.map(({ name }) => quoteName(name)).join(', ');
  return target.executor.exchangeOn<number>(
    connection,
    (wire, resolve, reject) =>
      new CopyExchange(
        wire,
        `copy ${quotedTable} (${columns}) from stdin`,
        copyChunks(batch),
        resolve,
        reject,
      ),
  );
}

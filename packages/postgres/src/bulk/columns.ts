import utils from 'pg/lib/utils.js';
import { type ColumnInfo, columnOf, type TableInfo } from '../catalog.ts';
import { duplicateKey } from '../errors.ts';

const { prepareValue } = utils;

/** A row to be written: columns that are absent or `undefined` keep their default. */
export type WriteRow = Readonly<Record<string, unknown>>;

/** Rows that name the same columns, column by column. */
export interface ColumnBatch {
  readonly columns: readonly ColumnInfo[];
  /** One text (or null) for each row, in the server's own notation. */
  readonly values: readonly (string | null)[][];
  readonly count: number;
}

/** Which of two rows with one key counts. */
export type DuplicateRule = 'last' | 'first' | 'error';

/** Types whose text tells exactly whether two keys are the same. */
const exactTypes = new Set(['smallint', 'integer', 'bigint', 'text', 'character varying', 'boolean']);

/** A value as the server reads it as text. JSON columns take a string as JSON that is written already. */
export function encodeValue(value: unknown, column: ColumnInfo): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  if (column.isJson) return JSON.stringify(value);
  if (value instanceof Date && column.type === 'timestamp with time zone') {
    const year = value.getUTCFullYear();
    // Years of four digits are written the same way by both, and much faster so.
    if (year >= 1 && year <= 9_999) return value.toISOString();
  }
  const prepared = prepareValue(value);
  return Buffer.isBuffer(prepared) ? `\\x${prepared.toString('hex')}` : prepared;
}

/**
 * Sorts rows into batches by the columns that they name, turned by columns.
 *
 * @throws RejectedError (HOTPATH_PG_UNKNOWN_NAME) for a column that the table lacks.
 */
export function toBatches(table: string, info: TableInfo, rows: readonly WriteRow[]): ColumnBatch[] {
  const batches = new Map<
    string,
    { columns: ColumnInfo[]; names: string[]; values: (string | null)[][]; count: number }
  >();
  let lastNames: string[] = [];
  let batch:
    | { columns: ColumnInfo[]; names: string[]; values: (string | null)[][]; count: number }
    | undefined;
  for (const row of rows) {
    if (batch === undefined || !namesAre(row, lastNames)) {
      const names = Object.keys(row).filter((name) => row[name] !== undefined);
      const shape = [...names].sort().join('\0');
      batch = batches.get(shape);
      if (batch === undefined) {
        batch = {
          columns: names.map((name) => columnOf(table, info, name)),
          names,
          values: names.map(() => []),
          count: 0,
        };
        batches.set(shape, batch);
      }
      lastNames = batch.names;
    }
    const { columns, names, values } = batch;
    for (let i = 0; i < names.length; i++) values[i]!.push(encodeValue(row[names[i]!], columns[i]!));
    batch.count++;
  }
  return [...batches.values()];
}

function namesAre(row: WriteRow, names: readonly string[]): boolean {
  let seen = 0;
  for (const name in row) {
    if (row[name] === undefined) continue;
    if (name !== names[seen]) return false;
    seen++;
  }
  return seen === names.length;
}

/**
 * Leaves one row a key, in the keys' order, so that two writers lock rows in the same order.
 *
 * Where a key's text does not tell whether two are the same (dates, numerics, …), `isExact` is false and
 * the server has to look once more.
 */
export function sortByKey(
  batch: ColumnBatch,
  key: readonly string[],
  rule: DuplicateRule,
): { batch: ColumnBatch; isExact: boolean } {
  const at = key.map((name) => batch.columns.findIndex((column) => column.name === name));
  const isExact = key.every((_, i) => exactTypes.has(batch.columns[at[i]!]!.type));
  const first = batch.values[at[0]!]!;
  const isNumeric = at.length === 1 && /^(?:smallint|integer)$/.test(batch.columns[at[0]!]!.type);
  const keys: (string | number)[] = isNumeric
    ? first.map(Number)
    : at.length === 1
      ? first.map((text) => text ?? '')
      : first.map((_, row) => at.map((column) => batch.values[column]![row] ?? '').join('\0'));
  const order = chooseRows(keys, rule);
  if (order === undefined) return { batch, isExact };
  const values = batch.values.map((column) => order.map((row) => column[row]!));
  return { batch: { columns: batch.columns, values, count: order.length }, isExact };
}

/** The rows to be written, in order; `undefined` when all are, as they stand. */
function chooseRows(keys: readonly (string | number)[], rule: DuplicateRule): number[] | undefined {
  let ascending = true;
  for (let i = 1; ascending && i < keys.length; i++) ascending = keys[i - 1]! < keys[i]!;
  if (ascending) return undefined;
  const chosen = new Map<string | number, number>();
  for (let row = 0; row < keys.length; row++) {
    const key = keys[row]!;
    if (!chosen.has(key)) chosen.set(key, row);
    else if (rule === 'error') throw duplicateKey(String(key).replaceAll('\0', ', '));
    else if (rule === 'last') chosen.set(key, row);
  }
  return [...chosen].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, row]) => row);
}

/** The text of a one-dimensional array, in the server's notation. */
export function arrayText(values: readonly (string | null)[]): string {
  let text = '{';
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (i > 0) text += ',';
    if (value === null || value === undefined) text += 'NULL';
    else if (plain.test(value) && value.length !== 4) text += value;
    else if (special.test(value)) text += `"${value.replace(/[\\"]/g, '\\$&')}"`;
    else text += `"${value}"`;
  }
  return `${text}}`;
}

// Words that need no quotes; four letters might spell NULL.
const plain = /^[\w.:+-]+$/;
const special = /[\\"]/;

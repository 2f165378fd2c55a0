import { describe } from '@hotpath/core';
import { type ColumnInfo, columnOf, type TableInfo } from '../catalog.ts';
import { encodeValue } from './encode-text.ts';

/** A row to be written: columns that are absent or `undefined` keep their default. */
export type WriteRow = Readonly<Record<string, unknown>>;

/** Rows that name the same columns. */
export interface RowGroup {
  readonly columns: readonly ColumnInfo[];
  readonly rows: readonly WriteRow[];
}

/** Which of several rows with one key counts, as a whole: nothing of the others is written. */
export type DuplicateRule = KeptRow | 'error';
export type KeptRow = 'last' | 'first';

/**
 * Sorts rows into groups by the columns that they name.
 *
 * @throws TypeError for what is no row; RejectedError (HOTPATH_PG_UNKNOWN_NAME) for a column that the table lacks.
 */
export function groupRows(table: string, info: TableInfo, rows: readonly WriteRow[]): RowGroup[] {
  const groups = new Map<string, { columns: ColumnInfo[]; names: string[]; rows: WriteRow[] }>();
  let group: { columns: ColumnInfo[]; names: string[]; rows: WriteRow[] } | undefined;
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    if (group === undefined || !namesAre(row, group.names)) {
      if (typeof row !== 'object' || row === null || Array.isArray(row))
        throw new TypeError(`row ${i} for ${table} must be an object, got ${describe(row)}`);
      const names = Object.keys(row).filter((name) => row[name] !== undefined);
      const shape = [...names].sort().join('\0');
      group = groups.get(shape);
      if (group === undefined) {
        group = { columns: names.map((name) => columnOf(table, info, name)), names, rows: [] };
        groups.set(shape, group);
      }
    }
    group.rows.push(row);
  }
  return [...groups.values()];
}

function namesAre(row: WriteRow, names: readonly string[]): boolean {
  let seen = 0;
  for (const name in row) {
    if (row[name] === undefined) continue;
    if (name !== names[seen]) return false;
    seen++;
  }
  return seen === names.length && seen > 0;
}

type Key = string | number | undefined;

/**
 * Leaves one row a key, in the keys' order, so that two writers lock rows in the same order.
 *
 * Where a key's text does not tell whether two are the same (dates, numerics, …), `isExact` is false and
 * the server has to look once more. Keys with a null are never the same.
 */
export function sortByKey(
  { columns, rows }: RowGroup,
  key: readonly string[],
  rule: KeptRow,
): { readonly group: RowGroup; readonly isExact: boolean } {
  const keyColumns = key.map((name) => columns.find((column) => column.name === name)!);
  let isExact = keyColumns.every(({ hasExactText }) => hasExactText);
  const [first] = keyColumns;
  const isNumeric = key.length === 1 && (first!.type === 'integer' || first!.type === 'smallint');
  const keys: Key[] = new Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    if (isNumeric) {
      const value = row[key[0]!];
      const number = typeof value === 'number' ? value : value === null ? undefined : Number(value);
      // Not what the server would read as a whole number, or not as this one.
      if (number !== undefined && !Number.isSafeInteger(number)) isExact = false;
      keys[i] = number;
    } else {
      const texts = keyColumns.map((column) => encodeValue(row[column.name], column));
      if (texts.some((text, at) => !isCanonical(text, keyColumns[at]!))) isExact = false;
      keys[i] = texts.includes(null) ? undefined : texts.join('\0');
    }
  }
  // The server chooses by the place of a row among the others, so they stay as they came.
  const order = isExact ? chooseRows(keys, rule) : undefined;
  return {
    group: order === undefined ? { columns, rows } : { columns, rows: order.map((row) => rows[row]!) },
    isExact,
  };
}

/** Whole numbers may be written in several ways: only one of them is compared by its text. */
export function isCanonical(text: string | null, { type }: ColumnInfo): boolean {
  return text === null || !integerTypes.has(type) || /^(?:0|-?[1-9]\d*)$/.test(text);
}

const integerTypes = new Set(['smallint', 'integer', 'bigint']);

/** The rows to be written, in order; `undefined` when all are, as they stand. */
function chooseRows(keys: readonly Key[], rule: KeptRow): number[] | undefined {
  let ascending = true;
  for (let i = 1; ascending && i < keys.length; i++) ascending = keys[i - 1]! < keys[i]!;
  if (ascending) return undefined;
  const chosen = new Map<Key, number>();
  const withNull: number[] = [];
  for (let row = 0; row < keys.length; row++) {
    const key = keys[row];
    if (key === undefined) withNull.push(row);
    else if (rule === 'last' || !chosen.has(key)) chosen.set(key, row);
  }
  const sorted = [...chosen].sort(([a], [b]) => (a! < b! ? -1 : a! > b! ? 1 : 0)).map(([, row]) => row);
  return [...sorted, ...withNull];
}

import type { ColumnInfo } from '../catalog.ts';
import { quoteName, quoteTable } from '../identifiers.ts';
import type { KeptRow } from './rows.ts';

/**
 * How a column travels in an array of texts: arrays of arrays would be flattened, so an array column
 * goes as the text of each of its arrays.
 */
function arrayType({ isArray, type }: ColumnInfo): string {
  return isArray ? 'text[]' : `${type}[]`;
}

/** Side by side in the select list, which streams; a function in FROM would be stored first. */
function rowsFromArrays(columns: readonly ColumnInfo[]): string {
  const values = columns.map((column, i) => {
    const value = `unnest($${i + 1}::${arrayType(column)})`;
    return column.isArray ? `${value}::${column.type}` : value;
  });
  return `select ${values.join(', ')}`;
}

function names(columns: readonly ColumnInfo[]): string {
  return columns.map(({ name }) => quoteName(name)).join(', ');
}

/** The text depends on the columns alone, so that it stays prepared whatever the number of rows. */
export function insertStatement(
  table: string,
  columns: readonly ColumnInfo[],
  onConflict: 'error' | 'ignore',
): string {
  const conflict = onConflict === 'ignore' ? ' on conflict do nothing' : '';
  return `insert into ${quoteTable(table)} (${names(columns)}) ${rowsFromArrays(columns)}${conflict}`;
}

export interface UpsertShape {
  readonly table: string;
  readonly columns: readonly ColumnInfo[];
  readonly key: readonly string[];
  /** The columns to be overwritten; none means that existing rows stay. */
  readonly update: readonly ColumnInfo[];
  /** Where the rows come from: arrays as parameters, or a table that was filled before. */
  readonly from?: string;
  /** Given when the server has to choose between rows of one key: which end of the input wins. */
  readonly distinct?: KeptRow;
}

/** The rows as `c0`, `c1`, … and their number from 1 as `n`. */
function numbered(columns: readonly ColumnInfo[]): string {
  const arrays = columns.map((column, i) => `$${i + 1}::${arrayType(column)}`).join(', ');
  return `unnest(${arrays}) with ordinality as r(${columns.map((_, i) => `c${i}`).join(', ')}, n)`;
}

function keysAsCompared(columns: readonly ColumnInfo[], places: readonly number[]): string {
  return places
    .map((at) => {
      const { looseCollation } = columns[at]!;
      return looseCollation === null ? `c${at}` : `c${at} collate ${looseCollation}`;
    })
    .join(', ');
}

/** Nulls are never the same key, so each row that has one keeps its number. */
function ownNumber(keyNames: string): string {
  return `case when row(${keyNames}) is not null then 0 else n end`;
}

/** Gives the numbers, from 1, of the rows that stay when one of each key does; its parameters are arrays of keys. */
export function chosenRowsStatement(keyColumns: readonly ColumnInfo[], rule: KeptRow): string {
  const keyNames = keysAsCompared(keyColumns, [...keyColumns.keys()]);
  const order = rule === 'last' ? 'desc' : 'asc';
  const place = `row_number() over (partition by ${keyNames}, ${ownNumber(keyNames)} order by n ${order})`;
  return `select n::int from (select n, ${place} as place from ${numbered(keyColumns)}) d where place = 1 order by n`;
}

/** Inserts or updates, skips rows that would not change, and gives counts instead of rows. */
export function upsertStatement({ table, columns, key, update, from, distinct }: UpsertShape): string {
  const target = quoteTable(table);
  let source: string;
  if (from !== undefined) source = `select ${names(columns)} from ${from}`;
  else if (distinct === undefined) source = rowsFromArrays(columns);
  else {
    const keyNames = keysAsCompared(
      columns,
      key.map((name) => columns.findIndex((column) => column.name === name)),
    );
    const values = columns.map(({ isArray, type }, i) => (isArray ? `c${i}::${type}` : `c${i}`)).join(', ');
    const own = ownNumber(keyNames);
    const order = `n ${distinct === 'last' ? 'desc' : 'asc'}`;
    source = `select ${values} from (select distinct on (${keyNames}, ${own}) * from ${numbered(columns)} order by ${keyNames}, ${own}, ${order}) d`;
  }
  const conflict = key.map(quoteName).join(', ');
  const action =
    update.length === 0
      ? 'do nothing'
      : `do update set ${update.map(({ name }) => `${quoteName(name)} = excluded.${quoteName(name)}`).join(', ')} where ${changes(update)}`;
  return (
    `with written as (insert into ${target} as t (${names(columns)}) ${source} on conflict (${conflict}) ${action} ` +
    'returning (xmax = 0) as fresh) select count(*) filter (where fresh) as inserted, count(*) filter (where not fresh) as updated from written'
  );
}

function changes(update: readonly ColumnInfo[]): string {
  return update
    .map(({ name, hasEquality }) => {
      const column = quoteName(name);
      const as = hasEquality ? '' : '::text';
      return `t.${column}${as} is distinct from excluded.${column}${as}`;
    })
    .join(' or ');
}

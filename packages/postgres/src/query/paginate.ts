import { optionReader } from '@hotpath/core';
import { type Catalog, columnOf, orderTerm, type TableInfo } from '../catalog.ts';
import { badCursor, sqlState, unknownName } from '../errors.ts';
import { quoteName, quoteTable } from '../identifiers.ts';
import type { Executor } from './executor.ts';
import type { QueryOptions } from './query-task.ts';
import { readLimits, TimeLimit } from './time-limit.ts';

/** What {@link paginate} takes besides the table. */
export interface PageOptions<Column extends string = string> extends QueryOptions {
  /** Columns to order by, each with a `-` in front for descending. The primary key is added where it is missing. Default: the primary key. */
  readonly orderBy?: readonly (Column | `-${Column}`)[] | undefined;
  /** Default 50; from 1 to 10,000. */
  readonly pageSize?: number | undefined;
  /** The `next` of the page before. */
  readonly after?: string | undefined;
  /** Only rows whose columns have these values; null means is null. */
  readonly where?: Readonly<Partial<Record<Column, unknown>>> | undefined;
  /** The columns to load. Default: all. */
  readonly columns?: readonly Column[] | undefined;
}

/** Some rows, and where the next ones begin. */
export interface Page<Row> {
  readonly rows: Row[];
  /** For `after`; absent on the last page. */
  readonly next: string | undefined;
}

interface Term {
  readonly name: string;
  /** Quoted, of the table. */
  readonly column: string;
  readonly descending: boolean;
  readonly type: string;
  readonly nullable: boolean;
}

const DEFAULT_PAGE = 50;
const LARGEST_PAGE = 10_000;
const CURSOR = 'hotpath_cursor_';

/**
 * Reads one page by the values that the page before ended with: each page costs the same, however far in, where an
 * index has the order; and rows that come and go meanwhile neither repeat nor hide others.
 *
 * @throws RejectedError (HOTPATH_PG_UNKNOWN_NAME) for a table or column that is not there.
 * @throws CorruptError (HOTPATH_PG_BAD_CURSOR) for an `after` of another order or table.
 */
export async function paginate(
  executor: Executor,
  catalog: Catalog,
  table: string,
  options: PageOptions = {},
): Promise<Page<Record<string, unknown>>> {
  const read = optionReader('paginate', options);
  const pageSize = read.integer('pageSize', DEFAULT_PAGE, { min: 1, max: LARGEST_PAGE });
  for (const name of ['orderBy', 'after', 'where', 'columns']) read.any(name);
  const limit = new TimeLimit(executor, readLimits(read));
  read.end();
  const { after, where = {}, columns } = options;
  return catalog.using(table, limit, async (info) => {
    const terms = termsOf(table, info, options.orderBy);
    for (const name of columns ?? []) columnOf(table, info, name);
    const values: unknown[] = [];
    const conditions: string[] = [];
    for (const [name, value] of Object.entries(where)) {
      const { type } = columnOf(table, info, name);
      if (value === undefined) throw unknownName(`paginate: the value for ${name} is undefined`);
      if (value === null) conditions.push(`t.${quoteName(name)} is null`);
      else conditions.push(`t.${quoteName(name)} = $${values.push(value)}::${type}`);
    }
    const order = terms.map(({ name, descending }) => `${descending ? '-' : ''}${name}`);
    if (after !== undefined) conditions.push(...afterSql(terms, readCursor(after, table, order), values));
    // As text, so that no digit of a timestamp or a numeric is lost on the way.
    const cursors = terms.map(({ column }, i) => `${column}::text as ${CURSOR}${i}`).join(', ');
    const selected = columns?.map((name) => `t.${quoteName(name)}`).join(', ') ?? 't.*';
    const ordered = terms.map(({ column, descending }) => `${column}${descending ? ' desc' : ''}`).join(', ');
    const filter = conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`;
    const text = `select ${selected}, ${cursors} from ${quoteTable(table)} t${filter} order by ${ordered} limit ${pageSize + 1}`;
    const { rows: found } = await executor.run(text, values, limit.left()).catch((error) => {
      // A position that the server can't read was not written by it.
      throw after !== undefined && sqlState(error)?.startsWith('22') ? badCursor() : error;
    });
    return pageOf(found as Record<string, unknown>[], pageSize, terms.length, [table, order]);
  });
}

function pageOf(
  found: Record<string, unknown>[],
  pageSize: number,
  width: number,
  place: readonly unknown[],
): Page<Record<string, unknown>> {
  const hasMore = found.length > pageSize;
  const rows = hasMore ? found.slice(0, pageSize) : found;
  const last = rows.at(-1);
  const ends = Array.from({ length: width }, (_, i) => last?.[`${CURSOR}${i}`]);
  for (const row of rows) for (let i = 0; i < width; i++) delete row[`${CURSOR}${i}`];
  const next = hasMore ? Buffer.from(JSON.stringify([...place, ends])).toString('base64url') : undefined;
  return { rows, next };
}

function termsOf(table: string, info: TableInfo, orderBy: readonly string[] = []): Term[] {
  if (info.primaryKey.length === 0)
    throw unknownName(`paginate: table ${table} has no primary key to order by`);
  const termOf = (name: string, descending: boolean): Term => {
    const { type, nullable } = columnOf(table, info, name);
    return { name, column: `t.${quoteName(name)}`, descending, type, nullable };
  };
  const terms = orderBy.map((term) => {
    const { name, descending } = orderTerm(info, term);
    return termOf(name, descending);
  });
  for (const name of info.primaryKey) {
    if (!terms.some((term) => term.name === name)) terms.push(termOf(name, terms[0]?.descending ?? false));
  }
  return terms;
}

function readCursor(cursor: string, table: string, order: readonly string[]): (string | null)[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    throw badCursor();
  }
  if (!Array.isArray(parsed) || parsed[0] !== table || JSON.stringify(parsed[1]) !== JSON.stringify(order))
    throw badCursor();
  const ends: unknown = parsed[2];
  if (!Array.isArray(ends) || ends.length !== order.length) throw badCursor();
  if (!ends.every((end) => end === null || typeof end === 'string')) throw badCursor();
  return ends;
}

/** Conditions for the rows behind a position; nulls come last in ascending order and first in descending. */
function afterSql(terms: readonly Term[], ends: readonly (string | null)[], values: unknown[]): string[] {
  const places = ends.map((end, i) =>
    end === null ? 'null' : `$${values.push(end)}::text::${terms[i]!.type}`,
  );
  const [first] = terms as readonly [Term];
  if (terms.every(({ nullable, descending }) => !nullable && descending === first.descending)) {
    // The one form that the planner turns into a place in an index.
    const columns = terms.map(({ column }) => column).join(', ');
    return [`(${columns}) ${first.descending ? '<' : '>'} (${places.join(', ')})`];
  }
  const alternatives = terms.map(({ column, descending, nullable }, i) => {
    const same = terms.slice(0, i).map((term, at) => `${term.column} is not distinct from ${places[at]}`);
    let behind: string;
    if (ends[i] === null) behind = descending ? `${column} is not null` : 'false';
    else if (descending) behind = `${column} < ${places[i]}`;
    else behind = nullable ? `(${column} > ${places[i]} or ${column} is null)` : `${column} > ${places[i]}`;
    return `(${[...same, behind].join(' and ')})`;
  });
  const conditions = [`(${alternatives.join(' or ')})`];
  // Says nothing new, but the planner can begin there in an index.
  const isBound = ends[0] !== null && (first.descending || !first.nullable);
  if (isBound) conditions.push(`${first.column} ${first.descending ? '<=' : '>='} ${places[0]}`);
  return conditions;
}

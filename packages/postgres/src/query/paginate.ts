import { type Catalog, columnOf } from '../catalog.ts';
import { badCursor, unknownName } from '../errors.ts';
import { quoteName, quoteTable } from '../identifiers.ts';
import type { StatementExchange } from '../wire/statement-exchange.ts';

/** What {@link paginate} takes besides the table. */
export interface PageOptions<Column extends string = string> {
  /** Columns to order by, each with a `-` in front for descending. The primary key is added where it is missing. Default: the primary key. */
  readonly orderBy?: readonly (Column | `-${Column}`)[];
  /** Default 50; from 1 to 10,000. */
  readonly pageSize?: number;
  /** The `next` of the page before. */
  readonly after?: string | undefined;
  /** Only rows whose columns have these values; null means is null. */
  readonly where?: Readonly<Partial<Record<Column, unknown>>>;
  /** The columns to load. Default: all. */
  readonly columns?: readonly Column[];
}

/** Some rows, and where the next ones begin. */
export interface Page<Row> {
  readonly rows: Row[];
  /** For `after`; absent on the last page. */
  readonly next: string | undefined;
}

type Run = (text: string, values: readonly unknown[]) => Promise<StatementExchange>;

interface Term {
  readonly name: string;
  readonly descending: boolean;
  readonly type: string;
}

const DEFAULT_PAGE = 50;
const LARGEST_PAGE = 10_000;
const CURSOR = 'hotpath_cursor_';

/**
 * Reads one page by the values that the page before ended with: each page costs the same, however far in,
 * and rows that come and go meanwhile neither repeat nor hide others.
 *
 * @throws RejectedError (HOTPATH_PG_UNKNOWN_NAME) for a table or column that is not there.
 * @throws CorruptError (HOTPATH_PG_BAD_CURSOR) for an `after` of another order or table.
 */
export async function paginate(
  run: Run,
  catalog: Catalog,
  table: string,
  options: PageOptions = {},
): Promise<Page<Record<string, unknown>>> {
  const { pageSize = DEFAULT_PAGE, after, where = {}, columns } = options;
  if (!Number.isSafeInteger(pageSize) || pageSize < 1 || pageSize > LARGEST_PAGE) {
    throw new RangeError(
      `paginate: option 'pageSize' must be a whole number from 1 to ${LARGEST_PAGE}, got ${pageSize}`,
    );
  }
  const info = await catalog.table(table);
  if (info.primaryKey.length === 0)
    throw unknownName(`paginate: table ${table} has no primary key to order by`);
  const terms: Term[] = (options.orderBy ?? []).map((term) => {
    const descending = term.startsWith('-');
    const name = descending ? term.slice(1) : term;
    return { name, descending, type: columnOf(table, info, name).type };
  });
  for (const name of info.primaryKey) {
    if (terms.some((term) => term.name === name)) continue;
    terms.push({ name, descending: terms[0]?.descending ?? false, type: columnOf(table, info, name).type });
  }
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
  if (after !== undefined) conditions.push(afterSql(terms, readCursor(after, table, order), values));
  // As text, so that no digit of a timestamp or a numeric is lost on the way.
  const cursors = terms.map(({ name }, i) => `t.${quoteName(name)}::text as ${CURSOR}${i}`).join(', ');
  const selected = columns?.map((name) => `t.${quoteName(name)}`).join(', ') ?? 't.*';
  const ordered = terms
    .map(({ name, descending }) => `t.${quoteName(name)}${descending ? ' desc' : ''}`)
    .join(', ');
  const filter = conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`;
  const text = `select ${selected}, ${cursors} from ${quoteTable(table)} t${filter} order by ${ordered} limit ${pageSize + 1}`;
  const found = (await run(text, values)).rows as Record<string, unknown>[];
  const hasMore = found.length > pageSize;
  const rows = hasMore ? found.slice(0, pageSize) : found;
  const last = rows.at(-1);
  const ends = last === undefined ? [] : terms.map((_, i) => last[`${CURSOR}${i}`]);
  for (const row of rows) for (let i = 0; i < terms.length; i++) delete row[`${CURSOR}${i}`];
  const next = hasMore ? Buffer.from(JSON.stringify([table, order, ends])).toString('base64url') : undefined;
  return { rows, next };
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

/** The rows behind a position, where nulls come last in ascending order and first in descending. */
function afterSql(terms: readonly Term[], ends: readonly (string | null)[], values: unknown[]): string {
  const places = ends.map((end, i) =>
    end === null ? 'null' : `$${values.push(end)}::text::${terms[i]!.type}`,
  );
  const alternatives = terms.map(({ name, descending }, i) => {
    const same = terms
      .slice(0, i)
      .map((term, at) => `t.${quoteName(term.name)} is not distinct from ${places[at]}`);
    const column = `t.${quoteName(name)}`;
    let behind: string;
    if (ends[i] === null) behind = descending ? `${column} is not null` : 'false';
    else behind = descending ? `${column} < ${places[i]}` : `(${column} > ${places[i]} or ${column} is null)`;
    return [...same, behind].join(' and ');
  });
  return `(${alternatives.map((alternative) => `(${alternative})`).join(' or ')})`;
}

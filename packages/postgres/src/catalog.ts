import { describe, isHotpathError } from '@hotpath/core';
import { sqlState, unknownName } from './errors.ts';
import { quoteTable } from './identifiers.ts';
import type { TimeLimit } from './query/time-limit.ts';
import type { StatementExchange } from './wire/statement-exchange.ts';

/** What is known of a column. */
export interface ColumnInfo {
  readonly name: string;
  /** Its type's full name, without a length: `integer`, `text`, `timestamp with time zone`. */
  readonly type: string;
  readonly isArray: boolean;
  readonly isJson: boolean;
  /** Whether two values can be compared for being the same. */
  readonly hasEquality: boolean;
  /** Whether two values are the same exactly when their texts are. */
  readonly hasExactText: boolean;
  /** The collation, quoted, where it takes different texts for the same. */
  readonly looseCollation: string | null;
  readonly nullable: boolean;
}

/** What is known of a table. */
export interface TableInfo {
  readonly columns: ReadonlyMap<string, ColumnInfo>;
  readonly primaryKey: readonly string[];
}

type Run = (text: string, values: readonly unknown[]) => Promise<StatementExchange>;

const COLUMNS = `select a.attname as name, format_type(a.atttypid, null) as type,
  t.typcategory = 'A' as "isArray", t.typname in ('json', 'jsonb') as "isJson", not a.attnotnull as nullable,
  exists (select from pg_operator o where o.oprname = '=' and o.oprcanhash
    and o.oprleft = case when t.typtype = 'd' then t.typbasetype else t.oid end and o.oprright = o.oprleft)
    or t.typcategory in ('A', 'E') as "hasEquality",
  t.oid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'text'::regtype, 'varchar'::regtype)
    and coalesce((select l.collisdeterministic from pg_collation l where l.oid = a.attcollation), true) as "hasExactText",
  (select format('%I.%I', s.nspname, l.collname) from pg_collation l join pg_namespace s on s.oid = l.collnamespace
    where l.oid = a.attcollation and not l.collisdeterministic) as "looseCollation",
  coalesce(a.attnum = any (i.indkey), false) as "isKey", array_position(i.indkey::int2[], a.attnum) as "keyAt"
from pg_attribute a join pg_type t on t.oid = a.atttypid
left join pg_index i on i.indrelid = a.attrelid and i.indisprimary
where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped order by a.attnum`;

interface ColumnRow extends ColumnInfo {
  readonly isKey: boolean;
  readonly keyAt: number | null;
}

/** What the server says to a name that can't be that of a table. */
const badNames = new Set(['42601', '42602', '22021', '0A000', '3F000']);
/** Errors that may mean that a table is not what is remembered of it; data of class 22 may suit a column's new type. */
const schemaStates = /^(?:42703|42P01|42804|42846|42704|22...)$/;

/** Looks up tables once, and again when they turn out to have changed. Holds one entry a table that was asked for. */
export class Catalog {
  readonly #run: Run;
  readonly #tables = new Map<string, Promise<TableInfo>>();

  constructor(run: Run) {
    this.#run = run;
  }

  /**
   * Does what needs to know a table, within the limit, and once more when that knowledge was old: the table has other columns than
   * before. The work must have had no effect when it fails.
   *
   * @throws RejectedError (HOTPATH_PG_UNKNOWN_NAME) when there is no such table.
   */
  async using<T>(name: string, limit: TimeLimit, work: (info: TableInfo) => T | Promise<T>): Promise<T> {
    limit.check();
    const wasKnown = this.#tables.has(name);
    const info = await limit.wait(this.#table(name));
    try {
      return await work(info);
    } catch (error) {
      if (!mayBeStale(error)) throw error;
      this.#tables.delete(name);
      if (!wasKnown) throw error;
      const now = await limit.wait(this.#table(name));
      if (isSame(info, now)) throw error;
      return await work(now);
    }
  }

  /** Has the table looked up again: its columns are not what they were. */
  forget(name: string): void {
    this.#tables.delete(name);
  }

  #table(name: string): Promise<TableInfo> {
    let found = this.#tables.get(name);
    if (found === undefined) {
      found = this.#load(name);
      this.#tables.set(name, found);
      const asked = found;
      asked.catch(() => {
        // It may have been asked anew.
        if (this.#tables.get(name) === asked) this.#tables.delete(name);
      });
    }
    return found;
  }

  async #load(name: string): Promise<TableInfo> {
    if (typeof name !== 'string' || name === '')
      throw new TypeError(`a table's name must be a string, got ${describe(name)}`);
    let rows: ColumnRow[];
    try {
      rows = (await this.#run(COLUMNS, [quoteTable(name)])).rows as ColumnRow[];
    } catch (error) {
      throw badNames.has(sqlState(error) ?? '') ? unknownName(`there is no table ${name}`) : error;
    }
    if (rows.length === 0) throw unknownName(`there is no table ${name}`);
    const columns = new Map(rows.map(({ isKey, keyAt, ...column }) => [column.name, Object.freeze(column)]));
    const primaryKey = rows
      .filter((row) => row.isKey)
      .sort((a, b) => (a.keyAt ?? 0) - (b.keyAt ?? 0))
      .map((row) => row.name);
    return { columns, primaryKey };
  }
}

function mayBeStale(error: unknown): boolean {
  return isHotpathError(error, 'HOTPATH_PG_UNKNOWN_NAME') || schemaStates.test(sqlState(error) ?? '');
}

function isSame(a: TableInfo, b: TableInfo): boolean {
  const textOf = ({ columns, primaryKey }: TableInfo): string => JSON.stringify([[...columns], primaryKey]);
  return textOf(a) === textOf(b);
}

/** A column to order by, with a `-` in front for descending; a column whose name begins so is found as well. */
export function orderTerm(
  info: TableInfo,
  term: string,
): { readonly name: string; readonly descending: boolean } {
  const descending = term.startsWith('-') && (info.columns.has(term.slice(1)) || !info.columns.has(term));
  return { name: descending ? term.slice(1) : term, descending };
}

/** @throws RejectedError (HOTPATH_PG_UNKNOWN_NAME) when the table has no such column. */
export function columnOf(table: string, info: TableInfo, name: string): ColumnInfo {
  const column = info.columns.get(name);
  if (column === undefined) throw unknownName(`table ${table} has no column ${name}`);
  return column;
}

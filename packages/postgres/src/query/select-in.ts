import { describe, optionReader } from '@hotpath/core';
import type { Selectable } from 'kysely';
import { arrayText } from '../bulk/encode-text.ts';
import { type Catalog, columnOf, orderTerm, type TableInfo } from '../catalog.ts';
import { quoteName, quoteTable } from '../identifiers.ts';
import type { Executor } from './executor.ts';
import type { QueryOptions } from './query-task.ts';
import { checkLimits, TimeLimit } from './time-limit.ts';

declare const child: unique symbol;

type ColumnOf<Row> = keyof Row & string;

/**
 * How children belong to their parents.
 *
 * What a child is comes from the declared tables; where none are declared, `Child` says it.
 */
export interface Relation<
  As extends string = string,
  Child extends object = Record<string, unknown>,
  Table extends string = string,
> {
  /** The children's table. */
  readonly table: Table;
  /** The property that the children are put under. */
  readonly as: As;
  /** The children's column that names the parent. */
  readonly foreignKey: ColumnOf<Child>;
  /** The parents' property that it names. Default `id`. */
  readonly parentKey?: string | undefined;
  /** The children's columns to load. Default: all. */
  readonly columns?: readonly ColumnOf<Child>[] | undefined;
  /** Columns to order by, each with a `-` in front for descending. */
  readonly orderBy?: readonly (ColumnOf<Child> | `-${ColumnOf<Child>}`)[] | undefined;
  /** How many children a parent gets; the first ones in the order. */
  readonly limit?: number | undefined;
  /** One child or null instead of a list. Default false. */
  readonly one?: boolean | undefined;
  /** Relations of the children. */
  readonly with?: readonly Relation[] | undefined;
  /** For the compiler alone. @internal */
  readonly [child]?: Child;
}

/** An interface, since it refers to itself. */
interface Nesting<DB> {
  readonly with?: readonly RelationOf<DB>[] | undefined;
}

/** A relation to any of the declared tables. */
export type RelationOf<DB> = {
  [Table in keyof DB & string]: Relation<string, Selectable<DB[Table]>, Table> & Nesting<DB>;
}[keyof DB & string];

type IsAny<T> = 0 extends 1 & T ? true : false;

type RowOf<DB, R> = typeof child extends keyof R
  ? NonNullable<R[typeof child]>
  : IsAny<DB> extends true
    ? Record<string, unknown>
    : R extends { readonly table: infer Table extends keyof DB }
      ? Selectable<DB[Table]>
      : Record<string, unknown>;

type Columns<Row, R> = R extends { readonly columns: readonly (infer Column)[] }
  ? string extends keyof Row
    ? Row
    : Pick<Row, Column & keyof Row>
  : Row;

type Nested<DB, R> = R extends { readonly with: readonly (infer Inner)[] }
  ? { readonly [I in Inner as I extends { readonly as: infer As extends string } ? As : never]: Found<DB, I> }
  : unknown;

type Found<DB, R> = R extends { readonly one: true }
  ? (Columns<RowOf<DB, R>, R> & Nested<DB, R>) | null
  : (Columns<RowOf<DB, R>, R> & Nested<DB, R>)[];

/** The parents with their children. */
// biome-ignore lint/suspicious/noExplicitAny: without declared tables, any name will do.
export type WithChildren<Parent, R extends { readonly as: string }, DB = any> = Parent & {
  readonly [As in R['as']]: Found<DB, R>;
};

type Row = Record<string, unknown>;

const CHUNK_KEYS = 500;
const KEY_COLUMN = 'hotpath_parent';

/** What one call of {@link selectIn} has. */
interface Loading {
  readonly executor: Executor;
  readonly catalog: Catalog;
  /** For all queries of it together. */
  readonly limit: TimeLimit;
}

/**
 * Loads the children of all parents, 500 keys a query; gives new objects, the parents stay as they are. A parent whose
 * key is null has no children.
 *
 * @throws TypeError or RangeError when the relation is wrong, or no parent has the property `parentKey`.
 */
export async function selectIn(
  executor: Executor,
  catalog: Catalog,
  parents: readonly object[],
  relation: Relation,
  options?: QueryOptions,
): Promise<object[]> {
  if (!Array.isArray(parents))
    throw new TypeError(`selectIn: the parents must be an array, got ${describe(parents)}`);
  checkLimits('selectIn', options);
  checkRelation(relation);
  return loadInto({ executor, catalog, limit: new TimeLimit(executor, options) }, parents, relation);
}

async function loadInto(loading: Loading, parents: readonly object[], relation: Relation): Promise<object[]> {
  const parentKey = relation.parentKey ?? 'id';
  if (parents.length > 0 && !parents.some((parent) => parentKey in parent)) {
    throw new TypeError(
      `selectIn: no parent has the property '${parentKey}' that relation '${relation.as}' needs; load it, or name another as 'parentKey'`,
    );
  }
  const keys = new Set<string>();
  for (const parent of parents) {
    const key = (parent as Row)[parentKey];
    if (key !== null && key !== undefined) keys.add(textOf(key));
  }
  const children = await loadChildren(loading, [...keys], relation);
  return parents.map((parent) => {
    const key = (parent as Row)[parentKey];
    const found = key === null || key === undefined ? undefined : children.get(textOf(key));
    const value = relation.one ? (found?.[0] ?? null) : (found ?? []);
    return { ...parent, [relation.as]: value };
  });
}

function checkRelation(relation: Relation): void {
  const read = optionReader('selectIn', relation);
  for (const name of ['table', 'as', 'foreignKey']) {
    if (read.string(name, undefined) === undefined)
      throw new TypeError(`selectIn: option '${name}' is required`);
  }
  read.string('parentKey', undefined);
  read.integer('limit', undefined, { min: 1 });
  read.boolean('one', false);
  for (const name of ['columns', 'orderBy', 'with']) {
    const list = read.any(name);
    if (list !== undefined && !Array.isArray(list))
      throw new TypeError(`selectIn: option '${name}' must be an array, got ${describe(list)}`);
  }
  read.end();
  for (const inner of relation.with ?? []) checkRelation(inner);
}

async function loadChildren(
  loading: Loading,
  keys: readonly string[],
  relation: Relation,
): Promise<Map<string, Row[]>> {
  const byParent = new Map<string, Row[]>();
  if (keys.length === 0) return byParent;
  const chunks: string[][] = [];
  for (let at = 0; at < keys.length; at += CHUNK_KEYS) chunks.push(keys.slice(at, at + CHUNK_KEYS));
  const { executor, catalog, limit } = loading;
  const { answers, hidden } = await catalog.using(relation.table, limit, async (info) => {
    const statement = statementOf(info, relation);
    const asked = chunks.map((chunk) => executor.run(statement.text, [arrayText(chunk)], limit.left()));
    return { answers: await Promise.all(asked), hidden: statement.hidden };
  });
  const column = hidden ? KEY_COLUMN : relation.foreignKey;
  for (const { rows } of answers) {
    let nested = rows as Row[];
    for (const inner of relation.with ?? []) nested = (await loadInto(loading, nested, inner)) as Row[];
    let lastKey: unknown;
    let group: Row[] | undefined;
    for (const row of nested) {
      const key = row[column];
      if (hidden) delete row[column];
      if (group === undefined || key !== lastKey) {
        const id = textOf(key);
        group = byParent.get(id);
        if (group === undefined) {
          group = [];
          byParent.set(id, group);
        }
        lastKey = key;
      }
      group.push(row);
    }
  }
  return byParent;
}

function statementOf(info: TableInfo, relation: Relation): { text: string; hidden: boolean } {
  const { table, foreignKey, columns, orderBy = [], limit, one } = relation;
  const foreign = columnOf(table, info, foreignKey);
  for (const name of columns ?? []) columnOf(table, info, name);
  const hidden = columns !== undefined && !columns.includes(foreignKey);
  const list = columns?.map((name) => `t.${quoteName(name)}`).join(', ') ?? 't.*';
  const selected = hidden ? `${list}, t.${quoteName(foreignKey)} as ${KEY_COLUMN}` : list;
  const order = orderBy.map((term) => {
    const { name, descending } = orderTerm(info, term);
    columnOf(table, info, name);
    return `t.${quoteName(name)}${descending ? ' desc' : ''}`;
  });
  const most = one ? 1 : limit;
  const from = `${quoteTable(table)} t`;
  const key = `t.${quoteName(foreignKey)}`;
  if (most === undefined) {
    const ordered = order.length === 0 ? '' : ` order by ${key}, ${order.join(', ')}`;
    return {
      text: `select ${selected} from ${from} where ${key} = any ($1::${foreign.type}[])${ordered}`,
      hidden,
    };
  }
  const ordered = order.length === 0 ? '' : ` order by ${order.join(', ')}`;
  return {
    text: `select c.* from unnest($1::${foreign.type}[]) as k(v) cross join lateral (select ${selected} from ${from} where ${key} = k.v${ordered} limit ${most}) c`,
    hidden,
  };
}

function textOf(key: unknown): string {
  if (key instanceof Date) return key.toISOString();
  return Buffer.isBuffer(key) ? `\\x${key.toString('hex')}` : String(key);
}

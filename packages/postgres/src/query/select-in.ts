import { optionReader } from '@hotpath/core';
import { arrayText } from '../bulk/encode-text.ts';
import { type Catalog, columnOf, orderTerm, type TableInfo } from '../catalog.ts';
import { quoteName, quoteTable } from '../identifiers.ts';
import type { StatementExchange } from '../wire/statement-exchange.ts';

/** How children belong to their parents. */
export interface Relation<As extends string = string, Child = Record<string, unknown>> {
  /** The children's table. */
  readonly table: string;
  /** The property that the children are put under. */
  readonly as: As;
  /** The children's column that names the parent. */
  readonly foreignKey: string;
  /** The parents' property that it names. Default `id`. */
  readonly parentKey?: string;
  /** The children's columns to load. Default: all. */
  readonly columns?: readonly (string & keyof Child)[];
  /** Columns to order by, each with a `-` in front for descending. */
  readonly orderBy?: readonly string[];
  /** How many children a parent gets; the first ones in the order. */
  readonly limit?: number;
  /** One child or null instead of a list. Default false. */
  readonly one?: boolean;
  /** Relations of the children. */
  readonly with?: readonly Relation[];
}

/** The parents with their children. */
export type WithChildren<Parent, R extends Relation> = Parent & {
  readonly [As in R['as']]: R extends { one: true }
    ? Record<string, unknown> | null
    : Record<string, unknown>[];
};

type Run = (text: string, values: readonly unknown[]) => Promise<StatementExchange>;
type Row = Record<string, unknown>;

const CHUNK_KEYS = 500;
const KEY_COLUMN = 'hotpath_parent';

/**
 * Loads the children of all parents, 500 keys a query; gives new objects, the parents stay as they are. A parent whose
 * key is null has no children.
 *
 * @throws TypeError or RangeError when the relation is wrong, or no parent has the property `parentKey`.
 */
export async function selectIn<Parent extends object, const R extends Relation>(
  run: Run,
  catalog: Catalog,
  parents: readonly Parent[],
  relation: R,
): Promise<WithChildren<Parent, R>[]> {
  checkRelation(relation);
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
  const children = await loadChildren(run, catalog, [...keys], relation);
  return parents.map((parent) => {
    const key = (parent as Row)[parentKey];
    const found = key === null || key === undefined ? undefined : children.get(textOf(key));
    const value = relation.one ? (found?.[0] ?? null) : (found ?? []);
    return { ...parent, [relation.as]: value };
  }) as WithChildren<Parent, R>[];
}

function checkRelation(relation: Relation): void {
  const read = optionReader('selectIn', relation);
  for (const name of ['table', 'as', 'foreignKey']) {
    if (read.string(name, undefined) === undefined)
      throw new TypeError(`selectIn: option '${name}' is required`);
  }
  for (const name of ['parentKey', 'columns', 'orderBy', 'limit', 'one', 'with']) read.any(name);
  read.end();
}

async function loadChildren(
  run: Run,
  catalog: Catalog,
  keys: readonly string[],
  relation: Relation,
): Promise<Map<string, Row[]>> {
  const byParent = new Map<string, Row[]>();
  if (keys.length === 0) return byParent;
  const chunks: string[][] = [];
  for (let at = 0; at < keys.length; at += CHUNK_KEYS) chunks.push(keys.slice(at, at + CHUNK_KEYS));
  const { answers, hidden } = await catalog.using(relation.table, async (info) => {
    const statement = statementOf(info, relation);
    const asked = chunks.map((chunk) => run(statement.text, [arrayText(chunk)]));
    return { answers: await Promise.all(asked), hidden: statement.hidden };
  });
  const column = hidden ? KEY_COLUMN : relation.foreignKey;
  for (const { rows } of answers) {
    const nested =
      relation.with === undefined ? rows : await loadNested(run, catalog, rows as Row[], relation.with);
    let lastKey: unknown;
    let group: Row[] | undefined;
    for (const row of nested as Row[]) {
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

async function loadNested(
  run: Run,
  catalog: Catalog,
  rows: Row[],
  relations: readonly Relation[],
): Promise<Row[]> {
  let nested: Row[] = rows;
  for (const relation of relations) nested = await selectIn(run, catalog, nested, relation);
  return nested;
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
  if (!Number.isSafeInteger(most) || most < 1)
    throw new RangeError(`selectIn: option 'limit' must be a whole number of at least 1, got ${most}`);
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

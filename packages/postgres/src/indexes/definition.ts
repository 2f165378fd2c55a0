import { describe } from '@hotpath/core';
import { quoteName, quoteTable, quoteText } from '../identifiers.ts';

export type IndexMethod = 'btree' | 'hash' | 'gin' | 'gist' | 'spgist' | 'brin';

/** One key of an index: a column, a place in a JSON column (read as text), or an expression. */
export type IndexKey = string | IndexKeyOptions;

export interface IndexKeyOptions {
  readonly column?: string | undefined;
  /** `['metadata', 'owner']` is `metadata->>'owner'`. */
  readonly jsonPath?: readonly [string, ...string[]] | undefined;
  /** SQL; it is taken as it stands. */
  readonly expression?: string | undefined;
  readonly order?: 'asc' | 'desc' | undefined;
  readonly nulls?: 'first' | 'last' | undefined;
  readonly operatorClass?: string | undefined;
  readonly collation?: string | undefined;
}

/** An index as it should be. */
export interface IndexDefinition {
  readonly name: string;
  /** The table, with its schema where that is not on the search path. */
  readonly table: string;
  readonly keys?: readonly IndexKey[] | undefined;
  /** Instead of keys: the words of these columns, by a text search configuration. */
  readonly fullText?: { readonly columns: readonly string[]; readonly language: string } | undefined;
  /** Default `btree`; `gin` for `fullText`. */
  readonly method?: IndexMethod | undefined;
  readonly unique?: boolean | undefined;
  /** Only rows for which this SQL is true are indexed. */
  readonly where?: string | undefined;
  /** Columns that are stored but not searched. */
  readonly include?: readonly string[] | undefined;
  /** Storage parameters, such as `{ fillfactor: 90 }`. */
  readonly with?: Readonly<Record<string, string | number | boolean>> | undefined;
}

/** Leaves room for the endings that replaced and leftover indexes get. */
const LONGEST_NAME_BYTES = 56;

const METHODS = ['btree', 'hash', 'gin', 'gist', 'spgist', 'brin'] as const;
const ORDERS = ['asc', 'desc'] as const;
const NULLS = ['first', 'last'] as const;

/** @throws TypeError or RangeError when a definition can't be right, whatever the tables look like. */
export function checkDefinitions(definitions: readonly IndexDefinition[]): void {
  if (!Array.isArray(definitions))
    throw new TypeError(`indexes: the definitions must be an array, got ${describe(definitions)}`);
  const names = new Set<string>();
  for (const definition of definitions) {
    checkDefinition(definition);
    const { name } = definition;
    if (names.has(name)) throw new RangeError(`index ${name}: is defined twice`);
    names.add(name);
  }
}

function checkDefinition(definition: IndexDefinition): void {
  const name: unknown = definition?.name;
  if (typeof name !== 'string' || name === '')
    throw new TypeError(`index: 'name' must be a string, got ${describe(name)}`);
  if (Buffer.byteLength(name) > LONGEST_NAME_BYTES)
    throw new RangeError(`index ${name}: 'name' must have at most ${LONGEST_NAME_BYTES} bytes`);
  const must = (holds: boolean, option: string, be: string, got: unknown): void => {
    if (!holds) throw new TypeError(`index ${name}: '${option}' must be ${be}, got ${describe(got)}`);
  };
  const areNames = (list: unknown): boolean =>
    Array.isArray(list) && list.every((each) => typeof each === 'string' && each !== '');
  const { table, keys = [], fullText, method, where, include = [] } = definition;
  must(typeof table === 'string' && table !== '', 'table', 'a string', table);
  must(Array.isArray(keys), 'keys', 'an array', keys);
  must(method === undefined || METHODS.includes(method), 'method', `one of ${METHODS.join(', ')}`, method);
  must(where === undefined || typeof where === 'string', 'where', 'a string', where);
  must(areNames(include), 'include', 'an array of columns', include);
  if ((keys.length === 0) === (fullText === undefined))
    throw new TypeError(`index ${name}: give either 'keys' or 'fullText'`);
  if (fullText !== undefined) {
    const { columns, language } = fullText;
    must(areNames(columns) && columns.length > 0, 'fullText.columns', 'an array of columns', columns);
    must(typeof language === 'string' && language !== '', 'fullText.language', 'a string', language);
  }
  for (const key of keys) {
    keySql(name, key);
    if (typeof key === 'string') continue;
    const { order, nulls } = key;
    must(order === undefined || ORDERS.includes(order), 'order', `one of ${ORDERS.join(', ')}`, order);
    must(nulls === undefined || NULLS.includes(nulls), 'nulls', `one of ${NULLS.join(', ')}`, nulls);
  }
}

/** Whether the planner needs statistics of its own for it. */
export function hasExpression({ keys = [], fullText }: IndexDefinition): boolean {
  return fullText !== undefined || keys.some((key) => typeof key !== 'string' && key.column === undefined);
}

/** What follows `CREATE [UNIQUE] INDEX name ON table`. */
function bodySql({
  name,
  keys = [],
  fullText,
  method,
  where,
  include = [],
  with: parameters,
}: IndexDefinition): string {
  const list =
    fullText === undefined ? keys.map((key) => keySql(name, key)).join(', ') : `(${fullTextSql(fullText)})`;
  let sql = `using ${method ?? (fullText === undefined ? 'btree' : 'gin')} (${list})`;
  if (include.length > 0) sql += ` include (${include.map(quoteName).join(', ')})`;
  const settings = Object.entries(parameters ?? {}).map(
    ([key, value]) => `${quoteName(key)} = ${quoteText(String(value))}`,
  );
  if (settings.length > 0) sql += ` with (${settings.join(', ')})`;
  return where === undefined ? sql : `${sql} where ${where}`;
}

/** The statement that makes it. */
export function createSql(
  definition: IndexDefinition,
  {
    name = definition.name,
    table = quoteTable(definition.table),
    concurrently = false,
    only = false,
  }: {
    readonly name?: string;
    readonly table?: string;
    readonly concurrently?: boolean;
    readonly only?: boolean;
  } = {},
): string {
  return `create ${definition.unique ? 'unique ' : ''}index ${concurrently ? 'concurrently ' : ''}${quoteName(name)} on ${only ? 'only ' : ''}${table} ${bodySql(definition)}`;
}

/** The expression that a full-text index is on; a query has to use the same for the planner to see the index. */
export function fullTextSql({
  columns,
  language,
}: {
  readonly columns: readonly string[];
  readonly language: string;
}): string {
  const words = columns.map((column) => `coalesce(${quoteName(column)}, '')`).join(" || ' ' || ");
  return `to_tsvector(${quoteText(language)}, ${words})`;
}

function keySql(index: string, key: IndexKey): string {
  if (typeof key === 'string') return quoteName(key);
  const { column, jsonPath, expression, order, nulls, operatorClass, collation } = key;
  const given = [column, jsonPath, expression].filter((part) => part !== undefined).length;
  if (given !== 1)
    throw new TypeError(`index ${index}: a key needs exactly one of 'column', 'jsonPath' and 'expression'`);
  let sql = column !== undefined ? quoteName(column) : `(${expression ?? jsonSql(index, jsonPath!)})`;
  if (collation !== undefined) sql += ` collate ${quoteName(collation)}`;
  if (operatorClass !== undefined) sql += ` ${quoteTable(operatorClass)}`;
  if (order !== undefined) sql += ` ${order}`;
  return nulls === undefined ? sql : `${sql} nulls ${nulls}`;
}

function jsonSql(index: string, [column, ...path]: readonly [string, ...string[]]): string {
  const last = path.pop();
  if (last === undefined)
    throw new TypeError(`index ${index}: 'jsonPath' needs a column and at least one name`);
  return `${quoteName(column)}${path.map((name) => ` -> ${quoteText(name)}`).join('')} ->> ${quoteText(last)}`;
}

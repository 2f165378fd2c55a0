import type { DirectSession } from '../direct-session.ts';
import { quoteName, quoteTable } from '../identifiers.ts';
import { createSql, hasExpression, type IndexDefinition } from './definition.ts';
import {
  canonicalForm,
  type ExistingIndex,
  findTable,
  type IndexedTable,
  indexesOf,
  MARK,
} from './existing.ts';

/** Endings of names: of one that is being built in place of another, of one that was replaced, and of what REINDEX leaves. */
export const NEW_SUFFIX = '_hpnew';
export const OLD_SUFFIX = '_hpold';
const leftoverSuffix = /_(?:hpnew|hpold|ccnew\d*|ccold\d*)$/;

/**
 * What is to be done: `create` it; `rebuild` one that is INVALID; `replace` one that differs from its definition;
 * `finish` a replacement that was interrupted; `drop-leftover`; `analyze` and `mark` one that lacks only that;
 * `blocked` says why nothing can be done.
 */
export type IndexAction =
  | 'none'
  | 'create'
  | 'rebuild'
  | 'replace'
  | 'finish'
  | 'drop-leftover'
  | 'analyze'
  | 'mark'
  | 'blocked';

/** One thing to do, or to know. */
export interface PlannedIndex {
  readonly name: string;
  readonly table: string;
  readonly action: IndexAction;
  readonly reason: string;
  /** The statements, in order; none for `none` and `blocked`. */
  readonly sql: readonly string[];
}

/** What is, against what should be. */
export interface IndexPlan {
  readonly items: readonly PlannedIndex[];
  /** Whether there is nothing to do. */
  readonly isSettled: boolean;
  /** Indexes that were declared once and are not now; they are left alone. */
  readonly orphans: readonly string[];
  /** Sessions whose open transactions a build would have to wait for. */
  readonly oldTransactions: readonly OldTransaction[];
}

export interface OldTransaction {
  readonly pid: number;
  readonly state: string;
  readonly ageMs: number;
}

const OLD_TRANSACTIONS = `select pid, coalesce(state, '') as state, extract(epoch from clock_timestamp() - xact_start)::float8 * 1000 as "ageMs"
from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database() and xact_start < clock_timestamp() - interval '5 seconds'
and (backend_xmin is not null or backend_xid is not null or state like 'idle in transaction%') order by xact_start limit 20`;

/** Compares declared and existing indexes. Changes nothing. */
export async function planIndexes(
  session: DirectSession,
  definitions: readonly IndexDefinition[],
): Promise<IndexPlan> {
  const items: PlannedIndex[] = [];
  const tables = new Map<string, IndexedTable | undefined>();
  for (const { table } of definitions) {
    if (!tables.has(table)) tables.set(table, await findTable(session, table));
  }
  const oids = [...tables.values()].flatMap((table) => (table === undefined ? [] : [table.oid]));
  const existing = await indexesOf(session, oids);
  const declared = new Set<string>();
  for (const definition of definitions) {
    const table = tables.get(definition.table);
    if (table === undefined) {
      items.push(item(definition, 'blocked', `there is no table ${definition.table}`));
      continue;
    }
    const own = existing.filter((index) => index.tableOid === table.oid);
    declared.add(`${table.oid}.${definition.name}`);
    items.push(...(await planOne(session, definition, table, own)));
  }
  const orphans = existing
    .filter(
      (index) =>
        index.isMarked &&
        !declared.has(`${index.tableOid}.${index.name}`) &&
        !leftoverSuffix.test(index.name),
    )
    .map(({ name }) => name);
  const oldTransactions = (await session.run(OLD_TRANSACTIONS)).rows as OldTransaction[];
  const isSettled = items.every(({ action }) => action === 'none');
  return { items, isSettled, orphans, oldTransactions };
}

async function planOne(
  session: DirectSession,
  definition: IndexDefinition,
  table: IndexedTable,
  own: readonly ExistingIndex[],
): Promise<PlannedIndex[]> {
  const { name } = definition;
  const items: PlannedIndex[] = [];
  const wanted = await canonicalForm(session, definition);
  const current = own.find((index) => index.name === name);
  const next = own.find((index) => index.name === name + NEW_SUFFIX);
  const nextIsGood = next?.isValid === true && next.canonical === wanted;
  for (const index of own) {
    if (
      index.name === name ||
      !index.name.startsWith(name) ||
      !leftoverSuffix.test(index.name.slice(name.length))
    )
      continue;
    if (index === next && nextIsGood && current?.canonical !== wanted) continue;
    items.push(
      index.isBuilding
        ? item(definition, 'blocked', `${index.name} is being built by another session`)
        : item(definition, 'drop-leftover', `${index.name} was left behind`, dropSql(index)),
    );
  }
  items.push(planMain(definition, table, wanted, current, nextIsGood));
  return items;
}

function planMain(
  definition: IndexDefinition,
  table: IndexedTable,
  wanted: string,
  current: ExistingIndex | undefined,
  nextIsGood: boolean,
): PlannedIndex {
  const { name } = definition;
  const create = createSql(definition, { concurrently: !table.isPartitioned, only: table.isPartitioned });
  const after = [
    markSql(table.schema, name),
    ...(hasExpression(definition) && !table.isEmpty ? [analyzeSql(definition)] : []),
  ];
  if (current === undefined) {
    if (nextIsGood)
      return item(
        definition,
        'finish',
        'its replacement was built and not yet put in place',
        ...swapSql(table.schema, name, false),
        ...after,
      );
    return item(definition, 'create', 'it does not exist', create, ...after);
  }
  if (current.isBuilding) return item(definition, 'blocked', 'another session is building it');
  if (current.canonical !== wanted) {
    if (current.isConstraint)
      return item(definition, 'blocked', `it belongs to a constraint and is ${current.canonical}`);
    if (table.isPartitioned)
      return item(definition, 'blocked', `it differs, and is on a partitioned table: ${current.canonical}`);
    const build = nextIsGood ? [] : [createSql(definition, { name: name + NEW_SUFFIX, concurrently: true })];
    const swap = [...build, ...swapSql(table.schema, name, true), ...after];
    const reason = `it is ${current.canonical}, and should be ${wanted}`;
    // One that is INVALID serves nobody, so nothing has to be kept meanwhile.
    if (!current.isValid)
      return item(definition, 'rebuild', `it is INVALID, and ${reason}`, dropSql(current), create, ...after);
    return item(definition, nextIsGood ? 'finish' : 'replace', reason, ...swap);
  }
  if (!current.isValid) {
    if (current.isPartitioned) return item(definition, 'rebuild', 'not all partitions have their part of it');
    return item(
      definition,
      'rebuild',
      'it is INVALID: a build of it did not end',
      dropSql(current),
      create,
      ...after,
    );
  }
  if (hasExpression(definition) && !current.hasStatistics && !table.isEmpty && !table.isPartitioned) {
    return item(definition, 'analyze', 'the planner has no statistics for its expression', ...after);
  }
  if (!current.isMarked)
    return item(definition, 'mark', 'it is not marked as declared', markSql(table.schema, name));
  return item(definition, 'none', 'it is as declared');
}

function item(
  { name, table }: IndexDefinition,
  action: IndexAction,
  reason: string,
  ...sql: string[]
): PlannedIndex {
  return { name, table, action, reason, sql };
}

function dropSql({
  schema,
  name,
  isPartitioned,
}: Pick<ExistingIndex, 'schema' | 'name' | 'isPartitioned'>): string {
  return `drop index ${isPartitioned ? '' : 'concurrently '}if exists ${quoteName(schema)}.${quoteName(name)}`;
}

/** Puts a replacement in place: renaming locks the index for a moment only. */
function swapSql(schema: string, name: string, hasOld: boolean): string[] {
  const of = (suffix: string): string => `${quoteName(schema)}.${quoteName(name + suffix)}`;
  const putNew = `alter index ${of(NEW_SUFFIX)} rename to ${quoteName(name)}`;
  if (!hasOld) return [putNew];
  return [
    `begin; alter index ${of('')} rename to ${quoteName(name + OLD_SUFFIX)}; ${putNew}; commit`,
    `drop index concurrently if exists ${of(OLD_SUFFIX)}`,
  ];
}

function markSql(schema: string, name: string): string {
  return `comment on index ${quoteName(schema)}.${quoteName(name)} is '${MARK}'`;
}

function analyzeSql({ table }: IndexDefinition): string {
  return `analyze ${quoteTable(table)}`;
}

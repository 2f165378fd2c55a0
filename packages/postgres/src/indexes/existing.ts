import type { DirectSession } from '../direct-session.ts';
import { quoteName, quoteTable } from '../identifiers.ts';
import { createSql, type IndexDefinition } from './definition.ts';

/** What is put into the comment of an index, so that it is known when it is no longer declared. */
export const MARK = 'hotpath: declared index';

/** An index as it is. */
export interface ExistingIndex {
  readonly oid: number;
  readonly name: string;
  readonly schema: string;
  readonly tableOid: number;
  /** Valid, and ready for writes. */
  readonly isValid: boolean;
  readonly isConstraint: boolean;
  readonly isMarked: boolean;
  /** Whether a session is building it now. */
  readonly isBuilding: boolean;
  /** Whether it is of a partitioned table. */
  readonly isPartitioned: boolean;
  readonly hasStatistics: boolean;
  /** Uniqueness, method, keys, INCLUDE, parameters and predicate as the server writes them. */
  readonly canonical: string;
}

/** A table that indexes are declared for. */
export interface IndexedTable {
  readonly oid: number;
  readonly schema: string;
  readonly isPartitioned: boolean;
  readonly isEmpty: boolean;
}

const TABLE = `select c.oid::int8::int as oid, n.nspname as schema, c.relkind = 'p' as "isPartitioned",
  case when c.relkind = 'p' then false else pg_relation_size(c.oid) = 0 or c.reltuples = 0 end as "isEmpty"
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass($1)`;

const INDEXES = `select i.indexrelid::int8::int as oid, c.relname as name, n.nspname as schema, i.indrelid::int8::int as "tableOid",
  i.indisvalid and i.indisready and i.indislive as "isValid",
  exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')) as "isConstraint",
  coalesce(obj_description(i.indexrelid, 'pg_class') = '${MARK}', false) as "isMarked",
  exists (select from pg_stat_progress_create_index p where p.index_relid = i.indexrelid) as "isBuilding",
  c.relkind = 'I' as "isPartitioned",
  exists (select from pg_statistic s where s.starelid = i.indexrelid) as "hasStatistics",
  pg_get_indexdef(i.indexrelid) as definition
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
where i.indrelid = any ($1::int[]::oid[]) order by c.relname`;

/** The table; `undefined` when there is none. */
export async function findTable(session: DirectSession, table: string): Promise<IndexedTable | undefined> {
  return (await session.run(TABLE, [quoteTable(table)])).rows[0] as IndexedTable | undefined;
}

/** All indexes of these tables. */
export async function indexesOf(
  session: DirectSession,
  tableOids: readonly number[],
): Promise<ExistingIndex[]> {
  const { rows } = await session.run(INDEXES, [tableOids]);
  return (rows as (ExistingIndex & { definition: string })[]).map(({ definition, ...index }) => ({
    ...index,
    canonical: canonicalOf(definition),
  }));
}

/**
 * How the server would write the definition: it is made on an empty copy of the table and read back.
 *
 * @throws What the server says to a definition that it does not accept.
 */
export async function canonicalForm(session: DirectSession, definition: IndexDefinition): Promise<string> {
  const copy = 'hotpath_index_form';
  await session.run('begin');
  try {
    await session.run(`create temporary table ${copy} (like ${quoteTable(definition.table)}) on commit drop`);
    const create = createSql(definition, { name: 'hotpath_form', table: `pg_temp.${quoteName(copy)}` });
    await session.run(create, [], { isOne: true });
    const { rows } = await session.run(
      `select pg_get_indexdef('pg_temp.hotpath_form'::regclass) as definition`,
    );
    return canonicalOf((rows[0] as { definition: string }).definition);
  } finally {
    if (!session.lost) await session.run('rollback');
  }
}

function canonicalOf(definition: string): string {
  const unique = definition.startsWith('CREATE UNIQUE') ? 'UNIQUE ' : '';
  return unique + definition.slice(definition.indexOf(' USING ') + 1);
}

import type { DirectSession } from '../direct-session.ts';
import type { IndexDefinition } from './definition.ts';
import { planIndexes } from './plan.ts';

/** An index that deserves a look. */
export interface ReportedIndex {
  readonly name: string;
  readonly table: string;
  readonly bytes: number;
  readonly detail: string;
}

/** What is wrong or wasteful with the indexes of a database. */
export interface IndexReport {
  /** Never used since statistics began, and no constraint needs them. */
  readonly unused: readonly ReportedIndex[];
  /** Another index does the same, or begins with the same columns. */
  readonly duplicate: readonly ReportedIndex[];
  /** Not usable by queries, yet kept up by every write. */
  readonly invalid: readonly ReportedIndex[];
  /** B-trees that take more than twice the space that their entries need; an estimate. */
  readonly bloated: readonly ReportedIndex[];
  /** Declared and absent, and foreign keys that no index begins with. */
  readonly missing: readonly ReportedIndex[];
}

const FROM = `from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
join pg_namespace n on n.oid = t.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and n.nspname not like 'pg_temp%'`;
const COLUMNS = `c.relname as name, t.relname as table, pg_relation_size(c.oid)::float8 as bytes`;

const UNUSED = `select ${COLUMNS}, 'never used' as detail ${FROM} and not i.indisunique and not i.indisexclusion
and coalesce((select s.idx_scan from pg_stat_user_indexes s where s.indexrelid = i.indexrelid), 0) = 0
and not exists (select from pg_constraint k where k.conindid = i.indexrelid) order by 3 desc`;

const INVALID = `select ${COLUMNS}, case when i.indisunique then 'INVALID; still refuses duplicates' else 'INVALID' end as detail ${FROM}
and not (i.indisvalid and i.indisready) order by 1`;

const DUPLICATE = `select ${COLUMNS}, 'same as, or the beginning of, ' || o.name as detail
from (select i.*, n.nspname ${FROM.replace('where', 'where')}) i
join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
cross join lateral (select oc.relname as name from pg_index o join pg_class oc on oc.oid = o.indexrelid
  where o.indrelid = i.indrelid and o.indexrelid <> i.indexrelid and o.indisvalid
  and oc.relam = c.relam and coalesce(pg_get_expr(o.indpred, o.indrelid), '') = coalesce(pg_get_expr(i.indpred, i.indrelid), '')
  and coalesce(pg_get_expr(o.indexprs, o.indrelid), '') = coalesce(pg_get_expr(i.indexprs, i.indrelid), '')
  and (o.indkey::text || ' ') like (i.indkey::text || ' %') and (o.indclass::text || ' ') like (i.indclass::text || ' %')
  and (o.indoption::text || ' ') like (i.indoption::text || ' %')
  and (o.indkey::text <> i.indkey::text or (not i.indisunique and o.indisunique) or (i.indisunique = o.indisunique and i.indexrelid > o.indexrelid))
  limit 1) o where not i.indisunique or exists (select from pg_index u where u.indrelid = i.indrelid and u.indexrelid <> i.indexrelid and u.indisunique and u.indkey::text = i.indkey::text and u.indexrelid < i.indexrelid) order by 3 desc`;

const BLOATED = `select name, "table", bytes, 'about ' || round((1 - needed / bytes)::numeric * 100) || ' % of it is empty' as detail from (
select ${COLUMNS}, greatest(16384, c.reltuples * 1.1 * (16 + coalesce((select sum(coalesce(s.avg_width, 8)) from pg_attribute a
  left join pg_stats s on s.schemaname = n.nspname and s.tablename = case when i.indexprs is null then t.relname else c.relname end and s.attname = a.attname
  where a.attrelid = c.oid), 8)) / 0.9) as needed ${FROM} and c.relam = (select oid from pg_am where amname = 'btree') and c.relkind = 'i' and c.reltuples >= 0) b
where bytes > 1048576 and bytes > 2 * needed order by bytes desc`;

const MISSING = `select k.conname as name, t.relname as table, 0::float8 as bytes, 'no index begins with the foreign key ' || pg_get_constraintdef(k.oid) as detail
from pg_constraint k join pg_class t on t.oid = k.conrelid where k.contype = 'f' and k.conparentid = 0
and not exists (select from pg_index i where i.indrelid = k.conrelid and i.indisvalid and i.indpred is null
  and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey) order by 2, 1`;

/** Reads the statistics and the catalogue. */
export async function reportIndexes(
  session: DirectSession,
  definitions: readonly IndexDefinition[],
): Promise<IndexReport> {
  const list = async (text: string): Promise<ReportedIndex[]> =>
    (await session.run(text)).rows as ReportedIndex[];
  const plan = await planIndexes(session, definitions);
  const undone = plan.items
    .filter(({ action }) => action === 'create' || action === 'blocked')
    .map(({ name, table, reason }) => ({ name, table, bytes: 0, detail: `declared: ${reason}` }));
  return {
    unused: await list(UNUSED),
    duplicate: await list(DUPLICATE),
    invalid: await list(INVALID),
    bloated: await list(BLOATED),
    missing: [...undone, ...(await list(MISSING))],
  };
}

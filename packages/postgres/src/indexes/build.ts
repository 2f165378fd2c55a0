import { type Clock, type Milliseconds, type RandomSource, sleep } from '@hotpath/core';
import type { DirectSession } from '../direct-session.ts';
import { indexFailed, isConnectionLoss, sqlState } from '../errors.ts';
import { quoteName, quoteTable } from '../identifiers.ts';
import { createSql, type IndexDefinition } from './definition.ts';
import { MARK } from './existing.ts';
import type { PlannedIndex } from './plan.ts';
import type { IndexProgress } from './progress.ts';
import { watchBuild } from './progress.ts';

/** What a run of builds is given. */
export interface BuildContext {
  readonly session: DirectSession;
  /** Another session, to look at the first one from. */
  readonly watcher: DirectSession;
  readonly buildTimeoutMs: Milliseconds;
  readonly ddlLockTimeoutMs: Milliseconds;
  readonly retries: number;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: IndexProgress) => void) | undefined;
}

/** A lock could not be had in time, a deadlock was broken, or the server cancelled: the next try may do. */
const retriedStates = new Set(['55P03', '40P01', '40001']);
const FIRST_RETRY_DELAY_MS = 200;
/** To drop an index concurrently waits for the same transactions as to build it. */
const DROP_TIMEOUT_MS = 10_000;
/** The same for one who has been told to stop: what stays is found by the next run. */
const STOPPED_DROP_TIMEOUT_MS = 500;

/**
 * Does what was planned for one index, statement by statement, outside of transactions.
 *
 * @throws UpstreamError (HOTPATH_PG_INDEX_FAILED) when it can't be built; what was begun is removed first.
 */
export async function carryOut(
  context: BuildContext,
  definition: IndexDefinition,
  item: PlannedIndex,
): Promise<void> {
  if (item.action === 'rebuild' && item.sql.length === 0) return buildPartitioned(context, definition, true);
  for (const sql of item.sql) {
    if (/^create (?:unique )?index .* on only /.test(sql)) await buildPartitioned(context, definition, false);
    else await runWithRetries(context, item.name, sql);
  }
}

async function runWithRetries(context: BuildContext, name: string, sql: string): Promise<void> {
  const { session, retries, clock, random, signal } = context;
  const isBuild = sql.startsWith('create') && sql.includes(' concurrently ');
  for (let attempt = 0; ; attempt++) {
    try {
      await runOnce(context, name, sql, isBuild);
      return;
    } catch (error) {
      if (session.lost || isConnectionLoss(error)) throw error;
      if (sql.startsWith('begin')) await session.run('rollback');
      // An index that failed to build is kept up by every write, and a unique one still refuses rows.
      if (isBuild) await dropInvalid(context, sql).catch(() => {});
      const mayRetry = attempt < retries && retriedStates.has(sqlState(error) ?? '');
      if (!mayRetry) {
        if (sqlState(error) === undefined) throw error;
        throw indexFailed(name, error);
      }
    }
    await sleep(FIRST_RETRY_DELAY_MS * 2 ** attempt * (0.5 + random()), { signal, clock });
  }
}

async function runOnce(context: BuildContext, name: string, sql: string, isBuild: boolean): Promise<void> {
  const { session, buildTimeoutMs, ddlLockTimeoutMs, signal } = context;
  const isConcurrent = sql.includes(' concurrently ');
  // A concurrent build waits for old snapshots by taking locks, and lock_timeout would end that wait.
  await session.run(`set lock_timeout = ${isConcurrent ? 0 : Math.ceil(ddlLockTimeoutMs)}`);
  // What a definition takes as SQL must stay within its statement.
  const limits = { timeoutMs: buildTimeoutMs, signal, isOne: !sql.startsWith('begin;') };
  if (!isBuild) {
    await session.run(sql, [], limits);
    return;
  }
  const stop = watchBuild(context, name);
  try {
    await session.run(sql, [], limits);
  } finally {
    await stop();
  }
}

/** Removes what a failed CREATE INDEX CONCURRENTLY has left; what can't be removed now is found by the next run. */
async function dropInvalid({ session, signal }: BuildContext, sql: string): Promise<void> {
  const quoted = /index concurrently ("(?:[^"]|"")+") on (\S+)/.exec(sql);
  if (quoted === null) return;
  const [, index, table] = quoted as unknown as [string, string, string];
  const { rows } = await session.run(
    `select n.nspname as schema from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
     where i.indrelid = to_regclass($1) and c.relname = $2 and not i.indisvalid`,
    [table, index.slice(1, -1).replaceAll('""', '"')],
  );
  const found = rows[0] as { schema: string } | undefined;
  if (found === undefined) return;
  await session.run('set lock_timeout = 0');
  await session.run(`drop index concurrently if exists ${quoteName(found.schema)}.${index}`, [], {
    timeoutMs: signal?.aborted ? STOPPED_DROP_TIMEOUT_MS : DROP_TIMEOUT_MS,
  });
}

interface Partition {
  readonly schema: string;
  readonly name: string;
  readonly oid: number;
  readonly isPartitioned: boolean;
  /** Its part of the index, qualified; absent where it has none yet. */
  readonly part: string | null;
}

const PARTITIONS = `select n.nspname as schema, c.relname as name, c.oid::int8::int as oid, c.relkind = 'p' as "isPartitioned",
  (select format('%I.%I', pn.nspname, pc.relname) from pg_index i join pg_inherits ih on ih.inhrelid = i.indexrelid
    join pg_class pc on pc.oid = i.indexrelid join pg_namespace pn on pn.oid = pc.relnamespace
    where i.indrelid = c.oid and ih.inhparent = to_regclass($2)) as part
from pg_inherits h join pg_class c on c.oid = h.inhrelid join pg_namespace n on n.oid = c.relnamespace
where h.inhparent = to_regclass($1) and c.relkind in ('r', 'p') order by c.oid`;

/**
 * Builds an index of a partitioned table: an empty one on the parent, one for each partition concurrently,
 * each of them attached; the parent's becomes valid with the last.
 */
async function buildPartitioned(
  context: BuildContext,
  definition: IndexDefinition,
  exists: boolean,
): Promise<void> {
  const { session } = context;
  const table = quoteTable(definition.table);
  if (!exists) await createEmpty(context, definition, definition.name, table);
  const { rows } = await session.run(
    'select n.nspname as schema from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass($1)',
    [table],
  );
  const { schema } = rows[0] as { schema: string };
  const index = `${quoteName(schema)}.${quoteName(definition.name)}`;
  await buildParts(context, definition, table, index);
  await session.run(`comment on index ${index} is '${MARK}'`);
}

/** An index that has no part on any partition yet. */
function createEmpty(
  context: BuildContext,
  definition: IndexDefinition,
  name: string,
  table: string,
): Promise<void> {
  const sql = createSql(definition, { name, table, only: true });
  const again = sql.replace(/^create (unique )?index /, 'create $1index if not exists ');
  return runWithRetries(context, name, again);
}

/** Gives each partition its part of the index, and partitions of partitions as well. */
async function buildParts(
  context: BuildContext,
  definition: IndexDefinition,
  parent: string,
  parentIndex: string,
): Promise<void> {
  const { rows } = await context.session.run(PARTITIONS, [parent, parentIndex]);
  for (const { schema, name, oid, isPartitioned, part } of rows as Partition[]) {
    const table = `${quoteName(schema)}.${quoteName(name)}`;
    if (part !== null) {
      if (isPartitioned) await buildParts(context, definition, table, part);
      continue;
    }
    const child = `${definition.name.slice(0, 44)}_${oid}`;
    const childIndex = `${quoteName(schema)}.${quoteName(child)}`;
    if (isPartitioned) {
      await createEmpty(context, definition, child, table);
      await buildParts(context, definition, table, childIndex);
    } else {
      await runWithRetries(context, child, `drop index concurrently if exists ${childIndex}`);
      await runWithRetries(context, child, createSql(definition, { name: child, table, concurrently: true }));
    }
    await runWithRetries(context, child, `alter index ${parentIndex} attach partition ${childIndex}`);
  }
}

import { sleep } from '@hotpath/core';
import { createPostgres, governanceIndexes, type Postgres } from '@hotpath/postgres';
import type { Config } from './config.ts';
import { isOutage, outageText } from './outages.ts';
import { type Database, SCHEMA, seedRows } from './schema.ts';

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 5_000;

/**
 * Creates tables, indexes and rows that are missing; waits for a database that is not up yet.
 *
 * It has connections of its own: rows and indexes may take longer than a request may.
 */
export async function prepareDatabase(databaseUrl: string, config: Config, stop: AbortSignal): Promise<void> {
  const db = createPostgres<Database>({ connectionString: databaseUrl, pool: { max: 2 } });
  const close = (): Promise<void> => db.close({ timeoutMs: 0 });
  stop.addEventListener('abort', close, { once: true });
  try {
    for (let delayMs = FIRST_RETRY_MS; ; delayMs = Math.min(2 * delayMs, LONGEST_RETRY_MS)) {
      try {
        await createTables(db);
        await seed(db, config);
        await db.indexes.apply(governanceIndexes(config.constitutionalHash));
        return;
      } catch (error) {
        if (stop.aborted || !isOutage(error)) throw error;
        console.error(`PostgreSQL can't be used yet: ${outageText(error)}; trying again in ${delayMs} ms`);
        await sleep(delayMs, { signal: stop });
      }
    }
  } finally {
    stop.removeEventListener('abort', close);
    await close();
  }
}

async function createTables(db: Postgres<Database>): Promise<void> {
  await db.transaction(async (transaction) => {
    for (const statement of SCHEMA) await transaction.query(statement);
  });
}

async function seed(db: Postgres<Database>, { seedPolicies, constitutionalHash }: Config): Promise<void> {
  const [row] = await db.query<{ isEmpty: boolean }>('select not exists (select from policies) as "isEmpty"');
  if (row?.isEmpty)
    await db.upsertMany('policies', [...seedRows(seedPolicies, constitutionalHash)], { key: ['id'] });
}

// Opens something of everything, closes it, and has to end by itself.
import { createPool, createPostgres } from '../../src/index.ts';

const [connectionString, silentPort] = process.argv.slice(2) as [string, string];
const db = createPostgres({ connectionString, replicas: [connectionString], pool: { minConnections: 2 } });
const silent = createPostgres({ connectionString: `postgres://postgres@127.0.0.1:${silentPort}/x` });
const pool = createPool({ connectionString, min: 2 });
void silent.query('select 1').catch(() => {});
void silent.listen('news', { onNotification: () => {} }).catch(() => {});
await db.query('select 1');
await db.readonly.query('select 1');
await db.listen('news', { onNotification: () => {} });
const running = db.query('select pg_sleep(30)').catch(() => {});
const waiting = pool.query('select 1');
await new Promise((resolve) => setTimeout(resolve, 200));
await Promise.all([db.close({ timeoutMs: 200 }), silent.close(), pool.end(), running, waiting]);
process.disconnect?.();

import { strict as assert } from 'node:assert';
import { defineSuite, postgresServer } from '../harness/index.ts';

const check = (row: { x: number }, index: number): void => assert.equal(row.x, index % 1_000);
const SELECT = 'select $1::int as x';

const suite = (script: 'kill' | 'freeze') =>
  defineSuite({
    name: `outage-${script}`,
    title: `1,000 queries a second, the server lost by ${script} for 4 s`,
    kind: 'fault',
    server: 'postgres',
    script,
    servers: { postgres: postgresServer() },
    contenders: {
      'pg.Pool': {
        role: 'peer',
        library: 'pg',
        note: 'with a connection timeout and a query timeout of 1 s',
        async setup({ servers }) {
          const { default: pg } = await import('pg');
          const pool = new pg.Pool({
            connectionString: servers.postgres.url,
            max: 20,
            connectionTimeoutMillis: 1_000,
            query_timeout: 1_000,
          });
          pool.on('error', () => {});
          return {
            run: async (index) => (await pool.query(SELECT, [index % 1_000])).rows[0],
            check,
            close: () => pool.end(),
          };
        },
      },
      'pg.Pool, by default': {
        role: 'peer',
        library: 'pg',
        async setup({ servers }) {
          const { default: pg } = await import('pg');
          const pool = new pg.Pool({ connectionString: servers.postgres.url, max: 20 });
          pool.on('error', () => {});
          return {
            run: async (index) => (await pool.query(SELECT, [index % 1_000])).rows[0],
            check,
            close: () => pool.end(),
          };
        },
      },
      'postgres.js': {
        role: 'peer',
        library: 'postgres',
        note: 'with a connection timeout of 1 s',
        async setup({ servers }) {
          const { default: postgres } = await import('postgres');
          const sql = postgres(servers.postgres.url, { max: 20, connect_timeout: 1, fetch_types: false });
          return {
            run: async (index) => (await sql<{ x: number }[]>`select ${index % 1_000}::int as x`)[0]!,
            check,
            close: () => sql.end({ timeout: 0 }),
          };
        },
      },
      slonik: {
        role: 'peer',
        library: 'slonik',
        note: 'with connection and statement timeouts of 1 s, without retries',
        async setup({ servers }) {
          const { createPool, sql } = await import('slonik');
          const pool = await createPool(servers.postgres.url, {
            maximumPoolSize: 20,
            connectionTimeout: 1_000,
            statementTimeout: 1_000,
            connectionRetryLimit: 0,
            queryRetryLimit: 0,
          });
          // Its waits keep no process alive while no connection is open.
          const awake = setInterval(() => {}, 1_000);
          return {
            run: (index) => pool.one(sql.unsafe`select ${index % 1_000}::int as x`) as Promise<{ x: number }>,
            check,
            close: () => {
              clearInterval(awake);
              return pool.end();
            },
          };
        },
      },
      hotpath: {
        role: 'ours',
        library: '@hotpath/postgres',
        note: 'with a query timeout of 1 s',
        async setup({ servers }) {
          const { createPostgres } = await import('@hotpath/postgres');
          const db = createPostgres({ connectionString: servers.postgres.url, queryTimeoutMs: 1_000 });
          return {
            run: async (index) => (await db.query<{ x: number }>(SELECT, [index % 1_000]))[0],
            check,
            close: () => db.close({ timeoutMs: 100 }),
          };
        },
      },
    },
    goals: [
      { figure: 'unsettled', atMost: 0 },
      { figure: 'longestStallMs', atMost: 1_250 },
      { figure: 'recoverMs', atMost: 1_000 },
    ],
  });

export default [suite('kill'), suite('freeze')];

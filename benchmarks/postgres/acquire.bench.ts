import { strict as assert } from 'node:assert';
import { defineSuite, postgresServer } from '../harness/index.ts';

export default defineSuite({
  name: 'acquire',
  title: 'To borrow an idle connection and give it back',
  kind: 'micro',
  servers: { postgres: postgresServer() },
  contenders: {
    'pg.Pool': {
      role: 'peer',
      library: 'pg',
      async setup({ servers }) {
        const { default: pg } = await import('pg');
        const pool = new pg.Pool({ connectionString: servers.postgres.url, max: 20 });
        return {
          run: async () => {
            const client = await pool.connect();
            client.release();
            return client;
          },
          check: (client) => assert.ok(client),
          close: () => pool.end(),
        };
      },
    },
    slonik: {
      role: 'peer',
      library: 'slonik',
      async setup({ servers }) {
        const { createPool } = await import('slonik');
        const pool = await createPool(servers.postgres.url, { maximumPoolSize: 20 });
        return {
          run: () => pool.connect(async (connection) => connection),
          check: (connection) => assert.ok(connection),
          close: () => pool.end(),
        };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/postgres',
      async setup({ servers }) {
        const { createPool } = await import('@hotpath/postgres');
        const pool = createPool({ connectionString: servers.postgres.url, max: 20 });
        return {
          run: async () => {
            const client = await pool.connect();
            client.release();
            return client;
          },
          check: (client) => assert.ok(client),
          close: () => pool.close(),
        };
      },
    },
  },
  goals: [{ figure: 'timeNs', atMost: { times: 0.5, of: 'pg.Pool' } }],
});

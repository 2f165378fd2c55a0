import { defineSuite, postgresServer } from '../harness/index.ts';
import { checkPolicy, type Database, fill, idAt, SELECT_ONE } from './policies.ts';

const MAX = 20;

export default defineSuite({
  name: 'point-select',
  title: 'A row by its key, 64 callers, a pool of 20',
  kind: 'throughput',
  servers: { postgres: postgresServer() },
  prepare: ({ servers }) => fill(servers.postgres.url),
  contenders: {
    'pg, named by hand': {
      role: 'limit',
      library: 'pg',
      async setup({ servers }) {
        const { default: pg } = await import('pg');
        const pool = new pg.Pool({ connectionString: servers.postgres.url, max: MAX });
        return {
          run: async (index) =>
            (await pool.query({ name: 'one', text: SELECT_ONE, values: [idAt(index)] })).rows[0],
          check: checkPolicy,
          close: () => pool.end(),
        };
      },
    },
    pg: {
      role: 'peer',
      library: 'pg',
      note: 'defaults',
      async setup({ servers }) {
        const { default: pg } = await import('pg');
        const pool = new pg.Pool({ connectionString: servers.postgres.url, max: MAX });
        return {
          run: async (index) => (await pool.query(SELECT_ONE, [idAt(index)])).rows[0],
          check: checkPolicy,
          close: () => pool.end(),
        };
      },
    },
    kysely: {
      role: 'peer',
      library: 'kysely',
      note: 'on pg.Pool',
      async setup({ servers }) {
        const [{ default: pg }, { Kysely, PostgresDialect }] = await Promise.all([
          import('pg'),
          import('kysely'),
        ]);
        const pool = new pg.Pool({ connectionString: servers.postgres.url, max: MAX });
        const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
        return {
          run: (index) =>
            db
              .selectFrom('policies')
              .select(['id', 'name', 'status', 'version'])
              .where('id', '=', idAt(index))
              .executeTakeFirst(),
          check: checkPolicy,
          close: () => db.destroy(),
        };
      },
    },
    'postgres.js': {
      role: 'peer',
      library: 'postgres',
      note: 'prepares by itself',
      async setup({ servers }) {
        const { default: postgres } = await import('postgres');
        const sql = postgres(servers.postgres.url, { max: MAX });
        return {
          run: async (index) =>
            (await sql`select id, name, status, version from policies where id = ${idAt(index)}`)[0],
          check: checkPolicy,
          close: () => sql.end(),
        };
      },
    },
    slonik: {
      role: 'peer',
      library: 'slonik',
      async setup({ servers }) {
        const { createPool, sql } = await import('slonik');
        const pool = await createPool(servers.postgres.url, { maximumPoolSize: MAX });
        return {
          run: (index) =>
            pool.one(
              sql.unsafe`select id, name, status, version from policies where id = ${idAt(index)}`,
            ) as Promise<{ id: number; name: string }>,
          check: checkPolicy,
          close: () => pool.end(),
        };
      },
    },
    'drizzle, prepared by hand': {
      role: 'peer',
      library: 'drizzle-orm',
      async setup({ servers }) {
        const [{ default: pg }, { drizzle }, { integer, pgTable, text }, { eq, sql }] = await Promise.all([
          import('pg'),
          import('drizzle-orm/node-postgres'),
          import('drizzle-orm/pg-core'),
          import('drizzle-orm'),
        ]);
        const pool = new pg.Pool({ connectionString: servers.postgres.url, max: MAX });
        const policies = pgTable('policies', {
          id: integer('id'),
          name: text('name'),
          status: text('status'),
          version: integer('version'),
        });
        const one = drizzle(pool)
          .select()
          .from(policies)
          .where(eq(policies.id, sql.placeholder('id')))
          .prepare('one');
        return {
          run: async (index) => (await one.execute({ id: idAt(index) }))[0],
          check: checkPolicy,
          close: () => pool.end(),
        };
      },
    },
    'hotpath query': {
      role: 'ours',
      library: '@hotpath/postgres',
      async setup({ servers }) {
        const { createPostgres } = await import('@hotpath/postgres');
        const db = createPostgres<Database>({ connectionString: servers.postgres.url, pool: { max: MAX } });
        return {
          run: async (index) => (await db.query(SELECT_ONE, [idAt(index)]))[0],
          check: checkPolicy,
          close: () => db.close(),
        };
      },
    },
    'hotpath, through Kysely': {
      role: 'ours',
      library: '@hotpath/postgres',
      async setup({ servers }) {
        const { createPostgres } = await import('@hotpath/postgres');
        const { kysely, close } = bound(
          createPostgres<Database>({ connectionString: servers.postgres.url, pool: { max: MAX } }),
        );
        return {
          run: (index) =>
            kysely
              .selectFrom('policies')
              .select(['id', 'name', 'status', 'version'])
              .where('id', '=', idAt(index))
              .executeTakeFirst(),
          check: checkPolicy,
          close,
        };
      },
    },
    'hotpath createPool': {
      role: 'ours',
      library: '@hotpath/postgres',
      note: 'in the place of pg.Pool',
      async setup({ servers }) {
        const { createPool } = await import('@hotpath/postgres');
        const pool = createPool({ connectionString: servers.postgres.url, max: MAX });
        return {
          run: async (index) => (await pool.query(SELECT_ONE, [idAt(index)])).rows[0],
          check: checkPolicy,
          close: () => pool.close(),
        };
      },
    },
    'hotpath loader': {
      role: 'ours',
      library: '@hotpath/postgres',
      async setup({ servers }) {
        const { createPostgres } = await import('@hotpath/postgres');
        const db = createPostgres<Database>({ connectionString: servers.postgres.url, pool: { max: MAX } });
        const policies = db.loader('policies', 'id', { columns: ['id', 'name', 'status', 'version'] });
        return { run: (index) => policies.load(idAt(index)), check: checkPolicy, close: () => db.close() };
      },
    },
  },
  goals: [
    { contender: 'hotpath query', figure: 'opsPerSecond', atLeast: { times: 0.97, of: 'pg, named by hand' } },
    {
      contender: 'hotpath, through Kysely',
      figure: 'opsPerSecond',
      atLeast: { times: 0.84, of: 'pg, named by hand' },
    },
    { contender: 'hotpath loader', figure: 'opsPerSecond', atLeast: { times: 2.6, of: 'pg, named by hand' } },
  ],
});

function bound<Db extends { kysely: unknown; close(): Promise<void> }>(
  db: Db,
): { kysely: Db['kysely']; close: () => Promise<void> } {
  return { kysely: db.kysely, close: () => db.close() };
}

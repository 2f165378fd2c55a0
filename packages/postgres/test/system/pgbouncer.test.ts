import { isHotpathError } from '@hotpath/core';
import { type PostgresServer, startPostgres } from '@hotpath/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPool, createPostgres, type Postgres } from '../../src/index.ts';
import { type BouncerServer, startPgBouncer } from './servers.ts';

let server: PostgresServer;
let bouncer: BouncerServer;
let db: Postgres;

beforeAll(async () => {
  server = await startPostgres();
  bouncer = await startPgBouncer(new URL(server.connectionString));
  db = createPostgres({
    connectionString: bouncer.connectionString,
    directConnectionString: server.connectionString,
    pooler: 'transaction',
    pool: { max: 40 },
  });
  await db.query(
    "create table users (id int primary key, name text); insert into users select g, 'u' || g from generate_series(1, 500) g",
  );
});
afterAll(async () => {
  await db.close();
  await bouncer[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

describe('through PgBouncer in transaction mode', () => {
  it('queries work although each may meet another session, also through Kysely', async () => {
    const ids = Array.from({ length: 400 }, (_, i) => 1 + (i % 500));
    const names = await Promise.all(
      ids.map(async (id) => (await db.query('select name from users where id = $1', [id]))[0]!.name),
    );
    expect(names).toEqual(ids.map((id) => `u${id}`));
    const again = await Promise.all(
      ids.map((id) => db.kysely.selectFrom('users').select('name').where('id', '=', id).executeTakeFirst()),
    );
    expect(again.map((row) => row!.name)).toEqual(names);
    expect(await db.query('select count(*)::int as n from pg_prepared_statements')).toEqual([{ n: 0 }]);
  });

  it('transactions, bulk writes, loaders, streams and batches work', async () => {
    const written = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        db.upsertMany(
          'users',
          Array.from({ length: 200 }, (_, id) => ({ id, name: `w${i}` })),
        ),
      ),
    );
    expect(written).toHaveLength(8);
    expect(
      await db.insertMany(
        'users',
        Array.from({ length: 2_000 }, (_, i) => ({ id: 10_000 + i, name: 'c' })),
      ),
    ).toBe(2_000);
    expect(
      await db.upsertMany(
        'users',
        Array.from({ length: 6_000 }, (_, i) => ({ id: 10_000 + i, name: 'm' })),
      ),
    ).toMatchObject({ inserted: 4_000, updated: 2_000 });
    const users = db.loader('users', 'id', { columns: ['name'] });
    expect(await users.loadMany([10_001, 10_002])).toEqual([{ name: 'm' }, { name: 'm' }]);
    let count = 0;
    await db.transaction(async (transaction) => {
      await transaction.query('update users set name = $1 where id = $2', ['t', 400]);
      await transaction.transaction((inner) =>
        inner.query('update users set name = $1 where id = $2', ['s', 401]),
      );
    });
    for await (const _row of db.stream('select * from users where id >= 10000')) count++;
    expect(count).toBe(6_000);
    expect(await db.batch([{ text: 'select 1 as a' }, { text: 'select 2 as a' }])).toMatchObject([
      { rows: [{ a: 1 }] },
      { rows: [{ a: 2 }] },
    ]);
  });

  it('a query is cancelled through it', async () => {
    await expect(db.query('select pg_sleep(30)', [], { timeoutMs: 100 })).rejects.toMatchObject({
      code: 'HOTPATH_PG_QUERY_TIMEOUT',
    });
    await expect
      .poll(async () =>
        db.query(
          "select pid from pg_stat_activity where query like 'select pg_sleep(30)%' and state = 'active'",
        ),
      )
      .toEqual([]);
  });

  it('session variables stay within their transaction', async () => {
    const read = "select current_setting('app.tenant', true) as tenant";
    for (let i = 0; i < 10; i++) {
      const [bound, unbound] = await Promise.all([
        db.withVariables({ 'app.tenant': i }).query(read),
        db.query(read),
      ]);
      expect(bound).toEqual([{ tenant: String(i) }]);
      expect([null, '']).toContain(unbound[0]!.tenant);
    }
  });

  it('indexes and listeners go around it', async () => {
    const definition = { name: 'users_name', table: 'users', keys: ['name'] };
    expect((await db.indexes.apply([definition])).done).toHaveLength(1);
    expect((await db.indexes.plan([definition])).isSettled).toBe(true);
    const heard = new Promise(
      (resolve) =>
        void db
          .listen('news', { onNotification: ({ payload }) => resolve(payload) })
          .then(() => db.query("select pg_notify('news', 'x')")),
    );
    expect(await heard).toBe('x');
  });

  it('a drop-in pool works with its preparing switched off', async () => {
    await using pool = createPool({ connectionString: bouncer.connectionString, prepare: false });
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, id) => pool.query('select $1::int as id', [id])),
    );
    expect(answers.map(({ rows }) => rows[0].id)).toEqual(Array.from({ length: 100 }, (_, id) => id));
  });

  it('a PgBouncer that is killed and started again under load costs typed errors and no more', async () => {
    const untyped: unknown[] = [];
    let answered = 0;
    let isOver = false;
    const callers = Array.from({ length: 32 }, async (_, i) => {
      while (!isOver) {
        try {
          await db.query('select name from users where id = $1', [1 + i], { timeoutMs: 2_000 });
          answered++;
        } catch (error) {
          if (!isHotpathError(error)) untyped.push(error);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await bouncer.kill();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await bouncer.start();
    const before = answered;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    isOver = true;
    await Promise.all(callers);
    expect(untyped).toEqual([]);
    expect(answered).toBeGreaterThan(before + 100);
    expect(await db.transaction((transaction) => transaction.query('select 1 as x'))).toEqual([{ x: 1 }]);
  });
});

import { channel } from 'node:diagnostics_channel';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NPlusOneEvent, SlowQueryEvent } from '../../src/index.ts';
import { codeOf, startDatabase, type TestDatabase } from './database.ts';

let test: TestDatabase;

beforeAll(async () => {
  test = await startDatabase();
  await test.db.query(`create table users (id int primary key, name text not null, balance int not null default 0);
    insert into users select g, 'user ' || g, 100 from generate_series(1, 1000) g`);
});
afterAll(() => test[Symbol.asyncDispose]());

describe('query', () => {
  it('gives typed values, nulls, bytes, JSON and text beyond ASCII', async () => {
    const bytes = Buffer.from([0, 0x80, 0xff, 0x5c, 0x27]);
    for (let round = 0; round < 3; round++) {
      const [row] = await test.db.query(
        'select $1::int as a, $2::text as b, $3::bytea as c, $4::jsonb as d, null::int as e, $5::int8 as f, $6::float8 as g, $7::int[] as h',
        [-42, 'héé 😀', bytes, { x: [1, null] }, '9007199254740993', 1.5, [1, 2]],
      );
      expect(row).toEqual({
        a: -42,
        b: 'héé 😀',
        c: bytes,
        d: { x: [1, null] },
        e: null,
        f: '9007199254740993',
        g: 1.5,
        h: [1, 2],
      });
    }
  });

  it('reads rows that are larger than any packet', async () => {
    const rows = await test.db.query<{ t: string }>(
      "select repeat('ab', 500000) as t from generate_series(1, 3)",
    );
    expect(rows.map(({ t }) => t.length)).toEqual([1_000_000, 1_000_000, 1_000_000]);
  });

  it('works again by itself after the table behind a prepared statement has changed', async () => {
    const db = test.connect({ pool: { max: 1 } });
    await db.query('create table shifting (id int, a text)');
    await db.query("insert into shifting values (1, 'x')");
    const read = () => db.query('select * from shifting where id = $1', [1]);
    const viaKysely = () => db.kysely.selectFrom('shifting').selectAll().where('id', '=', 1).execute();
    for (let i = 0; i < 3; i++) expect(await read()).toEqual([{ id: 1, a: 'x' }]);
    for (let i = 0; i < 3; i++) expect(await viaKysely()).toEqual([{ id: 1, a: 'x' }]);
    await db.query('alter table shifting add column b int default 7');
    expect(await read()).toEqual([{ id: 1, a: 'x', b: 7 }]);
    expect(await viaKysely()).toEqual([{ id: 1, a: 'x', b: 7 }]);
    await db.query('alter table shifting alter column a type int using 5');
    expect(await read()).toEqual([{ id: 1, a: 5, b: 7 }]);
    expect(await viaKysely()).toEqual([{ id: 1, a: 5, b: 7 }]);
  });

  it('works again after the session has lost its prepared statements', async () => {
    const db = test.connect({ pool: { max: 1 } });
    const read = () => db.query('select name from users where id = $1', [1]);
    for (let i = 0; i < 3; i++) await read();
    await db.query('discard all');
    expect(await read()).toEqual([{ name: 'user 1' }]);
    // Behind the client's back, so that only the server knows.
    await db.query("do $$ begin execute 'deallocate all'; end $$");
    expect(await read()).toEqual([{ name: 'user 1' }]);
  });

  it('prepares a text from its second use on, also through Kysely, and closes what is used least', async () => {
    const db = test.connect({ pool: { max: 1, statementCacheSize: 2 } });
    const prepared = async () =>
      (
        await db.query<{ n: number }>(
          "select count(*)::int as n from pg_prepared_statements where name like 'hp_%'",
        )
      )[0]!.n;
    await prepared();
    expect(await prepared()).toBe(1);
    for (let i = 0; i < 2; i++)
      await db.kysely.selectFrom('users').select('id').where('id', '=', 1).execute();
    expect(await prepared()).toBe(2);
    for (const column of ['id', 'name', 'balance']) {
      for (let i = 0; i < 2; i++) await db.query(`select ${column} from users where id = $1`, [1]);
    }
    await db.query('select 1 as x');
    expect(await prepared()).toBeLessThanOrEqual(3);
  });

  it('prepares nothing behind a transaction pooler', async () => {
    const db = test.connect({ pool: { max: 1 }, pooler: 'transaction' });
    for (let i = 0; i < 4; i++) await db.query('select name from users where id = $1', [1]);
    for (let i = 0; i < 4; i++)
      await db.kysely.selectFrom('users').select('id').where('id', '=', 1).execute();
    expect(await db.query('select name from pg_prepared_statements')).toEqual([]);
  });

  it('rejects at its deadline, has the server stop, and gives the connection back in order', async () => {
    const db = test.connect({ pool: { max: 1 } });
    const startedAt = performance.now();
    expect(await codeOf(db.query('select pg_sleep(30)', [], { timeoutMs: 100 }))).toBe(
      'HOTPATH_PG_QUERY_TIMEOUT',
    );
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect(await db.query('select 1 as x')).toEqual([{ x: 1 }]);
    expect(
      await test.db.query(
        "select pid from pg_stat_activity where query like 'select pg_sleep(30)%' and state = 'active'",
      ),
    ).toEqual([]);
    expect(db.stats().pool.opened).toBe(1);
  });

  it("rejects with the signal's own reason, running or queued, and the next caller is served", async () => {
    const db = test.connect({ pool: { max: 1 } });
    const running = new AbortController();
    const queued = new AbortController();
    const first = db.query('select pg_sleep(30)', [], { signal: running.signal });
    const second = db.query('select 1', [], { signal: queued.signal });
    const third = db.query('select 3 as x');
    const reason = new Error('no longer wanted');
    setTimeout(() => queued.abort(reason), 20);
    await expect(second).rejects.toBe(reason);
    running.abort(reason);
    await expect(first).rejects.toBe(reason);
    expect(await third).toEqual([{ x: 3 }]);
    const before = AbortSignal.abort(reason);
    await expect(db.query('select 1', [], { signal: before })).rejects.toBe(reason);
  });

  it('never cancels the query of the next user of a connection', async () => {
    const db = test.connect({ pool: { max: 1 } });
    for (let i = 0; i < 40; i++) {
      const cancelled = db.query('select pg_sleep(1)', [], { timeoutMs: 5 + (i % 5) });
      await expect(cancelled).rejects.toMatchObject({ code: 'HOTPATH_PG_QUERY_TIMEOUT' });
      expect(await db.query('select pg_sleep(0.002), 1 as x')).toMatchObject([{ x: 1 }]);
    }
  });

  it("leaves the server's own errors as they are", async () => {
    const error = await test.db.query('select * from nowhere').catch((e) => e);
    expect(error).toMatchObject({ code: '42P01', severity: 'ERROR' });
    await expect(test.db.query('insert into users values (1, $1)', ['x'])).rejects.toMatchObject({
      code: '23505',
      constraint: 'users_pkey',
    });
  });

  it('does not wait for data that a COPY would need', async () => {
    expect(await codeOf(test.db.query('copy users from stdin'))).toBe('57014');
    expect(await test.db.query('select 1 as x')).toEqual([{ x: 1 }]);
  });

  it('refuses a parameter that can not be written, and stays usable', async () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    await expect(test.db.query('select $1::jsonb', [circular])).rejects.toThrow(/circular/i);
    expect(await test.db.query('select 1 as x')).toEqual([{ x: 1 }]);
  });
});

describe('batch', () => {
  it('is one transaction: a failure undoes what went before and skips the rest', async () => {
    const failing = test.db.batch([
      { text: 'update users set balance = 0 where id = $1', values: [1] },
      { text: 'select 1 / 0' },
      { text: 'update users set balance = 1 where id = $1', values: [1] },
    ]);
    expect(await codeOf(failing)).toBe('22012');
    expect(await test.db.query('select balance from users where id = 1')).toEqual([{ balance: 100 }]);
  });

  it('does not take a pipelined COMMIT after a failure for success', async () => {
    const db = test.connect({ pool: { max: 1 } });
    expect(await codeOf(db.batch([{ text: 'begin' }, { text: 'select 1 / 0' }, { text: 'commit' }]))).toBe(
      '22012',
    );
    const swallowed = [{ text: 'begin' }, { text: "do $$ begin raise 'x'; end $$" }];
    expect(await codeOf(db.batch(swallowed))).toBe('P0001');
    const results = await db.batch([{ text: 'begin' }, { text: 'select 1 / 0' }, { text: 'commit' }], {
      atomic: false,
    });
    expect(results.map(({ status }) => status)).toEqual(['ok', 'error', 'error']);
    expect(results[2]).toMatchObject({ error: { code: 'HOTPATH_PG_ROLLED_BACK' } });
    expect(await db.query('select 1 as x')).toEqual([{ x: 1 }]);
  });

  it('gives each its own result when they stand alone', async () => {
    const results = await test.db.batch(
      [
        { text: 'select $1::int as a', values: [1] },
        { text: 'select * from nowhere' },
        { text: 'select 3 as a' },
      ],
      { atomic: false },
    );
    expect(results).toMatchObject([
      { status: 'ok', rows: [{ a: 1 }] },
      { status: 'error', error: { code: '42P01' } },
      { status: 'ok', rows: [{ a: 3 }] },
    ]);
  });

  it('ends at its deadline', async () => {
    const slow = test.db.batch([{ text: 'select 1' }, { text: 'select pg_sleep(30)' }], { timeoutMs: 100 });
    expect(await codeOf(slow)).toBe('HOTPATH_PG_QUERY_TIMEOUT');
  });
});

describe('loader', () => {
  it('asks once for all keys of a tick, in order, with null for absent keys', async () => {
    const db = test.connect();
    const users = db.loader('users', 'id', { columns: ['name'] });
    const keys = [5, 3, 3, 100_000, 1, '7', 2 ** 40, 'x', null];
    const rows = await Promise.all(keys.map((key) => users.load(key)));
    expect(rows.map((row) => row && (row as { name: string }).name)).toEqual([
      'user 5',
      'user 3',
      'user 3',
      null,
      'user 1',
      'user 7',
      null,
      null,
      null,
    ]);
    const asked = db.stats().queries.filter(({ text }) => text.includes('"users"'));
    expect(asked.map(({ calls }) => calls)).toEqual([1]);
  });

  it('loads by keys of several columns, by dates and by numerics', async () => {
    await test.db.query(`create table prices (item text, at date, cost numeric, primary key (item, at));
      insert into prices values ('a', '2026-01-01', 1.50), ('b', '2026-01-02', 2)`);
    const prices = test.db.loader('prices', ['item', 'at'], { columns: ['cost'] });
    expect(
      await prices.loadMany([
        ['b', '2026-01-02'],
        ['a', '2026-01-01'],
        ['a', '2026-01-02'],
      ]),
    ).toEqual([{ cost: '2' }, { cost: '1.50' }, null]);
    const byCost = test.db.loader('prices', 'cost', { columns: ['item'] });
    expect(await byCost.loadMany(['1.5', '2.000', '3'])).toEqual([{ item: 'a' }, { item: 'b' }, null]);
    // One that is no number fails alone.
    const settled = await Promise.allSettled([byCost.load('1.5'), byCost.load('no number')]);
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  });
});

describe('selectIn', () => {
  it('loads children of children, in order, so many a parent, and asks nothing for null keys', async () => {
    await test.db.query(`create table orders (id int primary key, user_id int, total int);
      create table lines (id int primary key, order_id int, item text);
      insert into orders select g, 1 + g % 3, g from generate_series(1, 30) g;
      insert into lines select g, 1 + g % 30, 'item ' || g from generate_series(1, 90) g`);
    const parents = [{ id: 1 }, { id: 2 }, { id: null }, { id: 99 }];
    const loaded = await test.db.selectIn(parents, {
      table: 'orders',
      as: 'orders',
      foreignKey: 'user_id',
      orderBy: ['-total'],
      limit: 2,
      with: [{ table: 'lines', as: 'lines', foreignKey: 'order_id', orderBy: ['id'], columns: ['item'] }],
    });
    expect(loaded.map(({ orders }) => orders.map(({ id }) => id))).toEqual([[30, 27], [28, 25], [], []]);
    expect(loaded[0]!.orders[0]!.lines).toEqual([
      { item: 'item 29' },
      { item: 'item 59' },
      { item: 'item 89' },
    ]);
    const one = await test.db.selectIn([{ id: 3 }], {
      table: 'orders',
      as: 'last',
      foreignKey: 'user_id',
      orderBy: ['-id'],
      one: true,
    });
    expect(one[0]!.last).toMatchObject({ id: 29 });
  });

  it('refuses parents of which none has the key, and takes keys that are null', async () => {
    const relation = { table: 'orders', as: 'orders', foreignKey: 'user_id' } as const;
    const wrong = test.db.selectIn([{ userId: 1 }, { userId: 2 }], relation);
    await expect(wrong).rejects.toThrow(TypeError);
    await expect(wrong).rejects.toThrow(
      "selectIn: no parent has the property 'id' that relation 'orders' needs; load it, or name another as 'parentKey'",
    );
    const nested = { table: 'lines', as: 'lines', foreignKey: 'order_id' };
    await expect(
      test.db.selectIn([{ id: 1 }], { ...relation, columns: ['total'], with: [nested] }),
    ).rejects.toThrow("no parent has the property 'id' that relation 'lines' needs");
    expect(await test.db.selectIn([{ id: null }, {}], relation)).toEqual([
      { id: null, orders: [] },
      { orders: [] },
    ]);
    expect(await test.db.selectIn([], relation)).toEqual([]);
  });

  it('goes in chunks, and refuses a column that is not there', async () => {
    const parents = Array.from({ length: 1_201 }, (_, id) => ({ id }));
    const db = test.connect();
    await db.selectIn(parents, { table: 'orders', as: 'orders', foreignKey: 'user_id' });
    expect(db.stats().queries.find(({ text }) => text.includes('from "orders"'))!.calls).toBe(3);
    const wrong = db.selectIn(parents, { table: 'orders', as: 'orders', foreignKey: 'user_ids' });
    expect(await codeOf(wrong)).toBe('HOTPATH_PG_UNKNOWN_NAME');
  });
});

describe('stream', () => {
  it('gives all rows, a batch at a time, and frees the connection when left early', async () => {
    const db = test.connect({ pool: { max: 1 } });
    let count = 0;
    for await (const _row of db.stream('select * from users order by id', [], { batchSize: 300 })) count++;
    expect(count).toBe(1_000);
    for await (const row of db.stream<{ id: number }>('select generate_series(1, 100000000) as id')) {
      if (row.id === 10) break;
    }
    expect(await db.query('select 1 as x')).toEqual([{ x: 1 }]);
    const failing = (async () => {
      for await (const _row of db.stream('select 1 / (5 - g) as x from generate_series(1, 10) g', [], {
        batchSize: 2,
      }));
    })();
    expect(await codeOf(failing)).toBe('22012');
    expect(await db.query('select 1 as x')).toEqual([{ x: 1 }]);
  });

  it('works through Kysely', async () => {
    const ids: number[] = [];
    for await (const row of test.db.kysely
      .selectFrom('users')
      .select('id')
      .where('id', '<=', 5)
      .orderBy('id')
      .stream(2)) {
      ids.push((row as { id: number }).id);
    }
    expect(ids).toEqual([1, 2, 3, 4, 5]);
  });
});

describe('paginate', () => {
  it('visits every row once, with nulls and microseconds, in either direction', async () => {
    await test.db.query(`create table events (id int primary key, at timestamptz, kind text);
      insert into events select g, case when g % 10 = 0 then null else timestamptz '2026-01-01' + (g % 7) * interval '1 microsecond' end, 'k' || g % 2 from generate_series(1, 200) g`);
    for (const orderBy of [['at'], ['-at'], ['-at', 'id'], ['kind', '-at']] as const) {
      const seen: number[] = [];
      let after: string | undefined;
      do {
        const page = await test.db.paginate('events', { orderBy, pageSize: 17, after });
        seen.push(...page.rows.map(({ id }) => id as number));
        after = page.next;
      } while (after !== undefined);
      expect(new Set(seen).size).toBe(200);
      expect(seen.length).toBe(200);
    }
  });

  it('refuses names that are not there and cursors of another order', async () => {
    expect(await codeOf(test.db.paginate('events', { where: { nokind: 'x' } }))).toBe(
      'HOTPATH_PG_UNKNOWN_NAME',
    );
    expect(await codeOf(test.db.paginate('events', { where: { kind: undefined } }))).toBe(
      'HOTPATH_PG_UNKNOWN_NAME',
    );
    const { next } = await test.db.paginate('events', { orderBy: ['at'], pageSize: 5 });
    expect(await codeOf(test.db.paginate('events', { orderBy: ['-at'], after: next }))).toBe(
      'HOTPATH_PG_BAD_CURSOR',
    );
    expect(await codeOf(test.db.paginate('events', { after: 'rubbish' }))).toBe('HOTPATH_PG_BAD_CURSOR');
    expect(
      (await test.db.paginate('events', { where: { kind: 'k1' }, pageSize: 3 })).rows.map(({ id }) => id),
    ).toEqual([1, 3, 5]);
  });
});

describe('explain', () => {
  it('runs what reads, only plans what writes, and never changes a row', async () => {
    const read = await test.db.explain('select * from users where id = $1', [1]);
    expect(read).toMatchObject({ analyzed: true, indexes: ['users_pkey'] });
    const before = await test.db.query('select sum(balance) as sum from users');
    for (const text of [
      'update users set balance = 0',
      'delete from users',
      'with d as (delete from users returning 1) select * from d',
      'insert into users select 5000, $$x$$',
    ]) {
      expect((await test.db.explain(text)).analyzed).toBe(false);
    }
    await expect(test.db.explain('select 1; delete from users')).rejects.toMatchObject({ code: '42601' });
    await expect(test.db.explain('commit; delete from users')).rejects.toMatchObject({ code: '42601' });
    expect(await test.db.query('select sum(balance) as sum from users')).toEqual(before);
  });

  it('has one hash for plans of one shape', async () => {
    const hashes = await Promise.all(
      [1, 2].map((id) => test.db.explain('select * from users where id = $1', [id])),
    );
    expect(hashes[0]!.planHash).toBe(hashes[1]!.planHash);
    expect((await test.db.explain('select * from users')).planHash).not.toBe(hashes[0]!.planHash);
  });
});

describe('monitoring', () => {
  it('counts calls, rows and errors by query text', async () => {
    const db = test.connect();
    for (let i = 0; i < 3; i++) await db.query('select * from users where id <= $1', [4]);
    await db.query('select 1 / $1::int as x', [0]).catch(() => {});
    const { queries } = db.stats();
    expect(queries.find(({ text }) => text.includes('id <='))).toMatchObject({
      calls: 3,
      rows: 12,
      errors: 0,
      latency: { count: 3 },
    });
    expect(queries.find(({ text }) => text.includes('1 / $1'))).toMatchObject({ calls: 0, errors: 1 });
  });

  it('publishes slow queries, explained by sample, and a plan that changed', async () => {
    const db = test.connect({ slowQueryMs: 0, explainSampleRatio: 1 });
    const slow = new Promise<SlowQueryEvent>((resolve) => {
      channel('hotpath:postgres:slow-query').subscribe((event) => {
        if ((event as SlowQueryEvent).text.includes('planned')) resolve(event as SlowQueryEvent);
      });
    });
    const changed = new Promise((resolve) => channel('hotpath:postgres:plan-change').subscribe(resolve));
    await test.db.query(
      'create table planned (id int); insert into planned select generate_series(1, 20000); analyze planned',
    );
    const read = () => db.query('select * from planned where id = $1', [5]);
    await read();
    expect((await slow).explanation).toMatchObject({ analyzed: true });
    await test.db.query('create index on planned (id); analyze planned');
    const asking = setInterval(() => void read(), 20);
    expect(await changed).toMatchObject({ text: 'select * from planned where id = $1' });
    clearInterval(asking);
  });

  it('names the call site that repeats a query', async () => {
    const db = test.connect({ detectNPlusOne: { threshold: 5, windowMs: 5_000 } });
    const found = new Promise<NPlusOneEvent>((resolve) =>
      channel('hotpath:postgres:n-plus-one').subscribe((event) => resolve(event as NPlusOneEvent)),
    );
    for (let id = 1; id <= 5; id++) await db.query('select name from users where id = $1', [id]);
    expect(await found).toMatchObject({
      text: 'select name from users where id = $1',
      count: 5,
      site: expect.stringContaining('query.test.ts'),
    });
  });
});

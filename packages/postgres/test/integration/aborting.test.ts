import { type FaultProxy, startFaultProxy } from '@hotpath/testkit';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPool, type Postgres } from '../../src/index.ts';
import { startDatabase, type TestDatabase } from './database.ts';

let test: TestDatabase;
let proxy: FaultProxy;

beforeAll(async () => {
  test = await startDatabase();
  proxy = await startFaultProxy({ port: test.server.port });
  await test.db.query(`create table parents (id int primary key, name text not null);
    insert into parents select g, 'parent ' || g from generate_series(1, 20) g;
    create table children (id int primary key, parent_id int, name text);
    insert into children select g, g % 20 + 1, 'child ' || g from generate_series(1, 60) g;
    create table written (id int primary key, name text default 'none')`);
});
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await proxy.close();
});

/** What a busy machine needs until it comes to what is due at once. */
const SLACK_MS = 1_000;

const rows = (count: number) => Array.from({ length: count }, (_, id) => ({ id, name: `n${id}` }));
const many = rows(2_000);

type Call = (db: Postgres, signal: AbortSignal) => Promise<unknown>;

async function drain(source: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _row of source) count++;
  return count;
}

/** Every call that takes a signal and goes through the pool. */
const calls: Record<string, Call> = {
  query: (db, signal) => db.query('select name from parents where id = $1', [1], { signal }),
  'query of several statements': (db, signal) => db.query('select 1; select 2', [], { signal }),
  'kysely execute': (db, signal) => db.kysely.selectFrom('parents').selectAll().execute({ signal }),
  'kysely execute, cancelled': (db, signal) =>
    db.kysely
      .selectFrom('parents')
      .selectAll()
      .execute({ signal, inflightQueryAbortStrategy: 'cancel query' }),
  'kysely stream': (db, signal) =>
    drain(db.kysely.selectFrom('children').selectAll().stream({ chunkSize: 20, signal })),
  'kysely transaction': (db, signal) =>
    db.kysely.transaction().execute((inner) => sql`select 1`.execute(inner, { signal })),
  transaction: (db, signal) =>
    db.transaction(
      async (transaction) => {
        await transaction.query('insert into written values (1)');
        await transaction.query('insert into written values (2)');
      },
      { signal },
    ),
  'a query of a transaction': (db, signal) =>
    db.transaction((transaction) => transaction.query('select 1', [], { signal })),
  'a savepoint': (db, signal) =>
    db.transaction(
      (transaction) => transaction.transaction((inner) => inner.query('insert into written values (1)')),
      { signal },
    ),
  batch: (db, signal) =>
    db.batch([{ text: 'insert into written values (1)' }, { text: 'insert into written values (2)' }], {
      signal,
    }),
  'batch of single statements': (db, signal) =>
    db.batch([{ text: 'select 1' }, { text: 'select 2' }], { atomic: false, signal }),
  load: (db, signal) => db.loader('parents', 'id').load(1, { signal }),
  loadMany: (db, signal) => db.loader('parents', ['id', 'name']).loadMany([[1, 'parent 1']], { signal }),
  selectIn: (db, signal) =>
    db.selectIn(
      [{ id: 1 }, { id: 2 }],
      {
        table: 'children',
        as: 'children',
        foreignKey: 'parent_id',
        with: [{ table: 'parents', as: 'parent', foreignKey: 'id', parentKey: 'parent_id', one: true }],
      },
      { signal },
    ),
  'insertMany by arrays': (db, signal) => db.insertMany('written', many.slice(0, 5), { signal }),
  'insertMany by COPY': (db, signal) => db.insertMany('written', many, { signal }),
  'insertMany of defaults': (db, signal) => db.insertMany('children', [{ id: 900 }, {}], { signal }),
  'upsertMany by arrays': (db, signal) => db.upsertMany('written', many, { signal }),
  'upsertMany of different shapes': (db, signal) =>
    db.upsertMany('written', [...many, { id: -1 }], { signal }),
  'upsertMany by a temporary table': (db, signal) => db.upsertMany('written', rows(20_000), { signal }),
  stream: (db, signal) => drain(db.stream('select * from children', [], { batchSize: 20, signal })),
  paginate: (db, signal) => db.paginate('parents', { pageSize: 5, signal }),
  explain: (db, signal) => db.explain('select * from parents', [], { signal }),
  'explain of a write': (db, signal) => db.explain('delete from parents', [], { signal }),
  'readonly.query': (db, signal) => db.readonly.query('select 1', [], { signal }),
  writeToken: (db, signal) => db.writeToken({ signal }),
  'withVariables query': (db, signal) =>
    db.withVariables({ 'app.tenant': 'x' }).query('select 1', [], { signal }),
  'withVariables transaction': (db, signal) =>
    db
      .withVariables({ 'app.tenant': 'x' })
      .transaction((transaction) => transaction.query('select 1'), { signal }),
  'withVariables query behind a pooler': (db, signal) =>
    db.withVariables({ 'app.tenant': 'x' }).query('select 1', [], { signal }),
  'a query of a transaction that has a signal': (db, signal) =>
    db.transaction(
      (transaction) => transaction.query('select 1', [], { timeoutMs: 5_000, signal: undefined }),
      { signal },
    ),
  'withVariables kysely': (db, signal) =>
    db.withVariables({ 'app.tenant': 'x' }).kysely.selectFrom('parents').selectAll().execute({ signal }),
};

/** Those whose signal is for a statement within: they have a connection by then. */
const within = new Set(['a query of a transaction', 'kysely transaction']);

const connect = (max: number, name: string): Postgres =>
  test.connect({
    connectionString: test.server.connectionString.replace(String(test.server.port), String(proxy.port)),
    pool: { max, validateAfterMs: 60_000 },
    pooler: name.endsWith('behind a pooler') ? 'transaction' : undefined,
  });

/** Every connection answers its own question, has nothing open and nothing left over. */
async function expectClean(db: Postgres, max: number): Promise<void> {
  await expect.poll(() => db.stats().pool.busy, { timeout: 5_000 }).toBe(0);
  const asked = Array.from({ length: max * 3 }, (_, i) =>
    db.query(
      `select $1::int as i, coalesce(current_setting('app.tenant', true), '') as tenant, pg_sleep(0.001),
        pg_current_xact_id_if_assigned() is null as "isFresh"`,
      [i],
    ),
  );
  const answers = (await Promise.all(asked)).flat();
  expect(answers).toEqual(asked.map((_, i) => expect.objectContaining({ i, tenant: '', isFresh: true })));
  expect(db.stats().pool).toMatchObject({ waiting: 0, busy: 0, openTransactions: 0 });
  expect(db.stats().pool.total).toBeLessThanOrEqual(max);
}

describe('a signal', () => {
  it.each(Object.keys(calls))('that has fired already keeps %s from asking for anything', async (name) => {
    const db = connect(1, name);
    const reason = new Error('too late');
    await expect(calls[name]!(db, AbortSignal.abort(reason))).rejects.toBe(reason);
    if (within.has(name)) return expectClean(db, 1);
    expect(db.stats().pool).toMatchObject({ acquired: 0, total: 0, waiting: 0 });
  });

  it.each(Object.keys(calls))(
    'takes %s out of the queue at once, and the next one is served',
    async (name) => {
      const db = connect(1, name);
      // Before the transaction: it may still be begun when it is to end.
      let release!: () => void;
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      const held = db.transaction(() => released);
      await expect.poll(() => db.stats().pool.busy).toBe(1);
      const reason = new Error('no longer wanted');
      const controller = new AbortController();
      const startedAt = performance.now();
      const asked = calls[name]!(db, controller.signal).then(
        () => expect.fail('it went on'),
        (error) => error,
      );
      const next = db.query('select 7 as x');
      if (!within.has(name)) {
        await expect.poll(() => db.stats().pool.waiting).toBe(2);
        controller.abort(reason);
        expect(await asked).toBe(reason);
        expect(performance.now() - startedAt).toBeLessThan(SLACK_MS);
      } else controller.abort(reason);
      release();
      await held;
      if (within.has(name)) expect(await asked).toBe(reason);
      expect(await next).toEqual([{ x: 7 }]);
      await expectClean(db, 1);
    },
  );

  it.each(Object.keys(calls))(
    'ends %s wherever it is: at once, with nothing or all of it done, and connections as good as new',
    async (name) => {
      await proxy.setFault({ kind: 'delay', delayMs: 2 });
      const db = connect(2, name);
      await Promise.all([db.query('select pg_sleep(0.02)'), db.query('select pg_sleep(0.02)')]);
      let wasWhole = false;
      for (let afterMs = 1; !wasWhole; afterMs += Math.max(3, afterMs / 5)) {
        await test.db.query('truncate written; delete from children where id = 900');
        const controller = new AbortController();
        const reason = new Error(`after ${afterMs} ms`);
        const asked = calls[name]!(db, controller.signal).then(
          () => undefined,
          (error) => error,
        );
        await new Promise((resolve) => setTimeout(resolve, afterMs));
        const abortedAt = performance.now();
        controller.abort(reason);
        const error = await asked;
        expect(performance.now() - abortedAt).toBeLessThan(SLACK_MS);
        // A row without an id, which can not be: its own failure comes when the signal does not.
        wasWhole = error === undefined || error.code === '23502';
        if (!wasWhole) expect(error).toBe(reason);
        await expect.poll(() => db.stats().pool.busy, { timeout: 5_000 }).toBe(0);
        const [found] = await test.db.query<{ n: number }>('select count(*)::int as n from written');
        expect([0, 1, 2, 5, 2_000, 2_001, 20_000]).toContain(found!.n);
        if (wasWhole) break;
      }
      await expectClean(db, 2);
      await proxy.setFault();
      await db.close();
    },
  );
});

describe('a signal of what has sessions of its own', () => {
  const definition = { name: 'parents_by_name', table: 'parents', keys: ['name'] };
  const own: Record<string, Call> = {
    listen: (db, signal) => db.listen('news', { onNotification: () => {}, signal }),
    'indexes.plan': (db, signal) => db.indexes.plan([definition], { signal }),
    'indexes.apply': (db, signal) => db.indexes.apply([definition], { signal }),
    'indexes.report': (db, signal) => db.indexes.report([definition], { signal }),
  };
  const sessions = () =>
    test.db.query("select query from pg_stat_activity where application_name = 'aborting'");
  const connectOwn = () =>
    test.connect({
      connectionString: test.server.connectionString.replace(String(test.server.port), String(proxy.port)),
      client: { application_name: 'aborting' },
    });

  it.each(Object.keys(own))(
    'ends %s: before it begins, while it connects and wherever it is',
    async (name) => {
      const db = connectOwn();
      const reason = new Error('no longer wanted');
      const accepted = proxy.accepted;
      await expect(own[name]!(db, AbortSignal.abort(reason))).rejects.toBe(reason);
      expect(proxy.accepted).toBe(accepted);
      await proxy.setFault({ kind: 'blackHole' });
      const controller = new AbortController();
      const connecting = own[name]!(db, controller.signal);
      connecting.catch(() => {});
      await expect.poll(() => proxy.accepted).toBe(accepted + 1);
      controller.abort(reason);
      const startedAt = performance.now();
      await expect(connecting).rejects.toBe(reason);
      expect(performance.now() - startedAt).toBeLessThan(SLACK_MS);
      await proxy.setFault({ kind: 'delay', delayMs: 2 });
      for (let afterMs = 10; ; afterMs += 10) {
        const later = new AbortController();
        const asked = own[name]!(db, later.signal).then(
          () => undefined,
          (error) => error,
        );
        await new Promise((resolve) => setTimeout(resolve, afterMs));
        later.abort(reason);
        const error = await asked;
        if (error === undefined) break;
        expect(error).toBe(reason);
        await test.db.query('drop index if exists parents_by_name');
      }
      await proxy.setFault();
      await expect.poll(sessions, { timeout: 5_000 }).toEqual([]);
      await test.db.indexes.apply([definition]);
      expect((await test.db.indexes.plan([definition])).isSettled).toBe(true);
      await test.db.query('drop index parents_by_name');
    },
  );

  it('closes a subscription that was made, and no other one of its channel', async () => {
    const db = connectOwn();
    const heard: string[] = [];
    const controller = new AbortController();
    await db.listen('news', { onNotification: () => heard.push('first'), signal: controller.signal });
    const other = await db.listen('news', { onNotification: () => heard.push('second') });
    await test.db.query("notify news, 'a'");
    await expect.poll(() => heard).toEqual(['first', 'second']);
    controller.abort();
    await test.db.query("notify news, 'b'");
    await expect.poll(() => heard).toEqual(['first', 'second', 'second']);
    await other.close();
    await expect.poll(sessions).toEqual([]);
  });
});

describe('a signal of createPool().acquire', () => {
  it('is heeded before, while it waits, and is nothing to it once it has its client', async () => {
    const pool = createPool({ connectionString: test.server.connectionString, max: 1 });
    const reason = new Error('no longer wanted');
    await expect(pool.acquire({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(pool.totalCount).toBe(0);
    const controller = new AbortController();
    const client = await pool.acquire({ signal: controller.signal });
    const waiting = new AbortController();
    const queued = pool.acquire({ signal: waiting.signal });
    queued.catch(() => {});
    const next = pool.acquire();
    expect(pool.waitingCount).toBe(2);
    waiting.abort(reason);
    controller.abort();
    await expect(queued).rejects.toBe(reason);
    expect((await client.query('select 1 as x')).rows).toEqual([{ x: 1 }]);
    client.release();
    const served = await next;
    expect((await served.query('select 2 as x')).rows).toEqual([{ x: 2 }]);
    served.release();
    await pool.end();
  });
});

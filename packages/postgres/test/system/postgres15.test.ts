import { afterAll, beforeAll, expect, it } from 'vitest';
import { createPostgres, governanceIndexes, type Postgres } from '../../src/index.ts';
import { GOVERNANCE_QUERIES, GOVERNANCE_SCHEMA } from '../integration/governance-schema.ts';
import { type SystemServer, startPostgres15 } from './servers.ts';

const HASH = 'cdd01ef066bc6cf2';
let server: SystemServer;
let db: Postgres;

beforeAll(async () => {
  server = await startPostgres15();
  db = createPostgres({ connectionString: server.connectionString });
}, 60_000);
afterAll(async () => {
  await db.close();
  await server[Symbol.asyncDispose]();
});

it('a named statement works again after ALTER TABLE', async () => {
  await db.query("create table shifting (id int, a text); insert into shifting values (1, 'x')");
  for (let i = 0; i < 30; i++) await db.query('select * from shifting where id = $1', [1]);
  await db.query('alter table shifting add column b int default 7');
  const again = await Promise.all(
    Array.from({ length: 30 }, () => db.query('select * from shifting where id = $1', [1])),
  );
  expect(new Set(again.map((rows) => JSON.stringify(rows)))).toEqual(new Set(['[{"id":1,"a":"x","b":7}]']));
});

it('the seven indexes are created, valid and used, and a second apply changes nothing', {
  timeout: 120_000,
}, async () => {
  await db.query(GOVERNANCE_SCHEMA(100_000), [], { timeoutMs: 60_000 });
  const declared = governanceIndexes(HASH);
  const results = await Promise.all(Array.from({ length: 4 }, () => db.indexes.apply(declared)));
  expect(results.map(({ done }) => done.length).sort()).toEqual([0, 0, 0, 7]);
  await db.query('analyze');
  for (const [name, text] of Object.entries(GOVERNANCE_QUERIES(HASH))) {
    expect((await db.explain(text)).indexes, name).toContain(name);
  }
  expect((await db.indexes.apply(declared)).done).toEqual([]);
  expect((await db.indexes.report(declared)).invalid).toEqual([]);
});

it('bulk writes count what they did', async () => {
  await db.query('create table items (id int primary key, name text)');
  const rows = Array.from({ length: 10_000 }, (_, id) => ({ id, name: `n${id}` }));
  expect(await db.insertMany('items', rows)).toBe(10_000);
  expect(
    await db.upsertMany(
      'items',
      rows.map((row) => ({ ...row, name: row.id < 5 ? 'x' : row.name })),
    ),
  ).toEqual({ inserted: 0, updated: 5, unchanged: 9_995 });
});

it('a pipelined COMMIT after a failure is an error, and a batch is all or nothing', async () => {
  await db.query('create table piped (id int primary key)');
  const queries = ['begin', 'insert into piped values (1)', 'select 1 / 0', 'commit'].map((text) => ({
    text,
  }));
  const alone = await db.batch(queries, { atomic: false });
  expect(alone.map(({ status }) => status)).toEqual(['ok', 'ok', 'error', 'error']);
  expect(alone[3]).toMatchObject({ error: { code: 'HOTPATH_PG_ROLLED_BACK' } });
  await expect(db.batch(queries.slice(1, 3))).rejects.toMatchObject({ code: '22012' });
  expect(await db.query('select * from piped')).toEqual([]);
});

it('a unique build that finds duplicates leaves nothing that refuses rows', async () => {
  await db.query('create table twice (a int); insert into twice values (1), (1)');
  const unique = { name: 'twice_once', table: 'twice', keys: ['a'], unique: true };
  await expect(db.indexes.apply([unique])).rejects.toMatchObject({ code: 'HOTPATH_PG_INDEX_FAILED' });
  await expect(db.query('create unique index concurrently twice_once on twice (a)')).rejects.toThrow();
  expect((await db.indexes.plan([unique])).items).toMatchObject([{ action: 'rebuild' }]);
  await db.query('delete from twice where ctid = (select min(ctid) from twice)');
  await db.indexes.apply([unique]);
  expect((await db.indexes.plan([unique])).isSettled).toBe(true);
});

it('explain of a write leaves the table as it was', async () => {
  await db.query("create table kept (id int primary key, name text); insert into kept values (1, 'a')");
  expect((await db.explain('update kept set name = $1', ['b'])).analyzed).toBe(false);
  expect((await db.explain('select * from kept')).analyzed).toBe(true);
  expect(await db.query('select name from kept')).toEqual([{ name: 'a' }]);
});

it("a stream outlives the server's limit for a statement, and no batch of it does", async () => {
  const limited = createPostgres({
    connectionString: server.connectionString,
    statementTimeoutMs: 300,
    pool: { max: 1 },
  });
  let count = 0;
  const slow = 'select n, pg_sleep($1::float8) from generate_series(1, 30) n';
  for await (const _row of limited.stream(slow, [0.02], { batchSize: 5 })) count++;
  expect(count).toBe(30);
  const failing = limited.stream(slow, [0.1], { batchSize: 5 });
  await expect(failing.next()).rejects.toMatchObject({ code: '57014' });
  expect(await limited.query('select pg_current_xact_id_if_assigned() as xid')).toEqual([{ xid: null }]);
  expect(limited.stats().pool).toMatchObject({ total: 1, openTransactions: 0 });
  await limited.close();
});

it('loaders, relations, keys of several forms, deadlines, transactions and listeners work', async () => {
  await db.query(`create table people (id int primary key, born date unique, name text);
    create table pets (id int primary key, owner int, name text)`);
  const people = [
    { id: 1, born: '2001-02-03', name: 'a' },
    { id: 2, born: '2001-2-3' },
  ];
  expect(await db.upsertMany('people', people, { key: ['born'] })).toMatchObject({
    inserted: 1,
    unchanged: 1,
  });
  await db.insertMany('pets', [
    { id: 1, owner: 2, name: 'rex' },
    { id: 2, owner: 2 },
  ]);
  expect(await db.loader('people', 'id').loadMany([2, 1])).toMatchObject([{ id: 2, name: null }, null]);
  const relation = { table: 'pets', as: 'pets', foreignKey: 'owner', orderBy: ['-id'], limit: 1 };
  expect(await db.selectIn([{ id: 2 }], relation)).toMatchObject([{ pets: [{ id: 2 }] }]);
  await expect(db.query('select pg_sleep(5)', [], { timeoutMs: 100 })).rejects.toMatchObject({
    code: 'HOTPATH_PG_QUERY_TIMEOUT',
  });
  const heard: string[] = [];
  const heardOf = await db.listen('news', { onNotification: ({ payload }) => heard.push(payload) });
  await db.transaction(async (transaction) => {
    await transaction.query("notify news, 'told'");
    await transaction.transaction((inner) => inner.query('select 1 / 0')).catch(() => {});
    await transaction.query("update people set name = 'b'");
  });
  await expect.poll(() => heard).toEqual(['told']);
  await heardOf.close();
  const bound = db.withVariables({ 'app.tenant': 7 });
  expect(await bound.query("select current_setting('app.tenant') as t")).toEqual([{ t: '7' }]);
});

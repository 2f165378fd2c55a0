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

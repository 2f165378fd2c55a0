// Uses the lowest versions of pg and kysely that the package says it works with.
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier.replace(/^(pg|kysely)(?=$|\/)/, '$1-lowest'), context),
});

const { createPool, createPostgres } = await import('../../src/index.ts');
const manifest = new URL('../../node_modules/pg-lowest/package.json', import.meta.url);
const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
const [connectionString] = process.argv.slice(2) as [string];

const db = createPostgres({ connectionString, pool: { max: 2 } });
await db.query('create table items (id int primary key, name text)');
const rows = Array.from({ length: 3_000 }, (_, id) => ({ id, name: `n${id}` }));
assert.equal(await db.insertMany('items', rows), 3_000);
assert.deepEqual(await db.upsertMany('items', rows), { inserted: 0, updated: 0, unchanged: 3_000 });
const read = () => db.query('select * from items where id = $1', [7]);
for (let i = 0; i < 3; i++) assert.deepEqual(await read(), [{ id: 7, name: 'n7' }]);
await db.query('alter table items add column more int default 5');
assert.deepEqual(await read(), [{ id: 7, name: 'n7', more: 5 }]);
assert.deepEqual(await db.loader('items', 'id', { columns: ['name'] }).loadMany([1, -1]), [
  { name: 'n1' },
  null,
]);
const one = db.kysely.selectFrom('items').select('name').where('id', '=', 3);
for (let i = 0; i < 3; i++) assert.deepEqual(await one.execute(), [{ name: 'n3' }]);
await db.kysely.transaction().execute(async (transaction) => {
  await transaction.updateTable('items').set({ name: 'k' }).where('id', '=', 3).execute();
});
const streamed: unknown[] = [];
for await (const row of db.kysely
  .selectFrom('items')
  .select('id')
  .where('id', '<', 3)
  .orderBy('id')
  .stream(2))
  streamed.push(row);
assert.deepEqual(streamed, [{ id: 0 }, { id: 1 }, { id: 2 }]);
await db.transaction(async (transaction) => {
  assert.deepEqual(
    await transaction.kysely.selectFrom('items').select('name').where('id', '=', 3).execute(),
    [{ name: 'k' }],
  );
});
await assert.rejects(
  db.kysely.transaction().execute(async (transaction) => {
    await transaction
      .selectFrom('nowhere')
      .selectAll()
      .execute()
      .catch(() => {});
  }),
  { code: 'HOTPATH_PG_ROLLED_BACK' },
);
await assert.rejects(db.batch([{ text: 'begin' }, { text: 'select 1 / 0' }, { text: 'commit' }]), {
  code: '22012',
});
await assert.rejects(db.query('select pg_sleep(30)', [], { timeoutMs: 50 }), {
  code: 'HOTPATH_PG_QUERY_TIMEOUT',
});
assert.equal(
  (await db.indexes.apply([{ name: 'items_name', table: 'items', keys: ['name'] }])).done.length,
  1,
);
const heard = new Promise((resolve) => {
  void db
    .listen('news', { onNotification: ({ payload }) => resolve(payload) })
    .then(() => db.query("select pg_notify('news', 'x')"));
});
assert.equal(await heard, 'x');
let count = 0;
for await (const _row of db.stream('select * from items')) count++;
assert.equal(count, 3_000);
await db.close();

const pool = createPool({ connectionString, max: 2 });
for (let i = 0; i < 3; i++) assert.deepEqual((await pool.query('select $1::int as x', [i])).rows, [{ x: i }]);
const client = await pool.connect();
assert.deepEqual((await client.query({ text: 'select 1 as x', rowMode: 'array' })).rows, [[1]]);
client.release();
await assert.rejects(pool.query('select * from nowhere'), { code: '42P01' });
await pool.end();
process.send?.({ version });
process.disconnect?.();

import { channel } from 'node:diagnostics_channel';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Postgres } from '../../src/index.ts';
import { codeOf, startDatabase, type TestDatabase } from './database.ts';

let test: TestDatabase;
beforeAll(async () => {
  test = await startDatabase();
  await test.db.query(`create table numbers (n int primary key);
    create table orders (id int primary key, number int references numbers (n) deferrable initially deferred)`);
});
afterAll(() => test[Symbol.asyncDispose]());

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const LIMIT_MS = 300;

async function read(rows: AsyncIterable<{ n?: number }>, eachMs = 0): Promise<number[]> {
  const seen: number[] = [];
  for await (const { n } of rows) {
    seen.push(n!);
    if (eachMs > 0) await pause(eachMs);
  }
  return seen;
}

/** One connection, which is as good as new. */
async function expectClean(db: Postgres): Promise<void> {
  await expect.poll(() => db.stats().pool.busy).toBe(0);
  expect(await db.query('select 1 as x, pg_current_xact_id_if_assigned() as xid')).toEqual([
    { x: 1, xid: null },
  ]);
  expect(db.stats().pool).toMatchObject({ openTransactions: 0, total: 1 });
}

describe("the server's limits for a stream", () => {
  const connect = () =>
    test.connect({
      statementTimeoutMs: LIMIT_MS,
      idleInTransactionTimeoutMs: 2 * LIMIT_MS,
      pool: { max: 1 },
    });

  it('count for each batch: neither their sum nor the time of the reader ends it', async () => {
    const db = connect();
    const slow = 'select n, pg_sleep(0.02) from generate_series(1, 40) n';
    expect(await read(db.stream(slow, [], { batchSize: 5 }))).toHaveLength(40);
    const quick = 'select n from generate_series(1, 6) n';
    expect(await read(db.stream(quick, [], { batchSize: 2 }), LIMIT_MS / 2)).toHaveLength(6);
    await expectClean(db);
  });

  it('end a batch that takes longer, and give back the rows before it', async () => {
    const db = connect();
    const seen: number[] = [];
    const text = `select n, pg_sleep(case when n > 20 then 0.2 else 0 end) from generate_series(1, 40) n`;
    const streamed = (async () => {
      for await (const { n } of db.stream<{ n: number }>(text, [], { batchSize: 10 })) seen.push(n);
    })();
    expect(await codeOf(streamed)).toBe('57014');
    expect(seen).toHaveLength(20);
    await expectClean(db);
  });

  it('end one whose reader pauses for longer than a transaction may idle', async () => {
    const db = connect();
    const rows = db.stream<{ n: number }>('select n from generate_series(1, 40) n', [], { batchSize: 10 });
    const streamed = (async () => {
      for await (const { n } of rows) if (n === 10) await pause(4 * LIMIT_MS);
    })();
    expect(await codeOf(streamed)).toBe('HOTPATH_PG_CONNECTION_LOST');
    await expectClean(db);
  });
});

describe('a stream', () => {
  it('of a statement that writes commits, also when its reader leaves early', async () => {
    const db = test.connect({ pool: { max: 1 } });
    const text = 'insert into numbers select g from generate_series($1::int, $1::int + 9) g returning n';
    expect(await read(db.stream(text, [1], { batchSize: 3 }))).toHaveLength(10);
    for await (const _row of db.stream(text, [11], { batchSize: 3 })) break;
    await expect.poll(() => test.db.query('select count(*)::int as n from numbers')).toEqual([{ n: 20 }]);
    await expectClean(db);
  });

  it('whose COMMIT is refused says so, and nothing of it stays', async () => {
    const db = test.connect({ pool: { max: 1 } });
    const rows = db.stream('insert into orders select g, 99 from generate_series(1, 5) g returning id as n');
    expect(await codeOf(read(rows))).toBe('23503');
    expect(await test.db.query('select * from orders')).toEqual([]);
    await expectClean(db);
  });

  it('within a transaction of Kysely leaves it open, and its failure to whom it belongs', async () => {
    const db = test.connect({ pool: { max: 1 } });
    await db.kysely.transaction().execute(async (transaction) => {
      const ids: unknown[] = [];
      for await (const row of transaction.insertInto('numbers').values({ n: 100 }).returning('n').stream()) {
        ids.push(row.n);
      }
      for await (const row of transaction.selectFrom('numbers').select('n').stream({ chunkSize: 2 })) {
        ids.push(row.n);
      }
      expect(ids).toHaveLength(22);
      await transaction.insertInto('numbers').values({ n: 101 }).execute();
    });
    const failed = db.kysely.transaction().execute(async (transaction) => {
      await transaction.insertInto('numbers').values({ n: 102 }).execute();
      for await (const _row of transaction.insertInto('numbers').values({ n: 1 }).returning('n').stream());
    });
    expect(await codeOf(failed)).toBe('23505');
    expect(await test.db.query('select n from numbers where n >= 100 order by n')).toEqual([
      { n: 100 },
      { n: 101 },
    ]);
    await expectClean(db);
  });

  it('that fails before its first row, or can not be sent, costs no connection', async () => {
    const db = test.connect({ pool: { max: 1 } });
    expect(await codeOf(read(db.stream('select nothing')))).toBe('42703');
    expect(await codeOf(read(db.stream('selct 1')))).toBe('42601');
    expect(await codeOf(read(db.stream('select 1 / 0 as n')))).toBe('22012');
    const circle: { self?: unknown } = {};
    circle.self = circle;
    await expect(read(db.stream('select $1::text as n', [circle]))).rejects.toThrow('circular');
    await expect(read(db.stream('select 1\0'))).rejects.toThrow('NUL');
    await expect(read(db.stream(5 as never))).rejects.toThrow('the text must be a string');
    await expect(read(db.stream('select 1', 'x' as never))).rejects.toThrow('the values must be an array');
    expect(await read(db.stream(''))).toEqual([]);
    await expectClean(db);
  });

  it('left at any row gives its connection back, without a word of a leak', async () => {
    const left: unknown[] = [];
    const onLeft = (event: unknown): void => void left.push(event);
    channel('hotpath:postgres:open-transaction').subscribe(onLeft);
    const db = test.connect({ pool: { max: 1 } });
    for (let stop = 1; stop <= 12; stop++) {
      let seen = 0;
      for await (const _row of db.stream('select generate_series(1, 10) as n', [], { batchSize: 3 }))
        if (++seen === stop) break;
      expect(await db.query('select $1::int as x', [stop])).toEqual([{ x: stop }]);
    }
    channel('hotpath:postgres:open-transaction').unsubscribe(onLeft);
    expect(left).toEqual([]);
    await expectClean(db);
  });
});

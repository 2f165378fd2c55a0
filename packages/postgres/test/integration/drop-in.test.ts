import { drizzle } from 'drizzle-orm/node-postgres';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import Cursor from 'pg-cursor';
import QueryStream from 'pg-query-stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type CreatePoolOptions, createPool, type Pool } from '../../src/index.ts';
import { startDatabase, type TestDatabase } from './database.ts';

/** What a busy machine needs for a hundred answers. */
const BUSY_MS = 15_000;
let test: TestDatabase;
const pools: Pool[] = [];
const open = (options: CreatePoolOptions = {}): Pool => {
  const pool = createPool({ connectionString: test.server.connectionString, ...options });
  pools.push(pool);
  return pool;
};

beforeAll(async () => {
  test = await startDatabase();
});
afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.close())));
afterAll(() => test[Symbol.asyncDispose]());

describe('end', () => {
  it('lets those finish who have asked already, and refuses who asks later', async () => {
    const pool = open({ max: 2 });
    let done = 0;
    const asked = Array.from({ length: 20 }, (_, i) =>
      pool.query('select $1::int as i, pg_sleep(0.005)', [i]).then(({ rows }) => {
        expect(rows[0].i).toBe(i);
        done++;
      }),
    );
    const ended = pool.end();
    await expect(pool.query('select 1')).rejects.toThrow('Cannot use a pool after calling end on the pool');
    await ended;
    expect(done).toBe(20);
    await Promise.all(asked);
    expect([pool.totalCount, pool.idleCount, pool.waitingCount, pool.ended]).toEqual([0, 0, 0, true]);
  });

  it('resolves when the server has nobody of it left, and waits for a client that is out', async () => {
    const pool = open({ max: 3, application_name: 'ends here' });
    const client = await pool.connect();
    await pool.query('select 1');
    let isEnded = false;
    const ended = pool.end().then(() => {
      isEnded = true;
    });
    expect((await client.query('select 1 as x')).rows).toEqual([{ x: 1 }]);
    expect(isEnded).toBe(false);
    client.release();
    await ended;
    const left = "select pid from pg_stat_activity where application_name = 'ends here'";
    await expect.poll(() => test.db.query(left)).toEqual([]);
    expect(() => client.release()).toThrow('already been released');
  });
});

describe('callbacks', () => {
  it('are called as pg-pool calls them: no error is undefined, and what they throw does not hurt the pool', async () => {
    const pool = open({ max: 1 });
    const given = await new Promise((resolve) =>
      pool.query('select 1 as x', (...args: unknown[]) => resolve(args)),
    );
    expect(given).toMatchObject([undefined, { rows: [{ x: 1 }] }]);
    const failed = await new Promise<unknown[]>((resolve) =>
      pool.query('select * from nowhere', [], (...args: unknown[]) => resolve(args)),
    );
    expect(failed).toMatchObject([{ code: '42P01' }, undefined]);
    const thrown = new Promise((resolve) => process.once('uncaughtException', resolve));
    pool.query('select $1::int as x', [1], () => {
      throw new Error('the caller has a fault');
    });
    expect(await thrown).toMatchObject({ message: 'the caller has a fault' });
    expect((await pool.query('select 2 as x')).rows).toEqual([{ x: 2 }]);
    const client = await pool.connect();
    const thrownAgain = new Promise((resolve) => process.once('uncaughtException', resolve));
    client.query('select $1::int as x', [1], () => {
      throw new Error('and another');
    });
    expect(await thrownAgain).toMatchObject({ message: 'and another' });
    expect((await client.query('select 3 as x')).rows).toEqual([{ x: 3 }]);
    client.release();
  });
});

describe('submittables', () => {
  it('given to the pool itself are handed back at once, and the connection comes back when they have ended', async () => {
    const pool = open({ max: 1 });
    const cursor = pool.query(new Cursor('select generate_series(1, 10) as n'));
    expect(await cursor.read(3)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    expect(pool.idleCount).toBe(0);
    await cursor.close();
    await expect.poll(() => pool.idleCount).toBe(1);
    const seen: number[] = [];
    for await (const row of pool.query(
      new QueryStream('select generate_series(1, 250) as n', [], { batchSize: 50 }),
    ))
      seen.push((row as { n: number }).n);
    expect(seen).toHaveLength(250);
    expect((await pool.query('select 1 as x')).rows).toEqual([{ x: 1 }]);
    const failing = pool.query(new Cursor('select 1 / 0'));
    await expect(failing.read(1)).rejects.toMatchObject({ code: '22012' });
    expect((await pool.query('select 1 as x')).rows).toEqual([{ x: 1 }]);
    expect(pool.stats().opened).toBe(1);
  });

  it('are told when there is no connection for them', async () => {
    // It is the time to connect in as well.
    const pool = open({ max: 1, connectionTimeoutMillis: 1_000 });
    const client = await pool.connect();
    await expect(pool.query(new Cursor('select 1')).read(1)).rejects.toThrow('timeout exceeded');
    client.release();
  });
});

describe('clients', () => {
  it('of an odd class that can do next to nothing fail as they fail, and nothing else', async () => {
    class Odd {
      connect(done: (error: Error) => void): void {
        done(new Error('odd'));
      }
      on(): void {}
    }
    await expect(open({ Client: Odd as never }).connect()).rejects.toThrow('odd');
  });

  it('are logged where a log is given, as they come and go', async () => {
    const lines: string[] = [];
    const pool = open({ max: 1, log: (line: string) => void lines.push(line) } as CreatePoolOptions);
    await pool.query('select 1');
    await pool.end();
    expect(lines).toEqual(['new client connected', 'client removed: closed']);
  });

  it('released while a query still runs give its answer first, to whom it belongs', async () => {
    const pool = open({ max: 1 });
    const client = await pool.connect();
    const late = client.query("select pg_sleep(0.05), 'late' as x");
    client.release();
    expect((await pool.query("select 'next' as x")).rows).toEqual([{ x: 'next' }]);
    expect((await late).rows[0].x).toBe('late');
  });

  it('give what pg gives for a COPY to nobody, an empty text and several statements', async () => {
    const theirs = new pg.Pool({ connectionString: test.server.connectionString, max: 1 });
    const ours = open({ max: 1 });
    for (const text of [
      'copy (select 1) to stdout',
      '',
      ' -- nothing',
      'select 1 as a; select 2 as b',
      'show work_mem',
    ]) {
      const [expected, found] = (await Promise.all([theirs.query(text), ours.query(text)])) as unknown as [
        pg.QueryResult | pg.QueryResult[],
        pg.QueryResult | pg.QueryResult[],
      ];
      const plain = (result: pg.QueryResult | pg.QueryResult[]): unknown =>
        [result].flat().map(({ rows, command, rowCount }) => ({ rows, command, rowCount }));
      expect(plain(found), text).toEqual(plain(expected));
    }
    await theirs.end();
  });
});

describe('under Kysely, Drizzle and by hand, with many callers', () => {
  interface Callers {
    /** Ends them; resolves when the last call of each has settled. */
    stop(): Promise<{ readonly answered: number; readonly errors: unknown[] }>;
    readonly answered: () => number;
  }

  function start(pool: Pool): Callers {
    const kysely = new Kysely<{ shifting: { id: number } }>({ dialect: new PostgresDialect({ pool }) });
    const orm = drizzle(pool);
    const asks: ((id: number) => Promise<unknown>)[] = [
      (id) => kysely.selectFrom('shifting').selectAll().where('id', '=', id).executeTakeFirst(),
      async (id) => (await orm.execute(`select * from shifting where id = ${id}`)).rows[0],
      async (id) => (await pool.query('select * from shifting where id = $1', [id])).rows[0],
      (id) =>
        kysely
          .transaction()
          .execute((inner) =>
            inner.selectFrom('shifting').selectAll().where('id', '=', id).executeTakeFirst(),
          ),
    ];
    let isOver = false;
    let answered = 0;
    const errors: unknown[] = [];
    const callers = Array.from({ length: 16 }, async (_, i) => {
      for (let id = 1; !isOver; id = (id % 10) + 1) {
        try {
          expect(await asks[i % asks.length]!(id)).toMatchObject({ id });
          answered++;
        } catch (error) {
          errors.push(error);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }
    });
    return {
      answered: () => answered,
      async stop() {
        isOver = true;
        await Promise.all(callers);
        return { answered, errors };
      },
    };
  }

  it('goes on through changes of the schema without an error outside of transactions', async () => {
    const admin = open({ max: 1 });
    await admin.query('create table shifting (id int); insert into shifting select generate_series(1, 10)');
    const callers = start(open({ max: 4 }));
    for (let i = 0; i < 10; i++) {
      const before = callers.answered();
      await expect.poll(callers.answered, { timeout: BUSY_MS }).toBeGreaterThan(before + 50);
      await admin.query(
        i % 2 === 0
          ? `alter table shifting add column c${i} int`
          : `alter table shifting drop column c${i - 1}`,
      );
    }
    const { errors } = await callers.stop();
    // Within a transaction the server has given it up by the time that it says so.
    for (const error of errors) expect(error).toMatchObject({ code: '0A000' });
    expect(errors.length).toBeLessThanOrEqual(10 * 4);
    await admin.query('select * from shifting');
  });

  it('every call settles when the server is killed, and all goes on when it is back', async () => {
    const pool = open({ max: 4 });
    const callers = start(pool);
    for (let round = 0; round < 2; round++) {
      const before = callers.answered();
      await expect.poll(callers.answered, { timeout: BUSY_MS }).toBeGreaterThan(before + 100);
      await test.server.kill();
      await test.server.start();
      const back = callers.answered();
      await expect.poll(callers.answered, { timeout: BUSY_MS }).toBeGreaterThan(back + 100);
    }
    const { errors } = await callers.stop();
    expect(errors.length).toBeGreaterThan(0);
    for (const error of errors)
      expect((error as Error).name).toMatch(/^(?:error|Error|\w*UnavailableError|DrizzleQueryError)$/);
    expect([pool.totalCount <= 4, pool.waitingCount]).toEqual([true, 0]);
    expect(pool.stats()).toMatchObject({ busy: 0, openTransactions: 0 });
  });
});

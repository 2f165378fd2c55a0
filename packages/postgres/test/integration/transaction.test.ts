import { seededRandom } from '@hotpath/core';
import { startFaultProxy } from '@hotpath/testkit';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Transaction } from '../../src/index.ts';
import { codeOf, startDatabase, type TestDatabase } from './database.ts';

let test: TestDatabase;

beforeAll(async () => {
  test = await startDatabase();
  await test.db.query(
    'create table accounts (id int primary key, balance int not null); insert into accounts select g, 100 from generate_series(1, 10) g',
  );
});
afterAll(() => test[Symbol.asyncDispose]());

const balance = async (id: number) =>
  (await test.db.query<{ balance: number }>('select balance from accounts where id = $1', [id]))[0]!.balance;

describe('transaction', () => {
  it('commits, rolls back, and undoes only the savepoint that failed', async () => {
    await test.db.transaction(async (outer) => {
      await outer.query('update accounts set balance = 1 where id = 1');
      const inner = outer.transaction(async (nested) => {
        await nested.kysely.updateTable('accounts').set({ balance: 2 }).where('id', '=', 2).execute();
        throw new Error('inner');
      });
      await expect(inner).rejects.toThrow('inner');
      await outer.transaction((nested) => nested.query('update accounts set balance = 3 where id = 3'));
    });
    expect([await balance(1), await balance(2), await balance(3)]).toEqual([1, 100, 3]);
    await expect(
      test.db.transaction(async (transaction) => {
        await transaction.query('delete from accounts');
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect(await balance(1)).toBe(1);
  });

  it.each([
    ['ran out of time', (signal: AbortSignal) => ({ timeoutMs: 100, signal })],
    [
      'was aborted',
      (signal: AbortSignal) => ({ signal: AbortSignal.any([signal, AbortSignal.timeout(100)]) }),
    ],
  ])('undoes a savepoint whose statement %s, and goes on', async (_, limits) => {
    const kept = new AbortController();
    await test.db.transaction(async (outer) => {
      await outer.query('update accounts set balance = 10 where id = 9');
      const inner = outer.transaction(async (nested) => {
        await nested.query('update accounts set balance = 20 where id = 10');
        await nested.query('select pg_sleep(30)', [], limits(kept.signal));
      });
      await expect(inner).rejects.toMatchObject({ name: 'TimeoutError' });
      await outer.query('update accounts set balance = balance + 1 where id = 9');
    });
    expect([await balance(9), await balance(10)]).toEqual([11, 100]);
  });

  it('keeps what its savepoints kept and nothing else, wherever a statement was given up', async () => {
    await test.db.query('create table kept (id int primary key)');
    const db = test.connect({ pool: { max: 4 } });
    const random = seededRandom(7);
    const kept: number[] = [];
    const outcomes = new Set<unknown>();
    let nextId = 0;
    const insert = 'insert into kept select $1::int from pg_sleep($2::float8)';
    const inSavepoint = async (outer: Transaction<unknown>): Promise<number[]> => {
      const ids = [nextId++, nextId++];
      const limits =
        random() < 0.5
          ? { timeoutMs: 1 + random() * 8 }
          : { signal: AbortSignal.timeout(1 + Math.floor(random() * 8)) };
      try {
        await outer.transaction(async (inner) => {
          await inner.query(insert, [ids[0], 0]);
          await inner.query(insert, [ids[1], random() * 0.01], limits);
        });
        outcomes.add('kept');
        return ids;
      } catch (error) {
        outcomes.add((error as Error).name);
        return [];
      }
    };
    const work = async (): Promise<void> => {
      for (let turn = 0; turn < 40; turn++) {
        const ids = await db.transaction(async (outer) => [
          ...(await inSavepoint(outer)),
          ...(await inSavepoint(outer)),
          ...(await inSavepoint(outer)),
        ]);
        kept.push(...ids);
      }
    };
    await Promise.all(Array.from({ length: 6 }, work));
    const rows = await test.db.query<{ id: number }>('select id from kept order by id');
    expect(rows.map(({ id }) => id)).toEqual(kept.toSorted((a, b) => a - b));
    expect([...outcomes].sort()).toEqual(['TimeoutError', 'kept']);
    // No connection was given up for it.
    expect(db.stats().pool).toMatchObject({ opened: 4, busy: 0, waiting: 0, openTransactions: 0 });
  });

  it('has one savepoint open at a time, since to undo one would undo what another did meanwhile', async () => {
    let failed: unknown;
    await test.db.transaction(async (outer) => {
      const first = outer.transaction(async (one) => {
        await one.query('update accounts set balance = 30 where id = 3');
        // Its own handle is fine, the one around it is not.
        await one.transaction((inner) => inner.query('update accounts set balance = 31 where id = 3'));
        await expect(outer.transaction(async () => {})).rejects.toMatchObject({
          code: 'HOTPATH_PG_TRANSACTION_BUSY',
        });
        await one.query('update accounts set balance = balance + 1 where id = 3');
      });
      const second = outer.transaction(async (two) => {
        await two.query('update accounts set balance = 40 where id = 4');
        throw new Error('second');
      });
      failed = await second.catch((error) => error);
      await first;
      await outer.transaction((three) => three.query('update accounts set balance = 50 where id = 4'));
    });
    expect(failed).toMatchObject({ code: 'HOTPATH_PG_TRANSACTION_BUSY', family: 'rejected' });
    expect([await balance(3), await balance(4)]).toEqual([32, 50]);
  });

  it.each([
    ['returned', async () => {}],
    [
      'failed beside it',
      async (left: Promise<unknown>) => {
        await Promise.all([left, Promise.reject(new Error('beside it'))]);
      },
    ],
  ])('keeps a savepoint whose transaction has %s away from who has the connection next', async (_, end) => {
    const single = test.connect({ pool: { max: 1 } });
    let goOn = (): void => {};
    const hasNext = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const update = sql`update accounts set balance = 0 where id = 8`;
    const isOver = { code: 'HOTPATH_PG_TRANSACTION_OVER' };
    const left: Promise<unknown>[] = [];
    const given: Transaction<unknown>[] = [];
    const outer = single.transaction(async (transaction) => {
      const begun = new Promise<void>((resolve) => {
        const savepoint = transaction.transaction(async (one) => {
          await one.transaction(async (two) => {
            given.push(one, two);
            await two.kysely.connection().execute(async (connection) => {
              resolve();
              await hasNext;
              await expect(update.execute(connection)).rejects.toMatchObject(isOver);
            });
            await two.query('update accounts set balance = 0 where id = 8');
          });
        });
        left.push(savepoint.catch((error) => error));
      });
      await begun;
      await end(left[0]!);
    });
    await outer.catch(() => {});
    await single.transaction((next) =>
      next.transaction(async (savepoint) => {
        await savepoint.query('update accounts set balance = 70 where id = 7');
        goOn();
        expect(await left[0]).toMatchObject(isOver);
        for (const { kysely } of given) await expect(update.execute(kysely)).rejects.toMatchObject(isOver);
        await savepoint.query('update accounts set balance = balance + 1 where id = 7');
      }),
    );
    expect([await balance(7), await balance(8)]).toEqual([71, 100]);
    await test.db.query('update accounts set balance = 100 where id = 7');
    expect(single.stats().pool).toMatchObject({ opened: 1, openTransactions: 0 });
  });

  it('runs again as a whole after a serialisation failure', async () => {
    let runs = 0;
    let read = 0;
    let goOn = (): void => {};
    const allHaveRead = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    await Promise.all(
      Array.from({ length: 6 }, () =>
        test.db.transaction(
          async (transaction) => {
            runs++;
            const [row] = await transaction.query<{ balance: number }>(
              'select balance from accounts where id = 5',
            );
            if (++read === 6) goOn();
            await allHaveRead;
            await transaction.query('update accounts set balance = $1 where id = 5', [row!.balance + 1]);
          },
          { isolation: 'serializable', retries: 50 },
        ),
      ),
    );
    expect(await balance(5)).toBe(106);
    // All have seen the same state, so that only one of the first runs can commit.
    expect(runs).toBeGreaterThanOrEqual(6 + 5);
  });

  it('runs again after a deadlock', async () => {
    let met = 0;
    let goOn = (): void => {};
    const both = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const move = (from: number, to: number) =>
      test.db.transaction(async (transaction) => {
        await transaction.query('update accounts set balance = balance - 1 where id = $1', [from]);
        if (++met === 2) goOn();
        await both;
        await transaction.query('update accounts set balance = balance + 1 where id = $1', [to]);
      });
    await Promise.all([move(6, 7), move(7, 6)]);
    expect([await balance(6), await balance(7)]).toEqual([100, 100]);
    expect(met).toBeGreaterThan(2);
  });

  it('says so when a swallowed failure has turned COMMIT into ROLLBACK', async () => {
    const swallowing = test.db.transaction(async (transaction) => {
      await transaction.query('select 1 / 0').catch(() => {});
    });
    expect(await codeOf(swallowing)).toBe('HOTPATH_PG_ROLLED_BACK');
  });

  it('is cancelled with its statement, rolled back, and leaves a clean connection', async () => {
    const db = test.connect({ pool: { max: 1 } });
    const reason = new Error('stop');
    const stop = new AbortController();
    const running = db.transaction(
      async (transaction) => {
        await transaction.query('update accounts set balance = 0 where id = 8');
        setTimeout(() => stop.abort(reason), 30);
        await transaction.query('select pg_sleep(30)');
      },
      { signal: stop.signal },
    );
    await expect(running).rejects.toBe(reason);
    expect(await balance(8)).toBe(100);
    expect(await db.query('select pg_current_xact_id_if_assigned() as x')).toEqual([{ x: null }]);
    expect(db.stats().pool).toMatchObject({ opened: 1, openTransactions: 0 });
  });

  it('does not run again when it is not known whether COMMIT took effect', async () => {
    const proxy = await startFaultProxy({ port: test.server.port });
    const db = test.connect({
      connectionString: test.server.connectionString.replace(String(test.server.port), String(proxy.port)),
      pool: { max: 1 },
    });
    let runs = 0;
    const lost = db.transaction(async (transaction) => {
      runs++;
      await transaction.query('update accounts set balance = 42 where id = 9');
      // The answer to COMMIT is lost, COMMIT itself is not.
      await proxy.setFault({ kind: 'reset', direction: 'toClient', afterBytes: 0 });
    });
    expect(await codeOf(lost)).toBe('HOTPATH_PG_COMMIT_UNKNOWN');
    expect(runs).toBe(1);
    await proxy.close();
  });

  it('leaks no connection when BEGIN itself fails', async () => {
    const proxy = await startFaultProxy({ port: test.server.port });
    const db = test.connect({
      connectionString: test.server.connectionString.replace(String(test.server.port), String(proxy.port)),
      pool: { max: 1 },
    });
    await db.query('select 1');
    await proxy.setFault({ kind: 'reset', direction: 'toServer', afterBytes: 0 });
    expect(await codeOf(db.transaction(async () => {}))).toBe('HOTPATH_PG_CONNECTION_LOST');
    await proxy.setFault();
    expect(await db.transaction((transaction) => transaction.query('select 1 as x'))).toEqual([{ x: 1 }]);
    await proxy.close();
  });
});

describe('session variables', () => {
  it('are seen by policies, and by nobody after', async () => {
    await test.db.query(`create table notes (tenant int, text text); insert into notes values (1, 'one'), (2, 'two');
      alter table notes enable row level security; create policy own on notes using (tenant = nullif(current_setting('app.tenant', true), '')::int);
      create role reader login password 'reader'; grant select on notes to reader`);
    const url = new URL(test.server.connectionString);
    url.username = 'reader';
    url.password = 'reader';
    const db = test.connect({ connectionString: url.href, pool: { max: 2 } });
    const texts = (rows: readonly unknown[]) => rows.map((row) => (row as { text: string }).text);
    const read = 'select text from notes';
    for (let i = 0; i < 5; i++) {
      const [one, two, none] = await Promise.all([
        db.withVariables({ 'app.tenant': 1 }).query(read),
        db.withVariables({ 'app.tenant': 2 }).kysely.selectFrom('notes').select('text').execute(),
        db.query(read),
      ]);
      expect([texts(one), texts(two), texts(none)]).toEqual([['one'], ['two'], []]);
    }
    expect(
      texts(
        await db.withVariables({ 'app.tenant': 2 }).transaction((transaction) => transaction.query(read)),
      ),
    ).toEqual(['two']);
    const failing = db.withVariables({ 'app.tenant': 1 }).query('select 1 / 0');
    expect(await codeOf(failing)).toBe('22012');
    expect(texts(await db.query(read))).toEqual([]);
    expect(() => db.withVariables({ search_path: 'x' })).toThrow(TypeError);
  });
});

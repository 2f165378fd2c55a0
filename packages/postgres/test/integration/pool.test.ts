import { channel } from 'node:diagnostics_channel';
import { createServer } from 'node:net';
import { startFaultProxy } from '@hotpath/testkit';
import { drizzle } from 'drizzle-orm/node-postgres';
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import Cursor from 'pg-cursor';
import QueryStream from 'pg-query-stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type CreatePoolOptions,
  createPool,
  type LeakEvent,
  type OpenTransactionEvent,
  type Pool,
} from '../../src/index.ts';
import { codeOf, startDatabase, type TestDatabase } from './database.ts';

let test: TestDatabase;
const pools: Pool[] = [];

const open = (options: CreatePoolOptions = {}): Pool => {
  const pool = createPool({ connectionString: test.server.connectionString, ...options });
  pools.push(pool);
  return pool;
};
type Ask = (...args: unknown[]) => Promise<pg.QueryResult>;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

beforeAll(async () => {
  test = await startDatabase();
  await test.db.query(
    "create table users (id int primary key, name text); insert into users select g, 'u' || g from generate_series(1, 100) g",
  );
});
afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.close())));
afterAll(() => test[Symbol.asyncDispose]());

describe('createPool in the place of pg.Pool', () => {
  it('answers by promises and by callbacks, with results of the same form', async () => {
    const theirs = new pg.Pool({ connectionString: test.server.connectionString });
    const ours = open();
    const asked: unknown[][] = [
      ['select * from users where id = $1', [1]],
      ['select 1 as x'],
      [{ text: 'select id from users where id = $1', values: [1], rowMode: 'array' }],
      [{ name: 'named', text: 'select $1::int as x', values: [5] }],
      ['select 1 as a; select 2 as b'],
      ['update users set name = name where id <= $1', [3]],
      ['drop table if exists t_x'],
      [''],
    ];
    for (let round = 0; round < 3; round++) {
      for (const args of asked) {
        const plain = (result: pg.QueryResult | pg.QueryResult[]): unknown =>
          Array.isArray(result)
            ? result.map(plain)
            : {
                command: result.command,
                rowCount: result.rowCount,
                rows: result.rows,
                fields: result.fields.map((field: pg.FieldDef) => field.name),
              };
        const expected = plain(await (theirs.query as unknown as Ask).apply(theirs, args));
        expect(plain(await (ours.query as unknown as Ask).apply(ours, args)), String(args[0])).toEqual(
          expected,
        );
        const called = await new Promise<pg.QueryResult>((resolve, reject) =>
          (ours.query as unknown as Ask).call(ours, ...args, (error: Error, result: pg.QueryResult) =>
            error ? reject(error) : resolve(result),
          ),
        );
        expect(plain(called)).toEqual(expected);
      }
    }
    await theirs.end();
  });

  it('has its events, counters and options', async () => {
    const events: string[] = [];
    const pool = open({ max: 2, idleTimeoutMillis: 50, application_name: 'drop-in' });
    for (const name of ['connect', 'acquire', 'release', 'remove'] as const)
      pool.on(name as 'connect', () => events.push(name));
    const first = await pool.connect();
    const second = await pool.connect();
    const third = pool.connect();
    expect([pool.totalCount, pool.idleCount, pool.waitingCount, pool.expiredCount]).toEqual([2, 0, 1, 0]);
    expect((await first.query('select current_setting($1) as name', ['application_name'])).rows).toEqual([
      { name: 'drop-in' },
    ]);
    first.release();
    (await third).release();
    second.release(true);
    expect(pool.totalCount).toBe(1);
    await expect.poll(() => pool.totalCount).toBe(0);
    expect(events.slice(0, 4)).toEqual(['connect', 'acquire', 'connect', 'acquire']);
    await expect.poll(() => events.filter((name) => name === 'remove').length).toBe(2);
    expect(pool.options.max).toBe(2);
    expect([pool.ending, pool.ended]).toEqual([false, false]);
    await pool.end();
    expect([pool.ending, pool.ended]).toEqual([true, true]);
    await expect(pool.end()).rejects.toThrow('Called end on pool more than once');
    await expect(pool.connect()).rejects.toThrow('Cannot use a pool after calling end on the pool');
    await expect(pool.query('select 1')).rejects.toThrow('Cannot use a pool after calling end on the pool');
  });

  it('hands the client and its release to a callback, never before connect has returned', async () => {
    const pool = open();
    await (await pool.connect()).release();
    let returned = false;
    const rows = await new Promise((resolve, reject) => {
      pool.connect((error, client, release) => {
        if (error || !client) return reject(error);
        expect(returned).toBe(true);
        client.query('select 1 as x', (failure: Error, result: pg.QueryResult) => {
          release();
          if (failure) reject(failure);
          else resolve(result.rows);
        });
      });
      returned = true;
    });
    expect(rows).toEqual([{ x: 1 }]);
  });

  it('refuses a second release, also after somebody else has the client', async () => {
    const pool = open({ max: 1 });
    const client = await pool.connect();
    const { release } = client;
    release();
    expect(() => release()).toThrow('Release called on client which has already been released to the pool.');
    const again = await pool.connect();
    expect(() => release()).toThrow('already been released');
    again.release();
  });

  it('gives errors as they are known: of statements, of refused connections, of passwords, of waits', async () => {
    const pool = open({ max: 1, connectionTimeoutMillis: 100 });
    await expect(pool.query('select * from nowhere')).rejects.toMatchObject({ code: '42P01', name: 'error' });
    expect(pool.totalCount).toBe(1);
    const client = await pool.connect();
    await expect(pool.connect()).rejects.toThrow(/^timeout exceeded when trying to connect$/);
    client.release();
    await expect(
      open({ connectionString: undefined, host: '127.0.0.1', port: 1 }).query('select 1'),
    ).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    const url = new URL(test.server.connectionString);
    url.pathname = '/nowhere';
    await expect(open({ connectionString: url.href }).connect()).rejects.toMatchObject({ code: '3D000' });
  });

  it('runs verify and onConnect on new clients, and passes their errors on', async () => {
    const seen: string[] = [];
    const pool = open({
      onConnect: async (client) => {
        await client.query("set application_name = 'hooked'");
        seen.push('onConnect');
      },
      verify: (client, done) => {
        seen.push('verify');
        client.query('select 1', (error: Error) => done(error));
      },
    });
    expect((await pool.query('show application_name')).rows).toEqual([{ application_name: 'hooked' }]);
    expect(seen).toEqual(['onConnect', 'verify']);
    await expect(
      open({ verify: (_client, done) => done(new Error('not this one')) }).connect(),
    ).rejects.toThrow('not this one');
    await expect(
      open({
        onConnect: () => {
          throw new Error('nor this');
        },
      }).query('select 1'),
    ).rejects.toThrow('nor this');
  });

  it('takes a client class of the user, and submittables: cursors and streams', async () => {
    class OwnClient extends pg.Client {}
    const pool = open({ Client: OwnClient as never });
    expect((await pool.query('select $1::int as x', [1])).rows).toEqual([{ x: 1 }]);
    const client = await open().connect();
    const cursor = client.query(new Cursor('select generate_series(1, 10) as n'));
    expect(await cursor.read(3)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    await cursor.close();
    const seen: number[] = [];
    for await (const row of client.query(
      new QueryStream('select generate_series(1, 250) as n', [], { batchSize: 50 }),
    ))
      seen.push((row as { n: number }).n);
    expect(seen).toHaveLength(250);
    expect((await client.query('select $1::int as x', [2])).rows).toEqual([{ x: 2 }]);
    client.release();
  });

  it('serves Kysely and Drizzle, prepared by itself', async () => {
    const pool = open({ max: 1 });
    const kysely = new Kysely<{ users: { id: number; name: string } }>({
      dialect: new PostgresDialect({ pool, cursor: Cursor }),
    });
    for (let id = 1; id <= 3; id++) {
      expect(await kysely.selectFrom('users').selectAll().where('id', '=', id).execute()).toEqual([
        { id, name: `u${id}` },
      ]);
    }
    await kysely.transaction().execute(async (transaction) => {
      await transaction.updateTable('users').set({ name: 'k' }).where('id', '=', 50).execute();
    });
    const streamed: unknown[] = [];
    for await (const row of kysely
      .selectFrom('users')
      .select('id')
      .where('id', '<', 4)
      .orderBy('id')
      .stream(2))
      streamed.push(row);
    expect(streamed).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }]);
    const orm = drizzle(pool);
    const rolledBack = orm.transaction(async (transaction) => {
      await transaction.execute('update users set name = $$d$$ where id = 51');
      throw new Error('back');
    });
    await expect(rolledBack).rejects.toThrow('back');
    expect((await orm.execute('select name from users where id in (50, 51) order by id')).rows).toEqual([
      { name: 'k' },
      { name: 'u51' },
    ]);
    const { rows } = await sql<{
      n: number;
    }>`select count(*)::int as n from pg_prepared_statements where statement like 'select * from "users"%'`.execute(
      kysely,
    );
    expect(rows).toEqual([{ n: 1 }]);
  });

  it("keeps pg's query_timeout: the late answer harms nobody", async () => {
    const pool = open({ max: 1, query_timeout: 50 });
    for (let i = 0; i < 3; i++) {
      await expect(pool.query('select pg_sleep(0.2), $1::int as x', [i])).rejects.toThrow(
        'Query read timeout',
      );
      const { rows } = await open({ max: 1 }).query('select $1::int as x', [i]);
      expect(rows).toEqual([{ x: i }]);
    }
    await expect.poll(() => pool.idleCount).toBe(1);
    expect((await pool.query('select $1::int as x', [7])).rows).toEqual([{ x: 7 }]);
  });

  it('keeps working after an idle connection was killed, and tells who listens', async () => {
    const pool = open({ max: 1 });
    const { rows } = await pool.query('select pg_backend_pid() as pid');
    await test.db.query('select pg_terminate_backend($1)', [rows[0].pid]);
    await expect.poll(() => pool.totalCount).toBe(0);
    pool.on('error', () => {});
    expect((await pool.query('select 1 as x')).rows).toEqual([{ x: 1 }]);
  });

  it('survives the loss of a connection that is out, with nobody listening to it', async () => {
    const pool = open({ max: 1 });
    const client = await pool.connect();
    const { rows } = await client.query('select pg_backend_pid() as pid');
    await test.db.query('select pg_terminate_backend($1)', [rows[0].pid]);
    await pause(50);
    await expect(client.query('select 1')).rejects.toThrow();
    client.release();
    expect((await pool.query('select 1 as x')).rows).toEqual([{ x: 1 }]);
  });
});

describe('waiters', () => {
  it('are served by whichever connection is ready first, not by the one opened for them', async () => {
    const slow = await startFaultProxy({ port: test.server.port });
    const pool = open({
      host: slow.host,
      port: slow.port,
      connectionString: test.server.connectionString.replace(String(test.server.port), String(slow.port)),
      max: 2,
    });
    const first = await pool.connect();
    await slow.setFault({ kind: 'blackHole' });
    const startedAt = performance.now();
    const waiting = pool.connect();
    await slow.setFault();
    await slow.setFault({ kind: 'delay', delayMs: 400 });
    setTimeout(() => first.release(), 10);
    const second = await waiting;
    expect(performance.now() - startedAt).toBeLessThan(300);
    second.release();
    await slow.setFault();
    await slow.close();
  });

  it('are served first come first served, ten thousand of them, and leave without a trace', async () => {
    const pool = open({ max: 20, maxWaiting: 20_000 });
    const order: number[] = [];
    const before = process.memoryUsage().heapUsed;
    await Promise.all(
      Array.from({ length: 10_000 }, async (_, i) => {
        const client = await pool.connect();
        order.push(i);
        setImmediate(() => client.release());
      }),
    );
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(100 * 1024 * 1024);
    await pause(20);
    expect([pool.waitingCount, pool.totalCount]).toEqual([0, 20]);
    expect(pool.stats().wait.count).toBeGreaterThan(9_000);
  });

  it('beyond the limit are refused at once; one that aborts or times out makes room for the next', async () => {
    const pool = open({ max: 1, maxWaiting: 2, acquireTimeoutMs: 5_000 });
    const held = await pool.connect();
    const gone = new AbortController();
    const aborted = pool.acquire({ signal: gone.signal });
    const impatient = pool.acquire({ timeoutMs: 30 });
    expect(await codeOf(pool.acquire())).toBe('HOTPATH_PG_QUEUE_FULL');
    const reason = new Error('left');
    gone.abort(reason);
    await expect(aborted).rejects.toBe(reason);
    expect(await codeOf(impatient)).toBe('HOTPATH_PG_ACQUIRE_TIMEOUT');
    const next = pool.acquire();
    expect(pool.waitingCount).toBe(1);
    held.release();
    (await next).release();
  });
});

describe('connections', () => {
  it('come back without the transaction that was left open, and it is told where', async () => {
    const pool = open({ max: 1, leakThresholdMs: 60_000, leakSampleRatio: 1 });
    const told = new Promise<OpenTransactionEvent>((resolve) =>
      channel('hotpath:postgres:open-transaction').subscribe((event) =>
        resolve(event as OpenTransactionEvent),
      ),
    );
    const client = await pool.connect();
    await client.query('begin');
    await client.query("update users set name = 'leaked' where id = 60");
    client.release();
    expect(
      (await pool.query('select name, pg_current_xact_id_if_assigned() as xid from users where id = 60'))
        .rows,
    ).toEqual([{ name: 'u60', xid: null }]);
    expect((await told).site).toContain('pool.test.ts');
    const failed = await pool.connect();
    await failed.query('begin');
    void failed.query('select 1 / 0').catch(() => {});
    failed.release();
    expect((await pool.query('select 1 as x')).rows).toEqual([{ x: 1 }]);
    expect(pool.stats()).toMatchObject({ openTransactions: 2, opened: 1 });
  });

  it('that are out too long are reported, with the place where they were taken', async () => {
    const pool = open({ leakThresholdMs: 40, leakSampleRatio: 1 });
    const told = new Promise<LeakEvent>((resolve) =>
      channel('hotpath:postgres:leak').subscribe((event) => resolve(event as LeakEvent)),
    );
    const client = await pool.connect();
    expect(await told).toMatchObject({
      site: expect.stringContaining('pool.test.ts'),
      heldMs: expect.any(Number),
    });
    expect(pool.stats().leaks).toBe(1);
    client.release();
  });

  it('are replaced when their time is over, in use or not', async () => {
    const pool = open({ max: 2, maxLifetimeMs: 150 });
    const pidOf = async () => (await pool.query('select pg_backend_pid() as pid')).rows[0].pid as number;
    const first = await pidOf();
    const held = await pool.connect();
    await pause(250);
    held.release();
    expect(await pidOf()).not.toBe(first);
    expect(pool.stats().lifetime.count).toBeGreaterThan(0);
  });

  it('are kept warm in the number asked for, and used no more often than allowed', async () => {
    const pool = open({ min: 3, max: 5, maxUses: 2 });
    await expect.poll(() => pool.idleCount).toBe(3);
    for (let i = 0; i < 10; i++) await pool.query('select 1');
    await expect.poll(() => pool.stats().opened).toBeGreaterThanOrEqual(7);
    await expect.poll(() => pool.idleCount).toBe(3);
  });

  it('that do not become usable in time are dropped, and leave no socket behind', async () => {
    let sockets = 0;
    const silent = createServer((socket) => {
      sockets++;
      socket.resume();
      socket.on('error', () => {});
      socket.on('close', () => sockets--);
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    const pool = open({ connectionString: undefined, host: '127.0.0.1', port, connectTimeoutMs: 60 });
    await expect(pool.connect()).rejects.toThrow('Connection terminated due to connection timeout');
    await expect.poll(() => sockets).toBe(0);
    silent.close();
  });

  it('of an older generation go when one of them fails its check: a failover costs one round trip', async () => {
    const proxy = await startFaultProxy({ port: test.server.port });
    const url = test.server.connectionString.replace(String(test.server.port), String(proxy.port));
    const pool = open({ connectionString: url, max: 5, validateAfterMs: 0, validationTimeoutMs: 100 });
    const clients = await Promise.all(Array.from({ length: 5 }, () => pool.connect()));
    for (const client of clients) client.release();
    expect(pool.idleCount).toBe(5);
    await pause(5);
    await proxy.setFault({ kind: 'blackHole' });
    const waiting = pool.connect();
    await pause(20);
    const lifted = pause(150).then(() => proxy.setFault());
    const client = await waiting;
    await lifted;
    expect((await client.query('select 1 as x')).rows).toEqual([{ x: 1 }]);
    client.release();
    expect(pool.stats()).toMatchObject({ failedValidations: 1, generation: 1 });
    await proxy.close();
  });
});

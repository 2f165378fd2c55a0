import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { isHotpathError } from '@hotpath/core';
import { spawnNode, startFaultProxy } from '@hotpath/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createPool, createPostgres, type Postgres, type PostgresOptions } from '../../src/index.ts';
import { codeOf, startDatabase, type TestDatabase } from './database.ts';

let test: TestDatabase;

beforeAll(async () => {
  test = await startDatabase();
  await test.db.query(`create table users (id int primary key, name text not null);
    insert into users select g, 'user ' || g from generate_series(1, 1000) g;
    create table copied (id int primary key, name text)`);
});
afterAll(() => test[Symbol.asyncDispose]());

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const LIMIT_MS = 200;
/** What a busy machine needs on top. */
const SLACK_MS = 1_000;

const rows = Array.from({ length: 3_000 }, (_, id) => ({ id, name: `n${id}` }));

/** Every way to wait for the server, each with its limit. */
const waits: Record<
  string,
  (db: Postgres, limits: { timeoutMs?: number; signal?: AbortSignal }) => Promise<unknown>
> = {
  query: (db, limits) => db.query('select name from users where id = $1', [1], limits),
  transaction: (db, limits) => db.transaction((transaction) => transaction.query('select 1'), limits),
  batch: (db, limits) => db.batch([{ text: 'select 1' }, { text: 'select 2' }], limits),
  'batch of single statements': (db, limits) =>
    db.batch([{ text: 'select 1' }], { atomic: false, ...limits }),
  'insertMany by COPY': (db, limits) => db.insertMany('copied', rows, limits),
  'insertMany by arrays': (db, limits) => db.insertMany('copied', rows.slice(0, 5), limits),
  upsertMany: (db, limits) => db.upsertMany('copied', rows, limits),
  'upsertMany by a temporary table': (db, limits) =>
    db.upsertMany('copied', [...rows, { id: -1 }] as typeof rows, limits),
  stream: async (db, limits) => {
    for await (const _row of db.stream('select * from users', [], limits));
  },
  paginate: (db, limits) => db.paginate('users', limits),
  explain: (db, limits) => db.explain('select * from users', [], limits),
  withVariables: (db, limits) => db.withVariables({ 'app.tenant': 1 }).query('select 1', [], limits),
  'withVariables in a transaction': (db, limits) =>
    db.withVariables({ 'app.tenant': 1 }).transaction((transaction) => transaction.query('select 1'), limits),
};

describe('while the server is frozen', () => {
  afterEach(() => test.server.thaw());

  it.each(Object.keys(waits))(
    '%s settles by its deadline and by its signal, and works again after',
    async (name) => {
      const db = test.connect({ pool: { max: 4, validateAfterMs: 60_000 } });
      await waits[name]!(db, {}).catch(() => {});
      await test.db.query('truncate copied');
      await Promise.all(Array.from({ length: 4 }, () => db.query('select pg_sleep(0.02)')));
      test.server.freeze();
      const reason = new Error('no longer wanted');
      const startedAt = performance.now();
      const settled = await Promise.allSettled([
        waits[name]!(db, { timeoutMs: LIMIT_MS }),
        waits[name]!(db, { signal: AbortSignal.timeout(LIMIT_MS) }),
        waits[name]!(db, { signal: AbortSignal.abort(reason) }),
      ]);
      expect(performance.now() - startedAt).toBeLessThan(LIMIT_MS + SLACK_MS);
      const [late, timedOut, aborted] = settled.map((result) => (result as PromiseRejectedResult).reason);
      expect(isHotpathError(late), String(late)).toBe(true);
      expect(late.family === 'timeout' || late.code === 'HOTPATH_PG_COMMIT_UNKNOWN', String(late)).toBe(true);
      expect(timedOut.name).toBe('TimeoutError');
      expect(aborted).toBe(reason);
      test.server.thaw();
      // None is lost: each has answered, and is as good as before.
      await expect.poll(() => db.stats().pool.busy, { timeout: 1_000 }).toBe(0);
      // What was given up may still have had its effect.
      await test.db.query('truncate copied');
      await waits[name]!(db, {});
      expect(db.stats().pool).toMatchObject({ waiting: 0, openTransactions: 0 });
      await test.db.query('truncate copied');
    },
  );

  it('a stream that was suspended ends at once for its reader, and a pool is closed in the time it was given', async () => {
    const db = test.connect({ pool: { max: 1 } });
    const rows = db.stream('select generate_series(1, 100000) as n', [], {
      batchSize: 10,
      timeoutMs: LIMIT_MS,
    });
    expect((await rows.next()).value).toEqual({ n: 1 });
    test.server.freeze();
    let startedAt = performance.now();
    await rows.return?.();
    expect(performance.now() - startedAt).toBeLessThan(SLACK_MS);
    startedAt = performance.now();
    await db.close({ timeoutMs: LIMIT_MS });
    expect(performance.now() - startedAt).toBeLessThan(LIMIT_MS + SLACK_MS);
  });
});

describe('an answer that stops in its middle', () => {
  const through = async (port: number) =>
    test.connect({
      connectionString: test.server.connectionString.replace(String(test.server.port), String(port)),
      pool: { max: 1 },
    });

  it('ends at the deadline, of a query as of each batch of a stream', async () => {
    await using proxy = await startFaultProxy({ port: test.server.port });
    const db = await through(proxy.port);
    await db.query('select 1');
    await proxy.setFault({ kind: 'drip', direction: 'toClient', bytes: 200, intervalMs: 50 });
    const large = "select repeat('x', 1000) from generate_series(1, 100)";
    expect(await codeOf(db.query(large, [], { timeoutMs: LIMIT_MS }))).toBe('HOTPATH_PG_QUERY_TIMEOUT');
    const streamed = (async () => {
      for await (const _row of db.stream(large, [], { timeoutMs: LIMIT_MS }));
    })();
    expect(['HOTPATH_PG_QUERY_TIMEOUT', 'HOTPATH_PG_ACQUIRE_TIMEOUT']).toContain(await codeOf(streamed));
    await proxy.setFault();
    expect(await db.query('select 1 as x')).toEqual([{ x: 1 }]);
  });

  it('does not count the time that a reader of a stream takes', async () => {
    let count = 0;
    for await (const _row of test.db.stream('select generate_series(1, 4) as n', [], {
      batchSize: 1,
      timeoutMs: LIMIT_MS,
    })) {
      count++;
      await pause(LIMIT_MS);
    }
    expect(count).toBe(4);
  });

  it('and a server that is killed leave a stream, a COPY and a transaction with a typed error, and nothing written', async () => {
    await using own = await startDatabase();
    await own.db.query(`create table copied (id int primary key, name text);
      create table held (id int primary key, name text)`);
    const db = own.connect();
    await db.query('select 1');
    const stuck = createHeldRows(20_000);
    const rowsSeen: unknown[] = [];
    const streaming = (async () => {
      for await (const row of db.stream('select n, pg_sleep(0.01) from generate_series(1, 1000) n', [], {
        batchSize: 5,
      }))
        rowsSeen.push(row);
    })();
    const inTransaction = db.transaction(async (transaction) => {
      await transaction.query("insert into copied values (-1, 'x')");
      await transaction.query('select pg_sleep(30)');
    });
    let isLocked = (): void => {};
    const whenLocked = new Promise<void>((resolve) => {
      isLocked = resolve;
    });
    const locked = own.connect().transaction(async (transaction) => {
      await transaction.query('lock table held in access exclusive mode');
      isLocked();
      await transaction.query('select pg_sleep(30)');
    });
    await whenLocked;
    const bulk = own.connect().insertMany('held', stuck, { timeoutMs: 20_000 });
    const settling = Promise.allSettled([streaming, inTransaction, locked, bulk]);
    await pause(300);
    expect(rowsSeen.length).toBeGreaterThan(0);
    await own.server.kill();
    for (const result of await settling)
      expect((result as PromiseRejectedResult).reason).toMatchObject({ code: 'HOTPATH_PG_CONNECTION_LOST' });
    await own.server.start();
    const left = 'select (select count(*) from copied)::int + (select count(*) from held)::int as n';
    expect(await own.connect().query(left)).toEqual([{ n: 0 }]);
  });
});

function createHeldRows(count: number): { id: number; name: string }[] {
  return Array.from({ length: count }, (_, id) => ({ id, name: `n${id}`.repeat(20) }));
}

describe('closing', () => {
  /** A server that takes connections and never says a word. */
  async function silentServer(): Promise<{ port: number; sockets: Set<Socket>; close(): void }> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.resume();
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    return { port, sockets, close: () => server.close() };
  }

  it('gives up what is still being connected: at once, and without a socket left', async () => {
    const silent = await silentServer();
    const connectionString = `postgres://postgres@127.0.0.1:${silent.port}/x`;
    const pool = { connectTimeoutMs: 60_000 };
    const db = createPostgres({ connectionString, pool });
    const asked = codeOf(db.query('select 1'));
    const heard = codeOf(db.listen('news', { onNotification: () => {} }));
    const planned = codeOf(db.indexes.plan([{ name: 'x', table: 'x', keys: ['x'] }]));
    const dropIn = createPool({ connectionString, connectTimeoutMs: 60_000, minConnections: 2 });
    await expect.poll(() => silent.sockets.size).toBe(5);
    const startedAt = performance.now();
    await Promise.all([db.close(), dropIn.end()]);
    expect(performance.now() - startedAt).toBeLessThan(SLACK_MS);
    expect(await Promise.all([asked, heard, planned])).toEqual(Array(3).fill('HOTPATH_PG_CLOSED'));
    await expect.poll(() => silent.sockets.size).toBe(0);
    silent.close();
  });

  it('is over for all who ask for it when the last connection is gone', async () => {
    const db = test.connect();
    const asked = db.query('select pg_sleep(0.3)');
    await expect.poll(() => db.stats().pool.busy).toBe(1);
    const ended: string[] = [];
    await Promise.all([
      asked.then(() => ended.push('query')),
      db.close().then(() => ended.push('first')),
      db.close().then(() => ended.push('second')),
    ]);
    expect(ended).toEqual(['query', 'first', 'second']);
    expect(db.stats().pool.total).toBe(0);
  });

  it('lets the process exit by itself, whatever was under way', async () => {
    const silent = await silentServer();
    const main = fileURLToPath(new URL('close-main.ts', import.meta.url));
    const startedAt = performance.now();
    const { exited } = spawnNode(main, [test.server.connectionString, String(silent.port)]);
    expect(await exited).toMatchObject({ code: 0 });
    const running =
      "select pid from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'";
    await expect.poll(() => test.db.query(running)).toEqual([]);
    expect(performance.now() - startedAt).toBeLessThan(8_000);
    silent.close();
  });

  it('ends a run of index builds with its own error, and leaves nothing INVALID that the next run does not mend', async () => {
    const db = test.connect();
    const definition = { name: 'users_by_name', table: 'users', keys: ['name'] };
    const applying = test.db.transaction(async (transaction) => {
      await transaction.query('update users set name = name where id = 1');
      const stuck = codeOf(db.indexes.apply([definition]));
      await expect
        .poll(async () => (await test.db.query('select 1 from pg_stat_progress_create_index')).length)
        .toBe(1);
      const startedAt = performance.now();
      await db.close();
      return { code: await stuck, ms: performance.now() - startedAt };
    });
    const { code, ms } = await applying;
    expect(code).toBe('HOTPATH_PG_CLOSED');
    expect(ms).toBeLessThan(2_000 + SLACK_MS);
    await test.db.indexes.apply([definition]);
    expect((await test.db.indexes.plan([definition])).isSettled).toBe(true);
  });

  it('tells a server that went half-open apart from one that is away', async () => {
    const refused = createPostgres({
      connectionString: `postgres://postgres@127.0.0.1:${await unusedPort()}/x`,
    });
    expect(await codeOf(refused.query('select 1'))).toBe('HOTPATH_PG_DOWN');
    await refused.close();
    const silent = await silentServer();
    const half = createPostgres({
      connectionString: `postgres://postgres@127.0.0.1:${silent.port}/x`,
      pool: { connectTimeoutMs: LIMIT_MS },
    });
    expect(await half.query('select 1').catch((error) => error)).toMatchObject({
      code: 'HOTPATH_PG_DOWN',
      cause: { code: 'HOTPATH_PG_CONNECT_TIMEOUT' },
    });
    await half.close();
    silent.close();
  });
});

describe('a server that is not there', () => {
  it('is told with a hint where no connection string was given, and only there', async () => {
    const port = await unusedPort();
    vi.stubEnv('PGHOST', '127.0.0.1');
    vi.stubEnv('PGPORT', String(port));
    const messageOf = async (options: PostgresOptions): Promise<string[]> => {
      await using db = createPostgres(options);
      const definitions = [{ name: 'x', table: 'users', keys: ['id'] }];
      const failures = [
        db.query('select 1'),
        db.listen('x', { onNotification: () => {} }),
        db.indexes.plan(definitions),
      ].map((asked) =>
        asked.then(
          () => expect.fail('it connected'),
          (error) => error,
        ),
      );
      const errors = await Promise.all(failures);
      for (const error of errors) {
        expect(error).toMatchObject({ code: 'HOTPATH_PG_DOWN', cause: { code: 'ECONNREFUSED' } });
      }
      return errors.map(({ message }) => message);
    };
    try {
      const hint = "(no connectionString was given, so pg's defaults and the PG* variables were used)";
      const reason = `cannot connect to the server: connect ECONNREFUSED 127.0.0.1:${port}`;
      const hinted = Array(3).fill(`${reason} ${hint}`);
      expect(await messageOf({})).toEqual(hinted);
      expect(await messageOf({ connectionString: undefined })).toEqual(hinted);
      const given = Array(3).fill(reason);
      expect(await messageOf({ connectionString: `postgres://127.0.0.1:${port}/x` })).toEqual(given);
      expect(await messageOf({ client: { host: '127.0.0.1', port } })).toEqual(given);
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise<void>((resolve) => server.close(() => resolve()));
  await new Promise<void>((resolve) => connectTcp(port, '127.0.0.1').on('error', () => resolve()));
  return port;
}

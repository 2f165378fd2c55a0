import { connect, createServer, type Socket } from 'node:net';
import { isHotpathError } from '@hotpath/core';
import { startFaultProxy } from '@hotpath/testkit';
import { afterEach, describe, expect, it } from 'vitest';
import type { ListenGap, Postgres } from '../../src/index.ts';
import { createPostgres } from '../../src/index.ts';
import { startDatabase, type TestDatabase } from './database.ts';
import { PRIMARY_SETTINGS, startReplica } from './replica.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const DEADLINE_MS = 1_500;
const SLACK_MS = 500;

interface Load {
  /** Ends it; gives what went wrong. */
  stop(): Promise<{ ok: number; codes: Map<string, number>; slowestMs: number; untyped: unknown[] }>;
  readonly okSince: (atMs: number) => number;
}

/** 64 callers that ask as fast as they are answered, each query with a deadline. */
function startLoad(db: Postgres, text = 'select $1::int as x'): Load {
  const okAt: number[] = [];
  const codes = new Map<string, number>();
  const untyped: unknown[] = [];
  let slowestMs = 0;
  let isOver = false;
  const callers = Array.from({ length: 64 }, async (_, i) => {
    while (!isOver) {
      const startedAt = performance.now();
      try {
        await db.query(text, [i], { timeoutMs: DEADLINE_MS });
        okAt.push(performance.now());
      } catch (error) {
        const code = (error as { code?: string }).code ?? 'none';
        codes.set(code, (codes.get(code) ?? 0) + 1);
        if (!isHotpathError(error)) untyped.push(error);
        await pause(5);
      }
      slowestMs = Math.max(slowestMs, performance.now() - startedAt);
    }
  });
  return {
    okSince: (atMs) => okAt.filter((at) => at >= atMs).length,
    async stop() {
      isOver = true;
      await Promise.all(callers);
      return { ok: okAt.length, codes, slowestMs, untyped };
    },
  };
}

let test: TestDatabase;
afterEach(() => test[Symbol.asyncDispose]());

describe('under load', () => {
  it.each(['kill', 'stop', 'freeze'] as const)(
    'a server that is lost by %s: every query settles by its deadline with a typed error, full speed within a second of its return',
    async (how) => {
      test = await startDatabase();
      const db = test.connect({ pool: { max: 20 } });
      const load = startLoad(db);
      await pause(1_500);
      const before = load.okSince(performance.now() - 500);
      if (how === 'freeze') test.server.freeze();
      else await test.server[how]();
      await pause(2_500);
      if (how === 'freeze') test.server.thaw();
      else await test.server.start();
      const backAt = performance.now();
      await pause(1_000);
      const fullFrom = performance.now();
      await pause(1_000);
      const after = load.okSince(fullFrom) / 2;
      const { codes, slowestMs, untyped } = await load.stop();
      // What full speed is now, should others have come to use the machine meanwhile.
      const fresh = startLoad(test.connect({ pool: { max: 20 } }));
      await pause(500);
      const freshFrom = performance.now();
      await pause(500);
      const full = Math.min(before, fresh.okSince(freshFrom));
      await fresh.stop();
      expect(untyped).toEqual([]);
      expect(codes.size).toBeGreaterThan(0);
      expect(slowestMs).toBeLessThan(DEADLINE_MS + SLACK_MS);
      expect(load.okSince(backAt)).toBeGreaterThan(0);
      expect(after).toBeGreaterThan(full * 0.5);
      expect(db.stats().pool.total).toBeLessThanOrEqual(20);
    },
  );

  it('a server that fails over behind one address is followed', async () => {
    test = await startDatabase();
    await test.db.query("create table place (name text); insert into place values ('first')");
    const second = await startDatabase();
    await second.db.query("create table place (name text); insert into place values ('second')");
    let proxy = await startFaultProxy({ port: test.server.port });
    const { port } = proxy;
    const db = test.connect({
      connectionString: test.server.connectionString.replace(String(test.server.port), String(port)),
      pool: { max: 20 },
    });
    const load = startLoad(db, 'select name, $1::int as x from place');
    await pause(500);
    test.server.freeze();
    await pause(500);
    await proxy.close();
    proxy = await startProxyOn(port, second.server.port);
    const backAt = performance.now();
    await pause(1_000 + DEADLINE_MS);
    expect(load.okSince(backAt)).toBeGreaterThan(100);
    const { untyped, slowestMs } = await load.stop();
    expect(untyped).toEqual([]);
    expect(slowestMs).toBeLessThan(DEADLINE_MS + SLACK_MS);
    expect(await db.query('select name from place')).toEqual([{ name: 'second' }]);
    test.server.thaw();
    await proxy.close();
    await db.close({ timeoutMs: 100 });
    await second[Symbol.asyncDispose]();
  });

  it('a primary that has become read-only is left, with all connections to it', async () => {
    test = await startDatabase();
    const db = test.connect({ pool: { max: 4 } });
    await db.query('create table written (id int)');
    await test.db.query('alter database postgres set default_transaction_read_only = on');
    const connections = await Promise.all(Array.from({ length: 4 }, () => db.query('select pg_sleep(0.05)')));
    expect(connections).toHaveLength(4);
    const fresh = test.connect({ pool: { max: 4 } });
    await expect(fresh.query('insert into written values (1)')).rejects.toMatchObject({ code: '25006' });
    expect(fresh.stats().pool.generation).toBe(1);
    await test.db.query(
      'set default_transaction_read_only = off; alter database postgres reset default_transaction_read_only',
    );
    expect(await fresh.query('insert into written values (1)')).toEqual([]);
  });
});

describe('without a server', () => {
  it('says that it is down, with the cause and when to try again, and is there when the server is', async () => {
    test = await startDatabase();
    const db = test.connect();
    await test.server.stop();
    const error = await db.query('select 1').catch((e) => e);
    expect(error).toMatchObject({
      code: 'HOTPATH_PG_DOWN',
      family: 'unavailable',
      retryAfterMs: expect.any(Number),
      cause: { code: 'ECONNREFUSED' },
    });
    await test.server.start();
    expect(
      await db.query('select 1 as x', [], { timeoutMs: 2_000 }).catch(() => db.query('select 1 as x')),
    ).toEqual([{ x: 1 }]);
    await db.close();
    await expect(db.query('select 1')).rejects.toMatchObject({ code: 'HOTPATH_PG_CLOSED' });
  });
});

describe('listen', () => {
  it('hears notifications, subscribes again after a loss and tells of the gap', async () => {
    test = await startDatabase();
    const heard: string[] = [];
    const gaps: ListenGap[] = [];
    const db = test.connect();
    const subscription = await db.listen('Some "channel"', {
      onNotification: ({ payload }) => heard.push(payload),
      onGap: (gap) => gaps.push(gap),
    });
    const other = await db.listen('other', {
      onNotification: ({ payload }) => heard.push(`other ${payload}`),
    });
    await test.db.query('select pg_notify($1, $2)', ['Some "channel"', 'one']);
    await test.db.query('select pg_notify($1, $2)', ['other', 'two']);
    await expect.poll(() => heard).toEqual(['one', 'other two']);
    await test.server.kill();
    await test.server.start();
    await expect.poll(() => gaps.length, { timeout: 5_000 }).toBe(1);
    expect(gaps[0]).toMatchObject({ channels: ['Some "channel"', 'other'], lostMs: expect.any(Number) });
    await expect
      .poll(
        async () =>
          test.db
            .query('select pg_notify($1, $2)', ['other', 'three'])
            .catch(() => {})
            .then(() => heard.at(-1)),
        { timeout: 5_000 },
      )
      .toBe('other three');
    await other.close();
    await test.db.query('select pg_notify($1, $2)', ['other', 'unheard']);
    await test.db.query('select pg_notify($1, $2)', ['Some "channel"', 'last']);
    await expect.poll(() => heard.at(-1)).toBe('last');
    expect(heard).not.toContain('other unheard');
    await subscription.close();
  });
});

describe('replicas', () => {
  it('are read while they are close enough behind, after a write only when they have seen it, and left when they fail', {
    timeout: 90_000,
  }, async () => {
    test = await startDatabase(PRIMARY_SETTINGS);
    await test.db.query(
      "create table seen (id int); create or replace function where_am_i() returns text language sql stable as $$ select case when pg_is_in_recovery() then 'replica' else 'primary' end $$",
    );
    const replica = await startReplica(test);
    const db = createPostgres({
      connectionString: test.server.connectionString,
      replicas: [replica.connectionString],
      replicaCheckMs: 50,
      maxReplicaLagMs: 1_000,
    });
    const where = async (options = {}) =>
      (await db.readonly.query<{ w: string }>('select where_am_i() as w', [], options))[0]!.w;
    expect(await where()).toBe('primary');
    await expect.poll(() => where(), { timeout: 20_000 }).toBe('replica');
    for (let i = 0; i < 20; i++) {
      await db.query('insert into seen values ($1)', [i]);
      const after = await db.writeToken();
      expect(await db.readonly.query('select id from seen where id = $1', [i], { after })).toEqual([
        { id: i },
      ]);
    }
    await createPostgresOnce(replica.connectionString, 'select pg_wal_replay_pause()');
    await db.query('insert into seen values (100)');
    expect(await where({ after: await db.writeToken() })).toBe('primary');
    await expect
      .poll(
        async () => {
          await db.query('insert into seen values (101)');
          return where();
        },
        { timeout: 10_000 },
      )
      .toBe('primary');
    await createPostgresOnce(replica.connectionString, 'select pg_wal_replay_resume()');
    await expect.poll(() => where(), { timeout: 10_000 }).toBe('replica');
    // A standby notifies nobody: what was opened to ask it does not stay.
    const standby = createPostgres({ connectionString: replica.connectionString });
    await expect(standby.listen('news', { onNotification: () => {} })).rejects.toThrow(
      /cannot execute LISTEN/,
    );
    const listening = "select pid from pg_stat_activity where query like 'listen%'";
    await expect.poll(() => standby.query(listening)).toEqual([]);
    await standby.close();
    await replica.kill();
    expect(await where()).toBe('primary');
    await db.close({ timeoutMs: 200 });
    await replica[Symbol.asyncDispose]();
  });
});

describe('a promoted replica', () => {
  it('takes the writes of a running load after its primary was killed: nothing that was confirmed is lost', {
    timeout: 90_000,
  }, async () => {
    test = await startDatabase({
      ...PRIMARY_SETTINGS,
      synchronous_standby_names: '*',
      synchronous_commit: 'local',
    });
    await test.db.query('create table written (id int primary key)');
    const replica = await startReplica(test);
    let proxy = await startProxyOn(0, test.server.port);
    const { port } = proxy;
    const db = test.connect({
      connectionString: test.server.connectionString.replace(String(test.server.port), String(port)),
      // A commit is confirmed when the replica has it.
      client: { options: '-c synchronous_commit=remote_apply' },
      pool: { max: 10 },
    });
    expect(await db.query('show synchronous_commit')).toEqual([{ synchronous_commit: 'remote_apply' }]);
    await expect
      .poll(
        async () =>
          (await test.db.query("select 1 from pg_stat_replication where sync_state = 'sync'")).length,
        {
          timeout: 20_000,
        },
      )
      .toBe(1);
    const confirmed: number[] = [];
    const untyped: unknown[] = [];
    let slowestMs = 0;
    let next = 0;
    let isOver = false;
    const writers = Array.from({ length: 16 }, async () => {
      while (!isOver) {
        const id = next++;
        const startedAt = performance.now();
        try {
          await db.query('insert into written values ($1)', [id], { timeoutMs: DEADLINE_MS });
          confirmed.push(id);
        } catch (error) {
          if (!isHotpathError(error)) untyped.push(error);
          await pause(5);
        }
        slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      }
    });
    await pause(500);
    const before = confirmed.length;
    await test.server.kill();
    await createPostgresOnce(replica.connectionString, 'alter system set synchronous_standby_names = $$$$');
    await createPostgresOnce(replica.connectionString, 'select pg_reload_conf()');
    await createPostgresOnce(replica.connectionString, 'select pg_promote(true, 10)');
    await proxy.close();
    proxy = await startProxyOn(port, replica.port);
    const backAt = confirmed.length;
    await pause(2_000);
    isOver = true;
    await Promise.all(writers);
    expect(before).toBeGreaterThan(10);
    expect(confirmed.length).toBeGreaterThan(backAt + 10);
    expect(slowestMs).toBeLessThan(DEADLINE_MS + SLACK_MS);
    // 25006 while the replica is none yet and 57P03 while it starts are the server's own words.
    expect(untyped.filter((error) => !['25006', '57P03'].includes((error as { code: string }).code))).toEqual(
      [],
    );
    const found = new Set((await db.query<{ id: number }>('select id from written')).map(({ id }) => id));
    expect(confirmed.filter((id) => !found.has(id))).toEqual([]);
    await db.close({ timeoutMs: 200 });
    await proxy.close();
    await replica[Symbol.asyncDispose]();
  });
});

async function createPostgresOnce(connectionString: string, text: string): Promise<void> {
  await using db = createPostgres({ connectionString });
  await db.query(text);
}

async function startProxyOn(port: number, target: number) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const upstream = connect(target, '127.0.0.1');
    for (const end of [socket, upstream]) {
      sockets.add(end);
      end.on('error', () => {});
      end.on('close', () => {
        socket.destroy();
        upstream.destroy();
      });
    }
    socket.pipe(upstream).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const { port: at } = server.address() as { port: number };
  const close = async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { port: at, close } as unknown as Awaited<ReturnType<typeof startFaultProxy>>;
}

import { chmodSync, chownSync, copyFileSync, readFileSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPool, createPostgres, type Postgres } from '../../src/index.ts';
import { codeOf, startDatabase, type TestDatabase } from './database.ts';

/** Self-signed, for localhost and 127.0.0.1. */
const file = (name: string): string => fileURLToPath(new URL(`tls/${name}.pem`, import.meta.url));
const ca = readFileSync(file('cert'), 'utf8');
let test: TestDatabase;
let db: Postgres;

beforeAll(async () => {
  test = await startDatabase();
  const { directory } = test.server;
  const { uid, gid } = statSync(directory);
  for (const name of ['cert', 'key']) {
    const to = join(directory, `${name}.pem`);
    copyFileSync(file(name), to);
    // The server takes a key that nobody else can read.
    chownSync(to, uid, gid);
  }
  chmodSync(join(directory, 'key.pem'), 0o600);
  await test.db.query("alter system set ssl_cert_file = 'cert.pem'");
  await test.db.query("alter system set ssl_key_file = 'key.pem'");
  await test.db.query('alter system set ssl = on');
  await test.db.query('select pg_reload_conf()');
  while ((await test.db.query('show ssl'))[0]?.ssl !== 'on')
    await new Promise((resolve) => setTimeout(resolve, 20));
  db = test.connect({ client: { ssl: { ca } }, pool: { max: 4 } });
});
afterAll(() => test[Symbol.asyncDispose]());

describe('over TLS', () => {
  it('everything goes encrypted: queries, COPY, streams, listeners, index builds and the request to cancel', async () => {
    const encrypted = 'select ssl from pg_stat_ssl where pid = pg_backend_pid()';
    for (let i = 0; i < 3; i++) expect(await db.query(encrypted)).toEqual([{ ssl: true }]);
    await db.query('create table items (id int primary key, name text)');
    const rows = Array.from({ length: 20_000 }, (_, id) => ({ id, name: `n${id}`.repeat(10) }));
    expect(await db.insertMany('items', rows)).toBe(20_000);
    expect((await db.query('select * from items order by id')).length).toBe(20_000);
    let count = 0;
    for await (const _row of db.stream('select * from items')) count++;
    expect(count).toBe(20_000);
    expect(
      (await db.indexes.apply([{ name: 'items_name', table: 'items', keys: ['name'] }])).done,
    ).toHaveLength(1);
    const heard = new Promise((resolve) => {
      void db
        .listen('news', { onNotification: ({ payload }) => resolve(payload) })
        .then(() => db.query("select pg_notify('news', 'x')"));
    });
    expect(await heard).toBe('x');
    const sleeping =
      "select pid from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'";
    expect(await codeOf(db.query('select pg_sleep(30)', [], { timeoutMs: 100 }))).toBe(
      'HOTPATH_PG_QUERY_TIMEOUT',
    );
    await expect.poll(() => test.db.query(sleeping)).toEqual([]);
    expect(db.stats().pool).toMatchObject({ busy: 0, closed: 0 });
    expect(
      await test.db.query(
        "select count(*)::int as n from pg_stat_ssl s join pg_stat_activity a using (pid) where not s.ssl and a.backend_type = 'client backend' and pid <> pg_backend_pid()",
      ),
    ).toEqual([{ n: 0 }]);
  });

  it('no connection says a word before it has asked for encryption, the one that cancels included', async () => {
    const asked: number[] = [];
    const relay = createServer((socket) => {
      const upstream = connect(test.server.port, '127.0.0.1');
      socket.once('data', (first) => asked.push(first.readInt32BE(4)));
      for (const end of [socket, upstream]) end.on('error', () => {});
      socket.pipe(upstream).pipe(socket);
    });
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
    const { port } = relay.address() as { port: number };
    const relayed = createPostgres({
      connectionString: test.server.connectionString.replace(String(test.server.port), String(port)),
      client: { ssl: { ca } },
    });
    expect(await codeOf(relayed.query('select pg_sleep(30)', [], { timeoutMs: 100 }))).toBe(
      'HOTPATH_PG_QUERY_TIMEOUT',
    );
    await expect.poll(() => relayed.stats().pool.busy).toBe(0);
    expect(asked).toEqual([80_877_103, 80_877_103]);
    await relayed.close();
    relay.close();
  });

  it('stands in for pg.Pool', async () => {
    await using pool = createPool({ connectionString: test.server.connectionString, ssl: { ca }, max: 2 });
    for (let i = 0; i < 3; i++)
      expect(
        (await pool.query('select ssl, $1::int as i from pg_stat_ssl where pid = pg_backend_pid()', [i]))
          .rows,
      ).toEqual([{ ssl: true, i }]);
  });

  it('a server whose certificate is not trusted is refused, and says so', async () => {
    const distrusting = createPostgres({
      connectionString: test.server.connectionString,
      client: { ssl: { rejectUnauthorized: true } },
    });
    expect(await distrusting.query('select 1').catch((error) => error)).toMatchObject({
      code: 'HOTPATH_PG_DOWN',
      cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
    });
    await distrusting.close();
  });
});

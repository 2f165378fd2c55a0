import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';

/** A server of the system's, for one test file. */
export interface SystemServer extends AsyncDisposable {
  readonly connectionString: string;
}

/** Both refuse to run as root; Debian's packages make this user. */
function owner(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

function privateFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `hotpath-${name}-`));
  const { uid, gid } = owner();
  if (uid !== undefined && gid !== undefined) chownSync(folder, uid, gid);
  return folder;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

async function untilAnswers(connectionString: string, child: ChildProcess): Promise<void> {
  for (let tries = 0; ; tries++) {
    const client = new pg.Client({ connectionString });
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      if (tries > 200 || child.exitCode !== null) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function disposal(child: ChildProcess, folder: string): () => Promise<void> {
  return async () => {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    if (child.exitCode === null && child.kill('SIGINT')) await ended;
    rmSync(folder, { recursive: true, force: true });
  };
}

/** PostgreSQL 15 from the system's packages. */
export async function startPostgres15(): Promise<SystemServer> {
  const binaries = '/usr/lib/postgresql/15/bin';
  const folder = privateFolder('postgres15');
  const port = await freePort();
  const data = join(folder, 'data');
  execFileSync(`${binaries}/initdb`, ['-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync'], {
    ...owner(),
    cwd: folder,
    stdio: 'ignore',
  });
  const child = spawn(
    `${binaries}/postgres`,
    ['-D', data, '-p', String(port), '-k', folder, '-h', '127.0.0.1'],
    { ...owner(), cwd: folder, stdio: 'ignore' },
  );
  const connectionString = `postgres://postgres@127.0.0.1:${port}/postgres`;
  await untilAnswers(connectionString, child);
  return { connectionString, [Symbol.asyncDispose]: disposal(child, folder) };
}

/** A PgBouncer that can be killed and started again on its port. */
export interface BouncerServer extends SystemServer {
  kill(): Promise<void>;
  start(): Promise<void>;
}

/** PgBouncer in transaction mode, with few server connections, before a PostgreSQL. */
export async function startPgBouncer(server: URL): Promise<BouncerServer> {
  const folder = privateFolder('pgbouncer');
  const port = await freePort();
  const config = join(folder, 'pgbouncer.ini');
  writeFileSync(
    config,
    `[databases]
postgres = host=${server.hostname} port=${server.port} user=${server.username} password=${server.password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
`,
    { mode: 0o644 },
  );
  const connectionString = `postgres://${server.username}@127.0.0.1:${port}/postgres`;
  let child: ChildProcess;
  const start = async (): Promise<void> => {
    child = spawn('/usr/sbin/pgbouncer', ['-q', config], { ...owner(), cwd: folder, stdio: 'ignore' });
    await untilAnswers(connectionString, child);
  };
  await start();
  return {
    connectionString,
    start,
    async kill() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    },
    [Symbol.asyncDispose]: () => disposal(child, folder)(),
  };
}

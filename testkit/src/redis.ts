import { accessSync, constants } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { ServerError } from './errors.ts';
import { freePort } from './internal/free-port.ts';
import { makePrivateFolder, removePrivateFolder } from './internal/private-folder.ts';
import { redisCommand } from './internal/redis-command.ts';
import { ServerProcess } from './internal/server-process.ts';

/** What {@link startRedis} takes. */
export interface StartRedisOptions {
  /** Default: one that is free. */
  readonly port?: number;
  /** More arguments for the server, such as `['--save', '60', '1']`; they win over ours. */
  readonly args?: readonly string[];
  /** The server's program. Default: `redis-server`, or else `valkey-server`, from the PATH. */
  readonly command?: string;
  /** Where it keeps its data; made when missing, never removed. Default: a private folder, removed at the end. */
  readonly directory?: string;
}

/** A Redis (or Valkey) server in a process of its own. */
export interface RedisServer extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** 0 while it does not run. */
  readonly pid: number;
  readonly directory: string;
  /** Starts it again after `stop` or `kill`, on the same port and folder; resolves when it answers. */
  start(): Promise<void>;
  /** Ends it in an orderly way; its folder stays until disposal. */
  stop(): Promise<void>;
  /** Ends it with SIGKILL. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open, nothing is answered. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  /** Stops it if it runs, and starts it on the same port and folder. */
  restart(): Promise<void>;
  /** Kills it and removes its private folder. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts a Redis server on loopback and resolves when it answers; without persistence by default.
 *
 * It ends with this process, in whatever way this process ends.
 *
 * @throws ServerError (NOT_INSTALLED) when neither `redis-server` nor `valkey-server` is on the PATH.
 * @throws ServerError (START_FAILED, START_TIMEOUT) with the end of its log.
 */
export function startRedis(options: StartRedisOptions = {}): Promise<RedisServer> {
  return launchRedis(options, (port, directory) => [
    ...defaultArgs(port, directory),
    ...(options.args ?? []),
  ]);
}

/** {@link startRedis} with all of its arguments made by the caller. */
export async function launchRedis(
  options: Pick<StartRedisOptions, 'port' | 'directory' | 'command'>,
  argsFor: (port: number, directory: string) => readonly string[],
): Promise<RedisServer> {
  const command = options.command ?? findRedis();
  const privateFolder = makePrivateFolder('hotpath-redis-');
  const directory = options.directory ?? privateFolder;
  await mkdir(directory, { recursive: true });
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort([0, CLUSTER_BUS_DISTANCE]));
    const server = new ServerProcess({
      name: 'Redis',
      command,
      args: argsFor(port, directory),
      directory,
      logFile: join(privateFolder, 'server.log'),
      stopSignal: 'SIGTERM',
      isReady: (pid) => answers(port, pid),
    });
    try {
      await server.start();
    } catch (error) {
      const isTaken = options.port === undefined && /in use/i.test((error as Error).message);
      if (isTaken && attempt < 5) continue;
      await removePrivateFolder(privateFolder);
      throw error;
    }
    return {
      host: '127.0.0.1',
      port,
      url: `redis://127.0.0.1:${port}`,
      get pid() {
        return server.pid;
      },
      directory,
      start: () => server.start(),
      stop: () => server.stop(),
      kill: () => server.kill(),
      freeze: () => server.freeze(),
      thaw: () => server.thaw(),
      restart: () => server.restart(),
      async [Symbol.asyncDispose]() {
        await server.kill();
        await removePrivateFolder(privateFolder);
      },
    };
  }
}

/** A cluster node talks to the others on its port plus this. */
const CLUSTER_BUS_DISTANCE = 10_000;

function defaultArgs(port: number, directory: string): string[] {
  const settings = { port, bind: '127.0.0.1', dir: directory, save: '', appendonly: 'no', daemonize: 'no' };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
}

async function answers(port: number, pid: number): Promise<boolean> {
  try {
    // One that wants a password is up as well; one that still loads its data is not.
    const reply = await redisCommand(port, 'PING');
    if (reply.startsWith('-NOAUTH')) return true;
    // Two that were started at once may have drawn the same port: it is the other one's then, and ours is about to end.
    return reply === 'PONG' && (await redisCommand(port, 'INFO', 'server')).includes(`process_id:${pid}\r\n`);
  } catch {
    return false;
  }
}

function findRedis(): string {
  for (const name of ['redis-server', 'valkey-server']) {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {}
    }
  }
  throw new ServerError(
    'NOT_INSTALLED',
    'neither redis-server nor valkey-server is on the PATH; install one (Debian: apt-get install redis-server, macOS: brew install redis)',
  );
}

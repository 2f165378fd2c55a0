import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from './internal/free-port.ts';
import { findPostgres } from './internal/postgres-binaries.ts';
import { credentials, fillDataFolder, reachableFolder } from './internal/postgres-folder.ts';
import { makePrivateFolder, removePrivateFolder } from './internal/private-folder.ts';
import { ServerProcess } from './internal/server-process.ts';

/** What {@link startPostgres} takes. */
export interface StartPostgresOptions {
  /** Default: one that is free. */
  readonly port?: number;
  /** Where the database cluster is; made when missing. Default: a private folder, removed at the end. */
  readonly directory?: string;
  /** Whether a given `directory` stays after disposal. Default true; a private folder never stays. */
  readonly persistent?: boolean;
  /** Server settings, such as `{ max_connections: 200, shared_preload_libraries: 'pg_stat_statements' }`. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
}

/** A PostgreSQL server in processes of its own. */
export interface PostgresServer extends AsyncDisposable {
  readonly connectionString: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** The postmaster's; 0 while it does not run. */
  readonly pid: number;
  readonly directory: string;
  /** Starts it again after `stop` or `kill`, on the same port and folder; resolves when it accepts connections. */
  start(): Promise<void>;
  /** Fast shutdown: ends sessions and open transactions in an orderly way; its folder stays until disposal. */
  stop(): Promise<void>;
  /** Ends the postmaster and all its children with SIGKILL; the next start recovers from the log. */
  kill(): Promise<void>;
  /** SIGSTOP to the postmaster and all its children: connections stay open, nothing is answered. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  /** Stops it if it runs, and starts it on the same port and folder. */
  restart(): Promise<void>;
  /** Kills it and removes its private folder. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts PostgreSQL on loopback and resolves when it accepts connections, with its default durability.
 *
 * It ends with this process, in whatever way this process ends. As root it runs as the user
 * `postgres`, who is created when missing. The first start on a machine runs `initdb`, later ones copy its result.
 *
 * @throws ServerError (NOT_INSTALLED) when there is no PostgreSQL for this system.
 * @throws ServerError (START_FAILED, START_TIMEOUT) with the end of its log.
 */
export async function startPostgres(options: StartPostgresOptions = {}): Promise<PostgresServer> {
  const binaries = await findPostgres();
  const privateFolder = makePrivateFolder('hotpath-postgres-', binaries.user);
  const directory =
    options.directory === undefined
      ? join(privateFolder, 'data')
      : reachableFolder(options.directory, binaries);
  const dispose = async (): Promise<void> => {
    await removePrivateFolder(privateFolder);
    if (options.persistent === false) await removePrivateFolder(directory);
  };
  try {
    await fillDataFolder(directory, binaries);
  } catch (error) {
    await dispose();
    throw error;
  }
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    const settings = { ...defaultSettings, port, ...options.settings };
    const server = new ServerProcess({
      name: 'PostgreSQL',
      command: binaries.postgres,
      args: [
        '-D',
        directory,
        ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      directory: privateFolder,
      logFile: join(privateFolder, 'server.log'),
      env: { LC_ALL: 'C', TZ: 'UTC' },
      user: binaries.user,
      stopSignal: 'SIGINT',
      isReady: (pid) => isReady(directory, pid),
    });
    try {
      await server.start();
    } catch (error) {
      const isTaken = options.port === undefined && /in use/i.test((error as Error).message);
      if (isTaken && attempt < 5) continue;
      await dispose();
      throw error;
    }
    const { user, password } = credentials;
    return {
      connectionString: `postgres://${user}:${password}@127.0.0.1:${port}/postgres`,
      host: '127.0.0.1',
      port,
      user,
      password,
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
        if (options.directory !== undefined && options.persistent !== false) await server.stop();
        else await server.kill();
        await dispose();
      },
    };
  }
}

const defaultSettings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  // Files in the data folder: a killed server leaves nothing behind in shared memory.
  dynamic_shared_memory_type: 'mmap',
  timezone: 'UTC',
  log_timezone: 'UTC',
} as const;

/** The postmaster writes its state into its pid file; `pg_ctl --wait` looks there as well. */
function isReady(directory: string, pid: number): boolean {
  try {
    const lines = readFileSync(join(directory, 'postmaster.pid'), 'utf8').split('\n');
    return Number(lines[0]) === pid && lines[7]?.trim() === 'ready';
  } catch {
    return false;
  }
}

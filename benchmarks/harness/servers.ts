import { fileURLToPath } from 'node:url';
import {
  type StartPostgresOptions,
  type StartRedisOptions,
  spawnNode,
  startPostgres,
  startRedis,
} from '@hotpath/testkit';
import type { Figures, ServerAddress, ServerStarter } from './suite.ts';

/** Of Node servers that are measured, or that measured ones talk to. */
export const SERVER_FLAGS: readonly string[] = ['--import', new URL('keep-ticks.ts', import.meta.url).href];

/** A private Redis. */
export function redisServer(options: StartRedisOptions = {}): ServerStarter {
  return async () => {
    const server = await startRedis(options);
    const { host, port, url } = server;
    return { address: { host, port, url }, controls: server, close: () => server[Symbol.asyncDispose]() };
  };
}

/** A private PostgreSQL 18 with default durability; `url` is the connection string. */
export function postgresServer(
  options: StartPostgresOptions = {},
): ServerStarter<ServerAddress & { readonly user: string; readonly password: string }> {
  return async () => {
    const server = await startPostgres(options);
    const { host, port, user, password, connectionString } = server;
    return {
      address: { host, port, url: connectionString, user, password },
      controls: server,
      close: () => server[Symbol.asyncDispose](),
    };
  };
}

/** What a {@link nodeServer} may be given. */
export interface NodeServerOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * A server of your own in a Node process of its own: a file that listens on loopback and then calls
 * `process.send({ port, … })`; what it sends is its address (`host` and `url` are filled in).
 *
 * `file` is relative to the suite: `new URL('origin.ts', import.meta.url)`. If it answers the message `'figures'`
 * with `{ figures: { … } }`, these are added to the figures of a throughput case.
 */
export function nodeServer(file: URL, { args = [], env = {} }: NodeServerOptions = {}): ServerStarter {
  return async () => {
    const path = fileURLToPath(file);
    let child = spawnNode(path, args, { env, nodeArgs: SERVER_FLAGS });
    const sent = await child.receive<Partial<ServerAddress>>({ timeoutMs: 60_000 });
    if (sent.port === undefined) throw new TypeError(`${path} did not send its port`);
    const { port, host = '127.0.0.1' } = sent;
    return {
      address: { url: `http://${host}:${port}`, ...sent, host, port },
      controls: {
        kill: () => child.kill(),
        freeze: () => void child.kill('SIGSTOP'),
        thaw: () => void child.kill('SIGCONT'),
        async restart() {
          await child.kill();
          // The same port again; the file reads it from the environment.
          child = spawnNode(path, args, { env: { ...env, PORT: String(port) }, nodeArgs: SERVER_FLAGS });
          await child.receive({ timeoutMs: 60_000 });
        },
      },
      async figures() {
        child.send('figures');
        const silence = { figures: {} };
        return (await child.receive<{ figures: Figures }>({ timeoutMs: 500 }).catch(() => silence)).figures;
      },
      close: () => child[Symbol.asyncDispose](),
    };
  };
}

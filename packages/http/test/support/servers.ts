import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import {
  createServer as createH2Server,
  createSecureServer,
  type Http2SecureServer,
  type Http2Server,
  type SecureServerOptions,
  type ServerOptions,
} from 'node:http2';
import { createServer as createTlsServer } from 'node:https';
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Server as NetServer,
  type Socket,
} from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** A self-signed certificate for localhost, a.test, b.test and 127.0.0.1, for tests only. */
export const tls: { readonly key: Buffer; readonly cert: Buffer } = {
  key: readFileSync(new URL('key.pem', import.meta.url)),
  cert: readFileSync(new URL('cert.pem', import.meta.url)),
};

export interface TestServer extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** Connections accepted so far. */
  readonly accepted: number;
  readonly sockets: ReadonlySet<Socket>;
  close(): Promise<void>;
}

async function started(server: NetServer, scheme: string, host = '127.0.0.1'): Promise<TestServer> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  server.on('connection', (socket: Socket) => {
    accepted++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      for (const socket of sockets) socket.destroy();
      server.close(() => resolve());
    });
  return {
    port,
    url: `${scheme}://127.0.0.1:${port}`,
    get accepted() {
      return accepted;
    },
    sockets,
    close,
    [Symbol.asyncDispose]: close,
  };
}

export function startHttp(
  listener: RequestListener,
  tune?: (server: Server) => void,
  host?: string,
): Promise<TestServer> {
  const server = createServer(listener);
  tune?.(server);
  return started(server, 'http', host);
}

export function startHttps(listener: RequestListener): Promise<TestServer> {
  return started(createTlsServer(tls, listener), 'https');
}

// Streams and sessions that tests break on purpose.
function quiet(server: Http2Server | Http2SecureServer): void {
  server.on('session', (session) => session.on('error', () => {}));
  server.on('stream', (stream) => stream.on('error', () => {}));
}

/** HTTP/2 without TLS. */
export function startH2c(
  use: (server: Http2Server) => void,
  options: ServerOptions = {},
): Promise<TestServer> {
  const server = createH2Server(options);
  quiet(server);
  use(server);
  return started(server as unknown as NetServer, 'http');
}

/** HTTP/2 over TLS. */
export function startH2(
  use: (server: Http2SecureServer) => void,
  options: SecureServerOptions = {},
): Promise<TestServer> {
  const server = createSecureServer({ ...tls, ...options });
  quiet(server);
  use(server);
  return started(server as unknown as NetServer, 'https');
}

/** A server that does what `onSocket` does with each connection. */
export function startTcp(onSocket: (socket: Socket) => void): Promise<TestServer> {
  const server = createTcpServer((socket) => {
    onSocket(socket);
    // Otherwise nobody would see it end.
    socket.resume();
  });
  return started(server, 'http');
}

/** Answers with JSON. */
export const echo: RequestListener = (request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      }),
    );
  });
};

export interface Echo {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** Resolves once `condition` holds; looked at every turn of the event loop. */
export async function until(condition: () => boolean, what = 'the condition'): Promise<void> {
  const giveUpMs = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > giveUpMs) throw new Error(`${what} did not come true within 10 s`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Everything that an async iterable gives. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** What a promise rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<Record<string, unknown> & Error> {
  try {
    await promise;
  } catch (error) {
    return error as Record<string, unknown> & Error;
  }
  throw new Error('it did not reject');
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes on the heap that something still refers to. */
export function heapAfterGc(): number {
  collectGarbage();
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

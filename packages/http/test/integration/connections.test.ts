import { describe, expect, it } from 'vitest';
import { createHttpClient } from '../../src/index.ts';
import { echo, failureOf, startHttp, startHttps, tls, until } from '../support/servers.ts';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('connections', () => {
  it('uses one connection for five HEADs (undici closes it after each)', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url });
    for (let index = 0; index < 5; index++) expect((await client.head('/')).status).toBe(200);
    expect(server.accepted).toBe(1);
    expect(client.stats().origins[server.url]).toMatchObject({ connects: 1, dispatched: 5, reuseRatio: 0.8 });
  });

  it('opens no socket for a signal that is aborted already (undici connects)', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url });
    const reason = new Error('not today');
    expect(await failureOf(client.get('/', { signal: AbortSignal.abort(reason) }))).toBe(reason);
    await pause(30);
    expect(server.accepted).toBe(0);
    expect(client.stats().connections.open).toBe(0);
  });

  it('leaves 20 idle of 30 after 50 concurrent calls', async () => {
    await using server = await startHttp((request, response) =>
      setTimeout(() => echo(request, response), 20),
    );
    await using client = createHttpClient({ baseUrl: server.url, connections: 30 });
    await Promise.all(Array.from({ length: 50 }, () => client.getJson('/')));
    expect(client.stats().connections).toEqual({ open: 30, idle: 30, max: 30 });
    await until(() => client.stats().connections.idle <= 20);
    await until(() => server.sockets.size <= 20);
    expect(server.accepted).toBe(30);
    expect(client.stats().connections).toEqual({ open: 20, idle: 20, max: 30 });
    expect(server.sockets.size).toBe(20);
  });

  it('never has more connections than it may, however many ask', async () => {
    let most = 0;
    await using server = await startHttp((request, response) => {
      most = Math.max(most, server.sockets.size);
      setTimeout(() => echo(request, response), 2);
    });
    await using client = createHttpClient({ baseUrl: server.url, connections: 7 });
    await Promise.all(Array.from({ length: 200 }, () => client.getJson('/')));
    expect(most).toBe(7);
    expect(server.accepted).toBe(7);
  });

  it('keeps the total over several origins, closing idle connections of one for another', async () => {
    await using one = await startHttp(echo);
    await using two = await startHttp(echo);
    await using client = createHttpClient({ connections: 4, keepAliveConnections: 4 });
    await Promise.all(Array.from({ length: 8 }, () => client.getJson(`${one.url}/`)));
    await Promise.all(Array.from({ length: 8 }, () => client.getJson(`${two.url}/`)));
    await until(() => one.sockets.size + two.sockets.size <= 4);
    expect(client.stats().connections.open).toBeLessThanOrEqual(4);
  });

  it('keeps the connections of a busy origin open while another, slow one, holds all the rest', async () => {
    await using slow = await startHttp(() => {});
    await using fast = await startHttp(echo);
    await using client = createHttpClient({ connections: 8 });
    const held = Array.from({ length: 16 }, () => failureOf(client.get(`${slow.url}/`)));
    const load = async (): Promise<void> => {
      for (let index = 0; index < 50; index++) await client.getJson(`${fast.url}/`);
    };
    // Two have a connection to themselves each; the third waits for whichever comes back.
    await Promise.all([load(), load(), load()]);
    expect(fast.accepted).toBe(2);
    await client.close({ drainMs: 0 });
    await Promise.all(held);
  });

  it('gives an origin its share as connections come back, though another one took all when it was alone', async () => {
    let answered = 0;
    await using first = await startHttp((request, response) =>
      setTimeout(() => {
        answered++;
        echo(request, response);
      }, 5),
    );
    await using second = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: first.url, connections: 4 });
    const all = Promise.all(Array.from({ length: 400 }, () => client.get('/')));
    await until(() => client.stats().connections.open === 4);
    expect((await client.get(`${second.url}/`)).status).toBe(200);
    expect(answered).toBeLessThan(100);
    await all;
  });

  it('closes an idle connection after keepAliveMs although the server would keep it longer', async () => {
    await using server = await startHttp(echo, (http) => {
      http.keepAliveTimeout = 60_000;
    });
    await using client = createHttpClient({ baseUrl: server.url, keepAliveMs: 100 });
    await client.getJson('/');
    expect(server.sockets.size).toBe(1);
    await until(() => server.sockets.size === 0);
    expect(client.stats().connections.open).toBe(0);
  });

  it('leaves an idle connection to the server before the time is over that the server announces', async () => {
    await using server = await startHttp((request, response) => {
      response.setHeader('keep-alive', 'timeout=1');
      echo(request, response);
    });
    await using client = createHttpClient({ baseUrl: server.url });
    await client.getJson('/');
    const startMs = performance.now();
    await until(() => client.stats().connections.open === 0);
    expect(performance.now() - startMs).toBeLessThan(950);
  });

  it('closes a connection that was made for a request that went elsewhere, after keepAliveMs', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url, keepAliveMs: 80 });
    const abort = new AbortController();
    const waiting = failureOf(client.get('/', { signal: abort.signal }));
    abort.abort(new Error('changed my mind'));
    expect((await waiting).message).toBe('changed my mind');
    await until(() => server.accepted === 1);
    await until(() => client.stats().connections.open === 0);
  });

  it('uses such a spare connection for the next request', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url });
    const abort = new AbortController();
    const waiting = failureOf(client.get('/', { signal: abort.signal }));
    abort.abort();
    await waiting;
    await until(() => client.stats().connections.idle === 1);
    expect(await client.postJson('/', { a: 1 })).toMatchObject({ body: '{"a":1}' });
    expect(server.accepted).toBe(1);
  });

  it('takes the connection that was used last', async () => {
    const ports: (number | undefined)[] = [];
    await using server = await startHttp((request, response) => {
      ports.push(request.socket.remotePort);
      setTimeout(() => echo(request, response), request.url === '/slow' ? 30 : 0);
    });
    await using client = createHttpClient({ baseUrl: server.url });
    await Promise.all([client.get('/'), client.get('/slow')]);
    for (let index = 0; index < 3; index++) await client.get('/');
    expect(new Set(ports.slice(2))).toEqual(new Set([ports[1]]));
  });

  it('gives no request to a connection that is too old', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url, maxConnectionAgeMs: 20 });
    await client.get('/');
    await pause(40);
    await client.get('/');
    expect(server.accepted).toBe(2);
  });

  it('does not reuse a connection that the server is about to close', async () => {
    await using server = await startHttp((request, response) => {
      response.setHeader('connection', 'close');
      echo(request, response);
    });
    await using client = createHttpClient({ baseUrl: server.url, connections: 2 });
    const results = await Promise.all(Array.from({ length: 20 }, () => client.getJson('/')));
    expect(results).toHaveLength(20);
    expect(server.accepted).toBe(20);
    expect(client.stats().origins[server.url]?.replays).toBe(0);
  });

  it('makes two connections for two TLS hosts on one address, not one a request', async () => {
    await using server = await startHttps(echo);
    await using client = createHttpClient({
      tls: { ca: tls.cert },
      dns: { resolve: (_host, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]) },
    });
    for (let index = 0; index < 5; index++) {
      for (const host of ['a.test', 'b.test']) {
        expect(await client.getJson(`https://${host}:${server.port}/`)).toMatchObject({
          headers: { host: `${host}:${server.port}` },
        });
      }
    }
    expect(server.accepted).toBe(2);
  });

  it('verifies certificates, whatever the environment says', async () => {
    await using server = await startHttps(echo);
    await using client = createHttpClient({ retry: false });
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    try {
      const error = await failureOf(client.get(server.url));
      expect(error).toMatchObject({ code: 'HOTPATH_HTTP_CONNECT_FAILED', phase: 'connect' });
      expect((error.cause as { code: string }).code).toBe('DEPTH_ZERO_SELF_SIGNED_CERT');
      await using explicit = createHttpClient({ retry: false, tls: { rejectUnauthorized: undefined } });
      expect((await failureOf(explicit.get(server.url))).code).toBe('HOTPATH_HTTP_CONNECT_FAILED');
    } finally {
      if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
    }
  });

  it('looks a host up once for many connections, and spreads them over its addresses', async () => {
    let lookups = 0;
    const used: (string | undefined)[] = [];
    await using server = await startHttp(
      (request, response) => {
        used.push(request.socket.localAddress);
        setTimeout(() => echo(request, response), 20);
      },
      undefined,
      '0.0.0.0',
    );
    await using client = createHttpClient({
      baseUrl: `http://a.test:${server.port}`,
      dns: {
        resolve: (_host, callback) => {
          lookups++;
          setTimeout(
            () =>
              callback(null, [
                { address: '127.0.0.1', family: 4 },
                { address: '127.0.0.2', family: 4 },
                { address: '127.0.0.3', family: 4 },
              ]),
            5,
          );
        },
      },
    });
    await Promise.all(Array.from({ length: 6 }, () => client.getJson('/')));
    expect(lookups).toBe(1);
    expect(used.sort()).toEqual(['1', '1', '2', '2', '3', '3'].map((last) => `127.0.0.${last}`));
  });

  it('keeps what a host resolved to for ttlMs, and no longer', async () => {
    let lookups = 0;
    await using server = await startHttp(echo);
    for (const [ttlMs, expected] of [
      [60_000, 1],
      [0, 3],
    ] as const) {
      lookups = 0;
      await using client = createHttpClient({
        keepAliveConnections: 0,
        dns: {
          ttlMs,
          resolve: (_host, callback) => {
            lookups++;
            callback(null, [{ address: '127.0.0.1', family: 4 }]);
          },
        },
      });
      for (let index = 0; index < 3; index++) {
        await client.get(`http://a.test:${server.port}/`);
        await until(() => client.stats().connections.open === 0);
      }
      expect(lookups).toBe(expected);
    }
  });

  it('goes to another address of a host when one refuses', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({
      baseUrl: `http://a.test:${server.port}`,
      retry: false,
      dns: {
        resolve: (_host, callback) =>
          callback(null, [
            { address: '127.0.0.2', family: 4 },
            { address: '127.0.0.1', family: 4 },
          ]),
      },
    });
    expect(await client.getJson('/')).toMatchObject({ method: 'GET' });
  });

  it('asks again for a host that could not be resolved, and fails for that one only', async () => {
    let lookups = 0;
    await using server = await startHttp(echo);
    await using client = createHttpClient({
      retry: false,
      dns: {
        resolve: (_host, callback) => {
          if (++lookups === 1) callback(Object.assign(new Error('nobody knows'), { code: 'ENOTFOUND' }), []);
          else callback(null, [{ address: '127.0.0.1', family: 4 }]);
        },
      },
    });
    const url = `http://a.test:${server.port}/`;
    expect(await failureOf(client.get(url))).toMatchObject({
      code: 'HOTPATH_HTTP_CONNECT_FAILED',
      phase: 'connect',
    });
    expect((await client.get(url)).status).toBe(200);
  });
});

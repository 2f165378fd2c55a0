import type { Http2Session, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';
import { startFaultProxy } from '@hotpath/testkit';
import { describe, expect, it } from 'vitest';
import { createHttpClient } from '../../src/index.ts';
import {
  echo,
  failureOf,
  startH2,
  startH2c,
  startHttps,
  type TestServer,
  tls,
  until,
} from '../support/servers.ts';

const ca = { tls: { ca: tls.cert } };

function answer(stream: ServerHttp2Stream, value: unknown = { ok: true }): void {
  if (stream.destroyed) return;
  stream.respond({ ':status': 200, 'content-type': 'application/json' });
  if (stream.writable) stream.end(JSON.stringify(value));
}

// Not by the session's socket: Node 22 forbids to destroy that one.
function loseConnections({ sockets }: TestServer): void {
  for (const socket of sockets) socket.destroy();
}

describe('HTTP/2', () => {
  it.each([
    [undefined, 3],
    [2, 2],
    [1, 1],
  ])('carries many requests on few connections (80 where there may be %s: %d)', async (most, expected) => {
    await using server = await startH2((http) => {
      http.on('stream', (stream, headers) => setTimeout(() => answer(stream, { path: headers[':path'] }), 5));
    });
    await using client = createHttpClient({
      baseUrl: server.url,
      http2: true,
      connectionsPerOrigin: most,
      ...ca,
    });
    const paths = Array.from({ length: 80 }, (_, index) => `/${index}`);
    expect(await Promise.all(paths.map((path) => client.getJson(path)))).toEqual(
      paths.map((path) => ({ path })),
    );
    expect(server.accepted).toBe(expected);
    expect(client.stats().origins[server.url]).toMatchObject({ connects: expected, dispatched: 80 });
  });

  it('sends bodies, headers and all methods', async () => {
    await using server = await startH2c((http) => {
      http.on('stream', (stream, headers) => {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () =>
          answer(stream, {
            method: headers[':method'],
            a: headers['x-a'],
            body: Buffer.concat(chunks).toString(),
          }),
        );
      });
    });
    await using client = createHttpClient({ baseUrl: server.url, http2: [server.url] });
    expect(await client.postJson('/', { b: 1 }, { headers: { 'X-A': '1' } })).toEqual({
      method: 'POST',
      a: '1',
      body: '{"b":1}',
    });
    async function* body(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('two ');
      yield Buffer.from('parts');
    }
    expect((await client.put('/', { body: body() })).json()).toMatchObject({
      method: 'PUT',
      body: 'two parts',
    });
    expect((await client.head('/')).status).toBe(200);
    expect((await client.delete('/')).json()).toMatchObject({ method: 'DELETE' });
  });

  it('is off unless asked for, and falls back to HTTP/1.1', async () => {
    await using both = await startH2((http) => http.on('request', echo as never), { allowHTTP1: true });
    await using plain = await startHttps(echo);
    await using off = createHttpClient(ca);
    expect(await off.getJson(`${both.url}/`)).toMatchObject({ headers: { connection: 'keep-alive' } });
    await using on = createHttpClient({ ...ca, http2: true });
    expect(await on.getJson(`${plain.url}/`)).toMatchObject({ headers: { connection: 'keep-alive' } });
    await Promise.all(Array.from({ length: 4 }, () => on.getJson(`${plain.url}/`)));
    expect(
      (await on.getJson<{ headers: Record<string, string> }>(`${both.url}/`)).headers,
    ).not.toHaveProperty('connection');
  });

  it('keeps to the number of streams that the server allows', async () => {
    let open = 0;
    let most = 0;
    await using server = await startH2c(
      (http) =>
        http.on('stream', (stream) => {
          most = Math.max(most, ++open);
          stream.on('close', () => open--);
          setTimeout(() => answer(stream), 2);
        }),
      { settings: { maxConcurrentStreams: 3 } },
    );
    await using client = createHttpClient({ baseUrl: server.url, http2: [server.url], connections: 1 });
    await Promise.all(Array.from({ length: 60 }, () => client.getJson('/')));
    expect(most).toBeLessThanOrEqual(3);
    expect(server.accepted).toBe(1);
  });

  it('keeps to fewer streams from then on, when the server comes to allow fewer, and to more', async () => {
    const sessions: ServerHttp2Session[] = [];
    const held: ServerHttp2Stream[] = [];
    await using server = await startH2c((http) => {
      http.on('session', (session) => sessions.push(session));
      http.on('stream', (stream) => held.push(stream));
    });
    await using client = createHttpClient({ baseUrl: server.url, http2: [server.url], connections: 1 });
    const settle = (maxConcurrentStreams: number): Promise<void> =>
      new Promise((resolve) => sessions[0]!.settings({ maxConcurrentStreams }, () => resolve()));
    const stats = () => client.stats().origins[server.url]!;
    const all = Array.from({ length: 30 }, () => client.getJson('/'));
    await until(() => held.length === 30);
    await settle(2);
    // Two of those that end make no room yet.
    all.push(client.getJson('/'), client.getJson('/'));
    for (const stream of held.splice(0, 10)) answer(stream);
    await until(() => stats().inFlight === 20);
    expect(stats().queued).toBe(2);
    for (const stream of held.splice(0)) answer(stream);
    await until(() => held.length === 2);
    all.push(...Array.from({ length: 8 }, () => client.getJson('/')));
    expect(stats()).toMatchObject({ queued: 8, inFlight: 2 });
    // And what waits is sent as soon as there is room, though nothing has ended.
    await settle(100);
    await until(() => held.length === 10);
    expect(stats()).toMatchObject({ queued: 0, inFlight: 10, connects: 1 });
    for (const stream of held) answer(stream);
    expect(await Promise.all(all)).toHaveLength(40);
  });

  it('waits no longer than the deadline for a server that allows no stream, or no byte', async () => {
    for (const settings of [{ maxConcurrentStreams: 0 }, { initialWindowSize: 0 }]) {
      await using server = await startH2c((http) => http.on('stream', () => {}), { settings });
      await using client = createHttpClient({ baseUrl: server.url, http2: [server.url], retry: false });
      const body = 'x'.repeat(10_000);
      const errors = await Promise.all(
        [1, 2, 3].map(() => failureOf(client.post('/', { body, timeoutMs: 100 }))),
      );
      for (const error of errors) expect(error.code).toBe('HOTPATH_HTTP_TIMEOUT');
      expect(client.stats()).toMatchObject({ active: 0 });
      await client.close();
      await until(() => server.sockets.size === 0);
    }
  });

  it('gives headers as HTTP/1.1 does, without those of the protocol', async () => {
    await using server = await startH2c((http) => {
      http.on('stream', (stream) => {
        stream.respond({ ':status': 201, 'set-cookie': ['a=b', 'c=d'], 'x-a': 'é' });
        stream.end();
      });
    });
    await using client = createHttpClient({ baseUrl: server.url, http2: [server.url] });
    const { status, headers } = await client.get('/');
    expect(status).toBe(201);
    expect(Object.keys(headers).sort()).toEqual(['date', 'set-cookie', 'x-a']);
    expect(headers).toMatchObject({ 'set-cookie': ['a=b', 'c=d'] });
  });

  it('sends what a GOAWAY left unprocessed on another connection, also a POST', async () => {
    const sessions: Http2Session[] = [];
    let processed = 0;
    await using server = await startH2c((http) => {
      http.on('session', (session) => sessions.push(session));
      http.on('stream', (stream) => {
        if (stream.session === sessions[0] && stream.id! > 1) {
          // It says that only the first stream was looked at.
          if (stream.id === 3) sessions[0]!.goaway(constants.NGHTTP2_NO_ERROR, 1);
          return;
        }
        processed++;
        setTimeout(() => answer(stream), 20);
      });
    });
    await using client = createHttpClient({ baseUrl: server.url, http2: [server.url], retry: false });
    const results = await Promise.all(Array.from({ length: 6 }, () => client.postJson('/', {})));
    expect(results).toHaveLength(6);
    expect(processed).toBe(6);
    expect(server.accepted).toBe(2);
    expect(client.stats().origins[server.url]).toMatchObject({ retries: 0, failures: 0 });
    expect(client.stats().origins[server.url]?.replays).toBeGreaterThanOrEqual(5);
  });

  it('sends what a GOAWAY of a server in trouble left unprocessed elsewhere, and nothing else', async () => {
    const sessions: Http2Session[] = [];
    const processed: string[] = [];
    await using server = await startH2c((http) => {
      http.on('session', (session) => sessions.push(session));
      http.on('stream', (stream, headers) => {
        if (stream.session !== sessions[0]) {
          processed.push(String(headers[':path']));
          answer(stream);
        } else if (stream.id === 3) sessions[0]!.goaway(constants.NGHTTP2_INTERNAL_ERROR, 1);
      });
    });
    await using client = createHttpClient({ baseUrl: server.url, http2: [server.url], retry: false });
    const first = failureOf(client.post('/first'));
    await until(() => client.stats().origins[server.url]?.inFlight === 1);
    expect((await client.post('/second')).status).toBe(200);
    expect((await first).code).toBe('HOTPATH_HTTP_CONNECTION_LOST');
    expect(processed).toEqual(['/second']);
  });

  it('lets what was under way end when the server says goodbye', async () => {
    await using server = await startH2c((http) => {
      http.on('stream', (stream, headers) => {
        setTimeout(() => answer(stream), 40);
        if (headers[':path'] === '/last') stream.session?.close();
      });
    });
    await using client = createHttpClient({ baseUrl: server.url, http2: [server.url], retry: false });
    const first = Promise.all(Array.from({ length: 5 }, () => client.postJson('/', {})));
    await client.postJson('/last', {});
    expect(await first).toHaveLength(5);
    await client.postJson('/', {});
    expect(server.accepted).toBe(2);
  });

  it('sends a refused stream again, but not for ever', async () => {
    let refusals = 0;
    await using server = await startH2c((http) => {
      http.on('stream', (stream, headers) => {
        if (headers[':path'] === '/never' || refusals++ < 2) stream.close(constants.NGHTTP2_REFUSED_STREAM);
        else answer(stream);
      });
    });
    await using client = createHttpClient({ baseUrl: server.url, http2: [server.url], retry: false });
    expect(await client.postJson('/', {})).toEqual({ ok: true });
    expect(client.stats().origins[server.url]?.replays).toBe(2);
    expect((await failureOf(client.postJson('/never', {}))).code).toBe('HOTPATH_HTTP_CONNECTION_LOST');
    expect(client.stats().origins[server.url]?.replays).toBe(2 + 5);
  });

  it('does not send a stream again that was reset while it was processed', async () => {
    let requests = 0;
    await using server = await startH2c((http) => {
      http.on('stream', (stream) => {
        requests++;
        stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      });
    });
    await using client = createHttpClient({ baseUrl: server.url, http2: [server.url] });
    expect(await failureOf(client.postJson('/', {}))).toMatchObject({ code: 'HOTPATH_HTTP_CONNECTION_LOST' });
    expect(requests).toBe(1);
  });

  it('never takes a body that was cut off for a whole one', async () => {
    await using server = await startH2c((http) => {
      http.on('stream', (stream) => {
        stream.respond({ ':status': 200 });
        stream.write('{"a":1}');
        setTimeout(() => loseConnections(server), 10);
      });
    });
    await using client = createHttpClient({ baseUrl: server.url, http2: [server.url], retry: false });
    expect(await failureOf(client.getJson('/'))).toMatchObject({
      family: 'unavailable',
      phase: 'body',
      status: 200,
    });
  });

  it('aborts a stream without its connection', async () => {
    let requests = 0;
    await using server = await startH2c((http) => {
      http.on('stream', (stream, headers) => {
        requests++;
        if (headers[':path'] !== '/hang') answer(stream);
      });
    });
    await using client = createHttpClient({ baseUrl: server.url, http2: [server.url] });
    expect((await failureOf(client.get('/hang', { timeoutMs: 100, retry: false }))).code).toBe(
      'HOTPATH_HTTP_TIMEOUT',
    );
    await client.get('/');
    expect(server.accepted).toBe(1);
    expect(requests).toBe(2);
  });

  it('fails what a lost connection carried, and tries GETs again', async () => {
    let lost = false;
    await using server = await startH2c((http) => {
      http.on('stream', (stream) => {
        if (!lost) {
          lost = true;
          setTimeout(() => loseConnections(server), 20);
        } else setTimeout(() => answer(stream), 40);
      });
    });
    await using client = createHttpClient({ baseUrl: server.url, http2: [server.url], retry: { baseMs: 1 } });
    const results = await Promise.allSettled([
      client.getJson('/'),
      client.postJson('/', {}),
      client.getJson('/'),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  it('closes an idle session after keepAliveMs, and all of them with the client', async () => {
    await using server = await startH2c((http) => http.on('stream', (stream) => answer(stream)));
    await using client = createHttpClient({ baseUrl: server.url, http2: [server.url], keepAliveMs: 60 });
    await client.get('/');
    await until(() => server.sockets.size === 0);
    await client.get('/');
    await client.close();
    await until(() => server.sockets.size === 0);
  });

  it('gives up a connection whose peer is silent, so that it does not take what is to come', async () => {
    await using server = await startH2c((http) => http.on('stream', (stream) => answer(stream)));
    await using proxy = await startFaultProxy({ port: server.port });
    const baseUrl = `http://127.0.0.1:${proxy.port}`;
    await using client = createHttpClient({
      baseUrl,
      http2: [baseUrl],
      retry: false,
      timeoutMs: 500,
      // Not for being idle.
      keepAliveMs: 60_000,
    });
    await client.get('/');
    await proxy.setFault({ kind: 'blackHole' });
    expect((await failureOf(client.get('/'))).code).toBe('HOTPATH_HTTP_TIMEOUT');
    await until(() => client.stats().connections.open === 0);
    await proxy.setFault();
    expect((await client.get('/')).status).toBe(200);
    expect(client.stats().origins[baseUrl]?.connects).toBe(2);
  });

  it('keeps a connection on which one stream is slow', async () => {
    await using server = await startH2c((http) => {
      http.on('stream', (stream, headers) => {
        if (headers[':path'] !== '/hang') answer(stream);
      });
    });
    await using client = createHttpClient({ baseUrl: server.url, http2: [server.url], retry: false });
    await client.get('/');
    expect((await failureOf(client.get('/hang', { timeoutMs: 30 }))).code).toBe('HOTPATH_HTTP_TIMEOUT');
    await new Promise((resolve) => setTimeout(resolve, 2_200));
    expect((await client.get('/')).status).toBe(200);
    expect(server.accepted).toBe(1);
  });

  it('refuses a head that is too large', async () => {
    await using server = await startH2c((http) => {
      http.on('stream', (stream) => {
        const fields = Array.from({ length: 60 }, (_, index) => [`x-${index}`, 'y'.repeat(1_000)]);
        stream.respond({ ':status': 200, ...Object.fromEntries(fields) });
        stream.end();
      });
    });
    await using client = createHttpClient({ baseUrl: server.url, http2: [server.url], retry: false });
    expect((await failureOf(client.get('/'))).code).toBe('HOTPATH_HTTP_BAD_RESPONSE');
  });

  it('closes, although a server that said goodbye keeps its end open', async () => {
    await using server = await startH2c((http) => {
      http.on('stream', (stream) => {
        if (stream.id === 1) answer(stream);
        // Never answered, so that the server's side of the session stays.
        else stream.session?.goaway(constants.NGHTTP2_NO_ERROR, 1);
      });
    });
    const client = createHttpClient({
      baseUrl: server.url,
      http2: [server.url],
      retry: false,
      timeoutMs: 300,
    });
    await client.get('/');
    expect((await client.post('/')).status).toBe(200);
    const startMs = performance.now();
    await client.close();
    expect(performance.now() - startMs).toBeLessThan(2_000);
    expect(client.stats().connections.open).toBe(0);
  });
});

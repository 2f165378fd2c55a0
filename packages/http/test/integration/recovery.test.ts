import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { startFaultProxy } from '@hotpath/testkit';
import { describe, expect, it } from 'vitest';
import { createHttpClient } from '../../src/index.ts';
import { echo, failureOf, startHttp, startTcp, until } from '../support/servers.ts';

const OK = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}';
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Answers the first request of each connection, and does `then` at the second. */
function dyingServer(then: (socket: import('node:net').Socket) => void): ReturnType<typeof startTcp> {
  return startTcp((socket) => {
    let requests = 0;
    socket.on('data', () => {
      if (++requests === 1) socket.write(OK);
      else then(socket);
    });
  });
}

describe('stale connections', () => {
  it('sends a GET again, once and at once, when a reused connection dies before a byte of the answer', async () => {
    await using server = await dyingServer((socket) => socket.destroy());
    await using client = createHttpClient({
      baseUrl: server.url,
      retry: false,
      breaker: { consecutiveFailures: 1 },
    });
    await client.get('/');
    const response = await client.get('/');
    expect(response.attempts).toBe(1);
    expect(server.accepted).toBe(2);
    expect(client.stats().origins[server.url]).toMatchObject({
      replays: 1,
      retries: 0,
      failures: 0,
      breaker: 'closed',
    });
  });

  it('does so after a reset too', async () => {
    await using server = await dyingServer((socket) => socket.resetAndDestroy());
    await using client = createHttpClient({ baseUrl: server.url, retry: false });
    await client.get('/');
    expect((await client.get('/')).status).toBe(200);
  });

  it('never sends a POST again, but does with an idempotency key', async () => {
    await using server = await dyingServer((socket) => socket.destroy());
    await using client = createHttpClient({ baseUrl: server.url });
    await client.get('/');
    const error = await failureOf(client.post('/', { body: 'x' }));
    expect(error).toMatchObject({ code: 'HOTPATH_HTTP_CONNECTION_LOST', phase: 'headers', attempt: 1 });
    await client.get('/');
    expect((await client.post('/', { body: 'x', idempotencyKey: 'k-1' })).status).toBe(200);
  });

  it('does not when the answer had begun', async () => {
    await using server = await dyingServer((socket) =>
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal'),
    );
    await using client = createHttpClient({ baseUrl: server.url, retry: false });
    await client.get('/');
    const error = await failureOf(client.get('/'));
    expect(error).toMatchObject({ phase: 'body', status: 200 });
    expect(client.stats().origins[server.url]?.replays).toBe(0);
  });

  it('does not when the connection was new', async () => {
    await using server = await startTcp((socket) => socket.on('data', () => socket.destroy()));
    await using client = createHttpClient({ baseUrl: server.url, retry: false });
    expect((await failureOf(client.get('/'))).code).toBe('HOTPATH_HTTP_CONNECTION_LOST');
    expect(server.accepted).toBe(1);
  });

  it('does so only once', async () => {
    let requests = 0;
    await using server = await startTcp((socket) => {
      socket.on('data', () => {
        if (++requests === 1) socket.write(OK);
        else socket.destroy();
      });
    });
    await using client = createHttpClient({ baseUrl: server.url, retry: false });
    await client.get('/');
    expect((await failureOf(client.get('/'))).code).toBe('HOTPATH_HTTP_CONNECTION_LOST');
    expect(requests).toBe(3);
  });

  it('does so only once, also where the second try gets a connection that was used before', async () => {
    let deaths = 0;
    await using server = await startTcp((socket) => {
      socket.on('data', (data) => {
        if (data.includes('/die')) {
          deaths++;
          socket.destroy();
        } else setTimeout(() => socket.write(OK), data.includes('/slow') ? 100 : 0);
      });
    });
    let lookUps = 0;
    const client = createHttpClient({
      baseUrl: `http://a.test:${server.port}`,
      connections: 2,
      retry: false,
      timeoutMs: 2_000,
      dns: {
        ttlMs: 0,
        // There is no third connection.
        resolve: (_host, callback) => {
          if (++lookUps <= 2) callback(null, [{ address: '127.0.0.1', family: 4 }]);
        },
      },
    });
    await Promise.all([client.get('/'), client.get('/')]);
    const slow = client.get('/slow');
    expect((await failureOf(client.get('/die'))).code).toBe('HOTPATH_HTTP_CONNECTION_LOST');
    expect((await slow).status).toBe(200);
    expect(deaths).toBe(2);
    await client.close({ drainMs: 0 });
  });

  it('does not meet another dead connection of the same age', async () => {
    await using server = await dyingServer((socket) => socket.destroy());
    await using client = createHttpClient({ baseUrl: server.url, retry: false });
    await Promise.all([1, 2, 3].map(() => client.get('/')));
    expect(server.accepted).toBe(3);
    expect((await client.get('/')).status).toBe(200);
    expect(server.accepted).toBe(4);
    expect(client.stats().origins[server.url]).toMatchObject({ replays: 1, failures: 0 });
  });

  it('shows callers nothing of a server that closes idle connections under steady load', async () => {
    await using server = await startHttp(echo, (http) => {
      // node:http announces whole seconds only: this is closed unannounced.
      http.keepAliveTimeout = 30;
      http.keepAliveTimeoutBuffer = 0;
      http.on('request', (_request, response) => response.removeHeader('keep-alive'));
    });
    await using client = createHttpClient({ baseUrl: server.url });
    for (let round = 0; round < 25; round++) {
      await Promise.all(Array.from({ length: 8 }, () => client.getJson('/')));
      // Right around the moment at which the server closes.
      await pause(28 + (round % 5));
    }
    expect(client.stats().origins[server.url]?.failures).toBe(0);
  });

  it('loses nothing when every connection is reset at once', async () => {
    await using server = await startHttp(echo);
    await using proxy = await startFaultProxy({ port: server.port });
    await using client = createHttpClient({
      baseUrl: `http://127.0.0.1:${proxy.port}`,
      retry: { baseMs: 1 },
    });
    for (let round = 0; round < 5; round++) {
      await Promise.all(Array.from({ length: 20 }, () => client.getJson('/')));
      proxy.reset();
      await Promise.all(Array.from({ length: 20 }, () => client.getJson('/')));
    }
  });
});

describe('retries', () => {
  /** Answers with these statuses in turn, then with 200. */
  async function failing(...answers: (number | [number, Record<string, string>])[]) {
    const seen: string[] = [];
    const server = await startHttp((request, response) => {
      seen.push(request.method ?? '');
      const next = answers.shift();
      if (next === undefined) {
        echo(request, response);
        return;
      }
      const [status, headers] = typeof next === 'number' ? [next, {}] : next;
      response.writeHead(status, headers).end('no');
    });
    return { server, seen };
  }
  const quick = { baseMs: 1, maxMs: 2 };

  for (const status of [408, 429, 502, 503, 504]) {
    it(`tries a GET again after ${status}`, async () => {
      const { server, seen } = await failing(status, status);
      await using _ = server;
      await using client = createHttpClient({ baseUrl: server.url, retry: quick });
      expect((await client.get('/')).attempts).toBe(3);
      expect(seen).toHaveLength(3);
      expect(client.stats().origins[server.url]?.retries).toBe(2);
    });
  }

  for (const status of [400, 401, 403, 404, 409, 500, 501]) {
    it(`does not after ${status}`, async () => {
      const { server, seen } = await failing(status);
      await using _ = server;
      await using client = createHttpClient({ baseUrl: server.url, retry: quick });
      expect(await failureOf(client.get('/'))).toMatchObject({
        code: 'HOTPATH_HTTP_STATUS',
        status,
        family: 'upstream',
      });
      expect(seen).toHaveLength(1);
    });
  }

  it('never tries a POST or PATCH again, unless it has an idempotency key, under either spelling', async () => {
    const { server, seen } = await failing(503, 503, 503);
    await using _ = server;
    await using client = createHttpClient({ baseUrl: server.url, retry: quick });
    expect((await failureOf(client.post('/', { body: 'x' }))).status).toBe(503);
    expect((await failureOf(client.patch('/', { body: 'x' }))).status).toBe(503);
    expect(seen).toEqual(['POST', 'PATCH']);
    expect((await client.post('/', { body: 'x', headers: { 'Idempotency-Key': 'a' } })).attempts).toBe(2);
    expect(
      (await client.postJson<{ headers: Record<string, string> }>('/', {}, { idempotencyKey: 'b' })).headers[
        'idempotency-key'
      ],
    ).toBe('b');
  });

  it('never tries a request again whose body can be sent only once', async () => {
    const { server, seen } = await failing(503);
    await using _ = server;
    await using client = createHttpClient({ baseUrl: server.url, retry: quick });
    async function* body(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('x');
    }
    expect((await failureOf(client.put('/', { body: body() }))).status).toBe(503);
    expect(seen).toEqual(['PUT']);
  });

  it('pauses for a random part of a span that doubles up to its end', async () => {
    const { server } = await failing(503, 503, 503, 503);
    await using _ = server;
    const pauses: number[] = [];
    const listen = (event: unknown): void => {
      pauses.push((event as { pauseMs: number }).pauseMs);
    };
    subscribe('hotpath:http:retry', listen);
    try {
      await using client = createHttpClient({
        baseUrl: server.url,
        random: () => 0.25,
        retry: { attempts: 5, baseMs: 4, maxMs: 12 },
      });
      expect((await client.get('/')).attempts).toBe(5);
    } finally {
      unsubscribe('hotpath:http:retry', listen);
    }
    expect(pauses).toEqual([1, 2, 3, 3]);
  });

  it('waits as long as Retry-After says, never less', async () => {
    const { server } = await failing([503, { 'retry-after': '1' }]);
    await using _ = server;
    await using client = createHttpClient({ baseUrl: server.url, retry: quick });
    const startMs = performance.now();
    expect((await client.get('/')).attempts).toBe(2);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(1_000);
  });

  it('fails at once when Retry-After is longer than the deadline', async () => {
    const { server, seen } = await failing([503, { 'retry-after': '3600' }]);
    await using _ = server;
    await using client = createHttpClient({ baseUrl: server.url, retry: quick });
    const startMs = performance.now();
    const error = await failureOf(client.get('/', { timeoutMs: 1_000 }));
    expect(error).toMatchObject({ code: 'HOTPATH_HTTP_STATUS', status: 503, retryAfterMs: 3_600_000 });
    expect(performance.now() - startMs).toBeLessThan(500);
    expect(seen).toHaveLength(1);
  });

  it('stops when the budget is spent', async () => {
    let requests = 0;
    await using server = await startHttp((_request, response) => {
      requests++;
      response.writeHead(503).end();
    });
    await using client = createHttpClient({
      baseUrl: server.url,
      breaker: false,
      retry: { ...quick, budgetRatio: 0.2, budgetPerSecond: 0 },
    });
    await Promise.all(Array.from({ length: 100 }, () => failureOf(client.get('/'))));
    expect(requests).toBeLessThanOrEqual(120);
    expect(requests).toBeGreaterThan(100);
  });

  it('leaves what it was given of the budget to others when it is aborted before it tries again', async () => {
    const { server, seen } = await failing(503, 503);
    await using _ = server;
    await using client = createHttpClient({
      baseUrl: server.url,
      random: () => 0.5,
      retry: { baseMs: 100, budgetRatio: 0, budgetPerSecond: 0.1 },
    });
    const abort = new AbortController();
    const aborted = failureOf(client.get('/', { signal: abort.signal }));
    await until(() => client.stats().origins[server.url]?.retries === 1);
    abort.abort(new Error('gone'));
    expect((await aborted).message).toBe('gone');
    expect((await client.get('/')).attempts).toBe(2);
    expect(seen).toHaveLength(3);
  });

  it('tries again after a refused connection, and tells the last reason', async () => {
    await using server = await startHttp(echo);
    await using proxy = await startFaultProxy({ port: server.port });
    await proxy.setFault({ kind: 'refuse' });
    await using client = createHttpClient({ baseUrl: `http://127.0.0.1:${proxy.port}`, retry: quick });
    const error = await failureOf(client.get('/'));
    expect(error).toMatchObject({ code: 'HOTPATH_HTTP_CONNECT_FAILED', phase: 'connect', attempt: 3 });
    expect((error.cause as { code: string }).code).toBe('ECONNREFUSED');
    await proxy.setFault();
    expect((await client.get('/')).status).toBe(200);
  });
});

describe('the breaker', () => {
  it('opens after failures, refuses without a request, and closes when the origin is back', async () => {
    let broken = true;
    let requests = 0;
    await using server = await startHttp((request, response) => {
      requests++;
      if (broken) response.writeHead(500).end();
      else echo(request, response);
    });
    await using client = createHttpClient({
      baseUrl: server.url,
      breaker: { failureRatio: 0.5, minimumCalls: 5, openMs: 100, probes: 1 },
    });
    for (let index = 0; index < 5; index++) await failureOf(client.get('/'));
    expect(client.stats().origins[server.url]?.breaker).toBe('open');
    const error = await failureOf(client.get('/'));
    expect(error).toMatchObject({ code: 'HOTPATH_HTTP_CIRCUIT_OPEN', family: 'unavailable', phase: 'queue' });
    expect(error.retryAfterMs).toBeGreaterThan(0);
    expect(requests).toBe(5);
    broken = false;
    await pause(150);
    expect((await client.get('/')).status).toBe(200);
    expect(client.stats().origins[server.url]?.breaker).toBe('closed');
  });

  it('refuses what it let into the queue, when it opens before that has a connection', async () => {
    let requests = 0;
    await using server = await startHttp((_request, response) => {
      requests++;
      setTimeout(() => response.writeHead(500).end(), 30);
    });
    await using client = createHttpClient({
      baseUrl: server.url,
      connections: 1,
      breaker: { failureRatio: 0.5, minimumCalls: 1, openMs: 10_000 },
      retry: false,
    });
    const errors = await Promise.all([1, 2, 3].map(() => failureOf(client.get('/'))));
    expect(errors.map(({ code }) => code)).toEqual([
      'HOTPATH_HTTP_STATUS',
      'HOTPATH_HTTP_CIRCUIT_OPEN',
      'HOTPATH_HTTP_CIRCUIT_OPEN',
    ]);
    expect(requests).toBe(1);
    expect(client.stats()).toMatchObject({ active: 0, connections: { open: 1, idle: 1 } });
    expect(client.stats().origins[server.url]).toMatchObject({ queued: 0, inFlight: 0, failures: 1 });
  });

  it('does not count 4xx, aborts and refusals of our own', async () => {
    await using server = await startHttp((request, response) => {
      if (request.url === '/hang') return;
      response.writeHead(404).end();
    });
    await using client = createHttpClient({
      baseUrl: server.url,
      connections: 1,
      maxQueued: 0,
      breaker: { failureRatio: 0.01, minimumCalls: 1 },
      retry: false,
    });
    for (let index = 0; index < 10; index++) await failureOf(client.get('/'));
    const abort = new AbortController();
    const hanging = failureOf(client.get('/hang', { signal: abort.signal }));
    await until(() => client.stats().origins[server.url]?.inFlight === 1);
    expect((await failureOf(client.get('/'))).code).toBe('HOTPATH_HTTP_QUEUE_FULL');
    abort.abort();
    await hanging;
    expect(client.stats().origins[server.url]).toMatchObject({ breaker: 'closed', failures: 0 });
  });

  it('does not count what was over while it waited in our own queue', async () => {
    await using server = await startTcp(() => {});
    await using client = createHttpClient({
      baseUrl: server.url,
      connections: 1,
      breaker: { failureRatio: 0.01, minimumCalls: 1 },
      retry: false,
    });
    const abort = new AbortController();
    const hanging = failureOf(client.get('/', { signal: abort.signal }));
    await until(() => client.stats().origins[server.url]?.inFlight === 1);
    const queued = await Promise.all([1, 2, 3].map(() => failureOf(client.get('/', { timeoutMs: 20 }))));
    for (const error of queued) expect(error).toMatchObject({ code: 'HOTPATH_HTTP_TIMEOUT', phase: 'queue' });
    abort.abort();
    await hanging;
    expect(client.stats().origins[server.url]).toMatchObject({ breaker: 'closed', failures: 0 });
  });

  it('counts timeouts and lost connections', async () => {
    await using server = await startHttp((request) => {
      if (request.url === '/lost') request.socket.destroy();
    });
    await using client = createHttpClient({
      baseUrl: server.url,
      breaker: { failureRatio: 1, minimumCalls: 4 },
      retry: false,
    });
    await Promise.all([1, 2].map(() => failureOf(client.get('/lost'))));
    await Promise.all([1, 2].map(() => failureOf(client.get('/hang', { timeoutMs: 30 }))));
    expect(client.stats().origins[server.url]).toMatchObject({ breaker: 'open', failures: 4 });
  });

  it('belongs to its origin', async () => {
    await using bad = await startHttp((_request, response) => response.writeHead(500).end());
    await using good = await startHttp(echo);
    await using client = createHttpClient({ breaker: { minimumCalls: 2 } });
    for (let index = 0; index < 3; index++) await failureOf(client.get(`${bad.url}/`));
    expect((await failureOf(client.get(`${bad.url}/`))).code).toBe('HOTPATH_HTTP_CIRCUIT_OPEN');
    expect((await client.get(`${good.url}/`)).status).toBe(200);
  });
});

describe('the rate limit', () => {
  it('spaces requests out, in the time that their deadlines allow', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({
      baseUrl: server.url,
      rateLimit: { limit: 50, perMs: 1_000, burst: 1 },
    });
    const startMs = performance.now();
    await Promise.all(Array.from({ length: 6 }, () => client.get('/')));
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(98);
  });

  it('refuses at once what could not be in time', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url, rateLimit: { limit: 1, perMs: 60_000 } });
    await client.get('/');
    const error = await failureOf(client.get('/', { timeoutMs: 1_000 }));
    expect(error).toMatchObject({ code: 'HOTPATH_HTTP_RATE_LIMITED', family: 'rejected' });
    expect(error.retryAfterMs).toBeGreaterThan(50_000);
  });

  it('pauses for everybody when the origin answers 429', async () => {
    let requests = 0;
    await using server = await startHttp((request, response) => {
      if (++requests === 1) response.writeHead(429, { 'retry-after': '1' }).end();
      else echo(request, response);
    });
    await using client = createHttpClient({
      baseUrl: server.url,
      rateLimit: { limit: 1_000, burst: 10 },
      retry: false,
    });
    expect((await failureOf(client.get('/'))).status).toBe(429);
    const startMs = performance.now();
    await client.get('/other');
    expect(performance.now() - startMs).toBeGreaterThan(900);
    expect(client.stats().origins[server.url]).toMatchObject({ failures: 0, breaker: 'closed' });
  });

  it('is not cut short by a later 429 that asks for less', async () => {
    await using server = await startHttp((request, response) => {
      if (request.url === '/long') response.writeHead(429, { 'retry-after': '60' }).end();
      else setTimeout(() => response.writeHead(429, { 'retry-after': '1' }).end(), 50);
    });
    await using client = createHttpClient({
      baseUrl: server.url,
      rateLimit: { limit: 1_000, burst: 10 },
      retry: false,
      timeoutMs: 5_000,
    });
    await Promise.all(['/short', '/long'].map((path) => failureOf(client.get(path))));
    const error = await failureOf(client.get('/'));
    expect(error.code).toBe('HOTPATH_HTTP_RATE_LIMITED');
    expect(error.retryAfterMs).toBeGreaterThan(50_000);
  });

  it('lets no more wait for the end of such a pause than may wait for the limit', async () => {
    await using server = await startHttp((_request, response) => {
      response.writeHead(429, { 'retry-after': '60' }).end();
    });
    const client = createHttpClient({
      baseUrl: server.url,
      rateLimit: { limit: 1_000, maxWaiting: 2 },
      retry: false,
      timeoutMs: 120_000,
    });
    expect((await failureOf(client.get('/'))).status).toBe(429);
    const waiting = [1, 2].map(() => failureOf(client.get('/')));
    expect(await failureOf(client.get('/'))).toMatchObject({
      code: 'HOTPATH_HTTP_RATE_LIMITED',
      cause: { message: '2 requests wait already' },
    });
    await client.close({ drainMs: 0 });
    expect((await Promise.all(waiting)).map(({ code }) => code)).toEqual(
      Array(2).fill('HOTPATH_HTTP_CLOSED'),
    );
  });

  it('lets an aborted waiter go at once', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url, rateLimit: { limit: 1, perMs: 5_000 } });
    await client.get('/');
    const abort = new AbortController();
    const waiting = failureOf(client.get('/', { signal: abort.signal }));
    setTimeout(() => abort.abort(new Error('gone')), 10);
    expect((await waiting).message).toBe('gone');
    expect(client.stats().active).toBe(0);
  });
});

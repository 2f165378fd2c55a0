import { getEventListeners } from 'node:events';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createHttpClient, type HttpClient } from '../../src/index.ts';
import { type Echo, echo, failureOf, startHttp, startTcp, until } from '../support/servers.ts';

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('a wrong argument', () => {
  const wrong: [string, Record<string, unknown>][] = [
    ['timeout', { timeout: 5 }],
    ['retry', { retry: { attempts: 5 } }],
    ['redirect', { redirect: 'follow' }],
    ['hedge', { hedge: 5 }],
    ['coalesce', { coalesce: 'yes' }],
    ['signal', { signal: new AbortController() }],
    ['acceptStatus', { acceptStatus: 200 }],
    ['schema', { schema: {} }],
    ['idempotencyKey', { idempotencyKey: 5 }],
    ['idempotencyKey', { idempotencyKey: '' }],
    ['query', { query: 'a=b' }],
    ['trace', { trace: '00-…' }],
    ['priority', { priority: Number.NaN }],
    ['timeoutMs', { timeoutMs: '5' }],
    ['attemptTimeoutMs', { attemptTimeoutMs: 0 }],
    ['maxResponseBytes', { maxResponseBytes: -1 }],
    ['method', { method: 5 }],
    ['method', { method: 'GET\r\n' }],
    ['CONNECT', { method: 'CONNECT' }],
    ['body', { method: 'POST', body: { a: 1 } }],
    ['body', { method: 'POST', body: new URLSearchParams('a=b') }],
    ['body', { method: 'POST', body: new FormData() }],
    ['body', { method: 'POST', body: null }],
    ['JSON', { method: 'POST', json: () => {} }],
    ['headers', { headers: new Headers({ a: 'b' }) }],
    ['headers', { headers: [['a', 'b']] }],
    ['headers', { headers: 'a: b' }],
    ["'a'", { headers: { a: null } }],
    ["'a'", { headers: { a: { b: 1 } } }],
    ["'a'", { headers: { a: Number.NaN } }],
    ['url', { url: 5 }],
    ['credentials', { url: 'http://user:password@127.0.0.1/' }],
  ];
  for (const [name, given] of wrong) {
    it(`is refused by name, and nothing is sent: ${name}, ${Object.values(given).map(String)}`, async () => {
      await using server = await startHttp(echo);
      await using client = createHttpClient({ baseUrl: server.url });
      const error = await failureOf(client.request({ url: '/', ...given } as never));
      expect(error).toSatisfy((it: unknown) => it instanceof TypeError || it instanceof RangeError);
      expect(error.message).toContain(name);
      expect(error.message).toMatch(/^request: /);
      expect(error.message).not.toContain('password');
      expect(client.stats().active).toBe(0);
      expect(server.accepted).toBe(0);
    });
  }

  it('rejects, and never throws, wherever it is given', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url });
    const wrongCalls: ((client: HttpClient) => Promise<unknown>)[] = [
      (it) => it.request(null as never),
      (it) => it.request(new URL(server.url) as never),
      (it) => it.request({} as never),
      (it) => it.get(undefined as never),
      (it) => it.get(5 as never),
      (it) => it.get('/', 5 as never),
      (it) => it.get('/', null as never),
      (it) => it.get('/', { method: 'POST' } as never),
      (it) => it.stream({ url: '/', nonsense: 1 } as never),
      (it) => it.events({ url: '/', nonsense: 1 } as never).next(),
      (it) => it.events('/', { reconnect: 'yes' } as never).next(),
      (it) => it.gather(['/'], { as: 'text' } as never),
      (it) => it.gather('/' as never),
      (it) => it.gatherStream('/' as never).next(),
      (it) => it.close({ drainMs: -5 }),
      (it) => it.close({ drainMs: Number.NaN }),
      (it) => it.close({ drain: 5 } as never),
    ];
    for (const call of wrongCalls) {
      expect(await failureOf(call(client)), String(call)).toSatisfy(
        (it: unknown) => it instanceof TypeError || it instanceof RangeError,
      );
    }
    // Nor has any of it closed the client.
    expect((await client.get('/')).status).toBe(200);
  });

  it('is refused by name where one URL is gathered, and nothing is sent', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url });
    const asked = {
      gather: () => client.gather('/policies' as never),
      gatherStream: () => client.gatherStream('/policies' as never).next(),
    };
    for (const [name, ask] of Object.entries(asked)) {
      const error = await failureOf(ask());
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toBe(`${name}: argument 'requests' must be a list of requests, got a string`);
    }
    expect(server.accepted).toBe(0);
  });

  it('fails its own item of a gather alone', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url });
    const results = await client.gather(['/a', null as never, { url: '/b', timeoutMs: -1 }, '/c']);
    expect(results.map(({ status }) => status)).toEqual(['ok', 'error', 'error', 'ok']);
  });

  it('is not what somebody has put on Object.prototype', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url });
    const polluted = Object.prototype as unknown as Record<string, unknown>;
    for (const [name, value] of Object.entries({
      json: { a: 1 },
      headers: { 'x-evil': '1' },
      timeoutMs: 0,
      redirect: true,
      trace: 5,
    })) {
      polluted[name] = value;
      try {
        const { method, headers, body } = await client.getJson<Echo>('/', {});
        expect({ method, body }).toEqual({ method: 'GET', body: '' });
        expect(Object.keys(headers)).not.toContain('x-evil');
      } finally {
        delete polluted[name];
      }
    }
  });
});

describe('a method', () => {
  it('may be written in lower case, and counts as what it is', async () => {
    let requests = 0;
    await using server = await startHttp((request, response) => {
      if (++requests === 1) response.writeHead(503).end();
      else echo(request, response);
    });
    await using client = createHttpClient({ baseUrl: server.url, retry: { baseMs: 1 } });
    expect((await client.request({ method: 'get', url: '/' })).attempts).toBe(2);
    expect((await client.request({ method: 'post', url: '/', body: 'x' })).json()).toMatchObject({
      method: 'POST',
    });
  });
});

describe('what a client has off', () => {
  it('can be asked for by a request', async () => {
    let requests = 0;
    await using server = await startHttp((request, response) => {
      requests++;
      if (request.url === '/from') response.writeHead(302, { location: '/to' }).end();
      else if (request.url === '/busy' && requests === 1) response.writeHead(503).end();
      else if (request.url === '/slow' && requests === 1) setTimeout(() => response.end(), 500);
      else echo(request, response);
    });
    await using client = createHttpClient({ baseUrl: server.url, retry: false });
    expect((await client.get('/busy', { retry: true })).attempts).toBe(2);
    expect((await client.get('/from')).status).toBe(302);
    expect((await client.get('/from', { redirect: true })).json()).toMatchObject({ url: '/to' });
    expect(client.stats().origins[server.url]).toMatchObject({ retries: 1 });
  });

  it('is still within the budget of retries', async () => {
    let requests = 0;
    await using server = await startHttp((_request, response) => {
      requests++;
      response.writeHead(503).end();
    });
    await using client = createHttpClient({ baseUrl: server.url, retry: false, breaker: false });
    await Promise.all(Array.from({ length: 200 }, () => failureOf(client.get('/', { retry: true }))));
    // A fifth, and ten for each of the ten seconds that count.
    expect(requests).toBeLessThanOrEqual(200 + 40 + 100);
    expect(requests).toBeGreaterThan(200);
  });
});

describe('a body that is sent', () => {
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('x');
    await pause(5);
    throw new Error('mine');
  }

  it('and fails, fails its request with it as the cause, once, and does not count against the origin', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url });
    for (const body of [failing(), Readable.from(failing())]) {
      const error = await failureOf(client.put('/', { body }));
      expect(error).toMatchObject({ code: 'HOTPATH_HTTP_CONNECTION_LOST', attempt: 1 });
      expect((error.cause as Error).message).toBe('mine');
    }
    expect(client.stats().origins[server.url]).toMatchObject({ failures: 0, breaker: 'closed' });
    expect(client.stats().active).toBe(0);
  });

  it('and never ends, ends with the deadline, and its stream is destroyed', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url });
    const body = new Readable({ read() {} });
    body.push('x');
    expect((await failureOf(client.post('/', { body, timeoutMs: 100 }))).code).toBe('HOTPATH_HTTP_TIMEOUT');
    await until(() => body.destroyed);
    await until(() => server.sockets.size === 0);
  });

  it('is given up when the answer comes before its end, and its connection is not used again', async () => {
    await using server = await startTcp((socket) => socket.once('data', () => socket.write(OK)));
    await using client = createHttpClient({ baseUrl: server.url, timeoutMs: 1_000 });
    let ended = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          yield Buffer.from('x');
          await pause(5);
        }
      } finally {
        ended = true;
      }
    }
    expect((await client.post('/', { body: endless() })).status).toBe(200);
    await until(() => ended);
    await until(() => client.stats().connections.open === 0);
    expect((await client.get('/')).status).toBe(200);
  });
});

describe('aborts', () => {
  it('leave no listener on a long-lived signal, however requests end', async () => {
    await using server = await startHttp((request, response) => {
      if (request.url === '/hang') return;
      if (request.url === '/bad') response.writeHead(400).end();
      else echo(request, response);
    });
    await using client = createHttpClient({
      baseUrl: server.url,
      hedge: { delayMs: 5 },
      rateLimit: { limit: 100_000 },
      timeoutMs: 30,
    });
    const { signal } = new AbortController();
    const each = { signal, timeoutMs: 5_000 };
    for (const coalesce of [false, true]) {
      await client.get('/', { ...each, coalesce });
      await failureOf(client.get('/bad', { ...each, coalesce }));
      await failureOf(client.get('/hang', { signal, coalesce }));
    }
    await client.gather(['/', '/bad', { url: '/', ...each }], { signal });
    for await (const _ of (await client.stream({ url: '/', ...each })).body);
    await failureOf(client.events({ url: '/', ...each }).next());
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('at any moment settle at once with the reason, and leave a client that works', async () => {
    await using server = await startHttp((_request, response) => {
      setTimeout(() => {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.write('{"a":');
        setTimeout(() => response.end('1}'), 2);
      }, 2);
    });
    await using client = createHttpClient({ baseUrl: server.url, connections: 4 });
    const work = Array.from({ length: 300 }, async (_, index) => {
      const abort = new AbortController();
      const reason = new Error(`reason ${index}`);
      let abortedMs = Number.POSITIVE_INFINITY;
      setTimeout(
        () => {
          abort.abort(reason);
          abortedMs = performance.now();
          // In the same turn: whatever was under way is given up behind the caller's back.
          queueMicrotask(() => queueMicrotask(() => queueMicrotask(() => expect(settled).toBe(true))));
        },
        (index * 7) % 30,
      );
      let settled = false;
      try {
        expect(await client.getJson('/', { signal: abort.signal })).toEqual({ a: 1 });
        settled = true;
        expect(performance.now()).toBeLessThan(abortedMs);
      } catch (error) {
        settled = true;
        expect(error).toBe(reason);
      }
    });
    await Promise.all(work);
    expect(client.stats()).toMatchObject({ active: 0 });
    expect(client.stats().origins[server.url]).toMatchObject({ queued: 0, failures: 0 });
    expect(await client.getJson('/')).toEqual({ a: 1 });
  });
});

describe('ten thousand at once', () => {
  it('are served up to the bound of the queue, and the rest is refused at once', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({
      baseUrl: server.url,
      connections: 10,
      maxQueued: 500,
      timeoutMs: 60_000,
    });
    let refusedMs = 0;
    const startMs = performance.now();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10_000 }, () =>
        client.get('/').catch((error: unknown) => {
          refusedMs = performance.now() - startMs;
          throw error;
        }),
      ),
    );
    const refused = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
    expect(refused).toHaveLength(10_000 - 510);
    for (const { reason } of refused) {
      expect(reason).toMatchObject({ code: 'HOTPATH_HTTP_QUEUE_FULL', phase: 'queue', attempt: 1 });
    }
    expect(refusedMs).toBeLessThan(performance.now() - startMs);
    expect(server.accepted).toBe(10);
    expect(client.stats()).toMatchObject({ active: 0 });
    expect(client.stats().origins[server.url]).toMatchObject({ failures: 0, breaker: 'closed', queued: 0 });
  });
});

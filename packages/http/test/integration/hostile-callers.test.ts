import { getEventListeners } from 'node:events';
import type { RequestListener } from 'node:http';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createHttpClient, type HttpClient } from '../../src/index.ts';
import {
  type Echo,
  echo,
  failureOf,
  startH2c,
  startHttp,
  startTcp,
  type TestServer,
  until,
} from '../support/servers.ts';

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
      (it) => it.gather(['/'], null as never),
      (it) => it.gatherStream(['/'], null as never).next(),
      (it) => it.events({ url: '/', method: 5 } as never, { reconnect: true }).next(),
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

  it('is refused by name where something else than a list is gathered, and nothing is sent', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url });
    const asked = {
      gather: (given: unknown) => client.gather(given as never),
      gatherStream: (given: unknown) => client.gatherStream(given as never).next(),
    };
    const given = [
      ['"/policies"', '/policies'],
      ['undefined', undefined],
      ['null', null],
      ['5', 5],
      ['an object', {}],
    ];
    for (const [name, ask] of Object.entries(asked)) {
      for (const [told, requests] of given) {
        const error = await failureOf(ask(requests));
        expect(error).toBeInstanceOf(TypeError);
        expect(error.message).toBe(`${name}: argument 'requests' must be a list of requests, got ${told}`);
      }
    }
    expect(server.accepted).toBe(0);
  });

  it('is refused by name, at once, by whatever makes a batcher', () => {
    const client = createHttpClient();
    const given = { toRequest: () => '/', fromResponse: () => [] };
    for (const [name, options] of [
      ['options', null],
      ['toRequest', {}],
      ['fromResponse', { ...given, fromResponse: 5 }],
      ['nonsense', { ...given, nonsense: 1 }],
    ] as const) {
      expect(() => client.batcher(options as never)).toThrow(TypeError);
      expect(() => client.batcher(options as never)).toThrow(name);
    }
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

describe('what a caller brings', () => {
  it("is not trusted: a look-up that throws, or gives no addresses, is the origin's connect failure", async () => {
    await using server = await startHttp(echo);
    const address = { address: '127.0.0.1', family: 4 };
    type LookUp = (host: string, callback: (...answer: unknown[]) => void) => void;
    const bad: LookUp[] = [
      () => {
        throw new Error('mine');
      },
      (_host, callback) => callback(null, undefined),
      (_host, callback) => callback(null, 'text'),
      (_host, callback) => callback(null, [{ address: 'nowhere', family: 4 }]),
      (_host, callback) => callback(null, [null]),
    ];
    for (const resolve of bad) {
      const client = createHttpClient({ retry: false, dns: { resolve: resolve as never } });
      const error = await failureOf(client.get(`http://a.test:${server.port}/`));
      expect(error, String(resolve)).toMatchObject({ code: 'HOTPATH_HTTP_CONNECT_FAILED', phase: 'connect' });
      // Nor is a place lost for good, which closing would wait for.
      expect(client.stats()).toMatchObject({ active: 0, connections: { open: 0 } });
      await client.close();
    }
    const loose: LookUp = (_host, callback) => {
      callback(undefined, [address]);
      callback(new Error('twice'), []);
    };
    await using client = createHttpClient({ dns: { resolve: loose as never } });
    expect((await client.get(`http://a.test:${server.port}/`)).status).toBe(200);
  });

  it('and throws is rethrown itself, and ends nothing else: acceptStatus', async () => {
    await using server = await startHttp(echo);
    await using h2 = await startH2c((http) => http.on('request', echo as never));
    for (const { url } of [server, h2]) {
      await using client = createHttpClient({ baseUrl: url, http2: [h2.url] });
      const mine = new Error('mine');
      const acceptStatus = (): boolean => {
        throw mine;
      };
      expect(await failureOf(client.get('/', { acceptStatus }))).toBe(mine);
      expect(await failureOf(client.stream({ url: '/', acceptStatus }))).toBe(mine);
      expect((await client.get('/')).status).toBe(200);
      expect(client.stats().origins[url]).toMatchObject({ failures: 0, inFlight: 0 });
    }
  });

  it('is over when it says so itself: nothing is sent after an abort within acceptStatus', async () => {
    let requests = 0;
    await using server = await startHttp((request, response) => {
      requests++;
      const packed = request.url === '/packed';
      response.writeHead(503, packed ? { 'content-encoding': 'gzip' } : {});
      response.end(packed ? gzipSync('sorry') : 'sorry');
    });
    await using client = createHttpClient({ baseUrl: server.url, retry: { baseMs: 1, maxMs: 1 } });
    for (const path of ['/plain', '/packed']) {
      requests = 0;
      const abort = new AbortController();
      const acceptStatus = (): boolean => {
        abort.abort(new Error('gone'));
        return false;
      };
      expect((await failureOf(client.get(path, { signal: abort.signal, acceptStatus }))).message).toBe(
        'gone',
      );
      await pause(50);
      expect(requests).toBe(1);
    }
    expect(client.stats().origins[server.url]).toMatchObject({ retries: 0 });
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

  let ended = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        yield Buffer.from('x');
        await pause(5);
      }
    } finally {
      ended++;
    }
  }

  /** Reads what it is sent, and answers at once where the path says so, else after its end. */
  const answer: RequestListener = (request, response) => {
    if (request.url === '/early') response.end('ok');
    else echo(request, response);
  };
  const starts = {
    'HTTP/1.1': () => startHttp(answer),
    'HTTP/2': () => startH2c((http) => http.on('request', answer as never)),
  };
  for (const [protocol, start] of Object.entries(starts)) {
    const clientOf = ({ url }: TestServer): HttpClient =>
      createHttpClient({ baseUrl: url, http2: protocol === 'HTTP/2' ? [url] : false });

    it(`and fails, fails its request with it as the cause, once, and does not count against the origin: ${protocol}`, async () => {
      await using server = await start();
      await using client = clientOf(server);
      for (const body of [failing(), Readable.from(failing())]) {
        const error = await failureOf(client.put('/', { body }));
        expect(error).toMatchObject({ code: 'HOTPATH_HTTP_CONNECTION_LOST', attempt: 1 });
        expect((error.cause as Error).message).toBe('mine');
      }
      expect(client.stats().origins[server.url]).toMatchObject({ failures: 0, breaker: 'closed' });
      expect(client.stats().active).toBe(0);
    });

    it(`and never ends, ends with the deadline, and its source is let go of: ${protocol}`, async () => {
      await using server = await start();
      await using client = clientOf(server);
      const body = new Readable({ read() {} });
      body.push('x');
      ended = 0;
      for (const one of [body, endless()]) {
        expect((await failureOf(client.post('/', { body: one, timeoutMs: 100 }))).code).toBe(
          'HOTPATH_HTTP_TIMEOUT',
        );
      }
      await until(() => body.destroyed && ended === 1);
      if (protocol === 'HTTP/1.1') await until(() => server.sockets.size === 0);
    });

    it(`is given up when the answer comes before its end: ${protocol}`, async () => {
      await using server = await start();
      await using client = clientOf(server);
      const body = new Readable({ read() {} });
      body.push('x');
      ended = 0;
      for (const one of [body, endless()])
        expect((await client.post('/early', { body: one })).status).toBe(200);
      await until(() => body.destroyed && ended === 1);
      // A connection that is in the midst of it takes nothing else; a stream of HTTP/2 leaves its own alone.
      if (protocol === 'HTTP/1.1') await until(() => client.stats().connections.open === 0);
      expect((await client.get('/')).status).toBe(200);
      expect(server.accepted).toBe(protocol === 'HTTP/1.1' ? 3 : 1);
    });
  }

  it('is let go of where it was never begun: in the queue, aborted, and with a closed client', async () => {
    await using server = await startTcp(() => {});
    const client = createHttpClient({ baseUrl: server.url, connections: 1 });
    const hanging = failureOf(client.get('/'));
    await until(() => client.stats().origins[server.url]?.inFlight === 1);
    const cancelled: unknown[] = [];
    const stream = new ReadableStream({
      cancel: (reason) => {
        cancelled.push(reason);
      },
    });
    const queued = new Readable({ read() {} });
    await failureOf(client.post('/', { body: queued, timeoutMs: 20 }));
    await failureOf(client.post('/', { body: stream, timeoutMs: 20 }));
    const aborted = new Readable({ read() {} });
    await failureOf(client.post('/', { body: aborted, signal: AbortSignal.abort() }));
    await client.close({ drainMs: 0 });
    await hanging;
    const late = new Readable({ read() {} });
    await failureOf(client.post('/', { body: late }));
    expect([queued.destroyed, aborted.destroyed, late.destroyed]).toEqual([true, true, true]);
    expect(cancelled).toHaveLength(1);
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

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { fileURLToPath } from 'node:url';
import { createVirtualClock } from '@hotpath/core/testing';
import { spawnNode } from '@hotpath/testkit';
import { fetch, interceptors, MockAgent, request as undiciRequest } from 'undici';
import { describe, expect, it } from 'vitest';
import { createHttpClient } from '../../src/index.ts';
import { type Echo, echo, failureOf, startHttp, startTcp, until } from '../support/servers.ts';

function listen(name: string): { events: Record<string, unknown>[]; stop(): void } {
  const events: Record<string, unknown>[] = [];
  const listener = (event: unknown): void => {
    events.push(event as Record<string, unknown>);
  };
  subscribe(`hotpath:http:${name}`, listener);
  return { events, stop: () => unsubscribe(`hotpath:http:${name}`, listener) };
}

describe('closing', () => {
  it('lets requests under way end, refuses new ones, and leaves no connection', async () => {
    await using server = await startHttp((request, response) =>
      setTimeout(() => echo(request, response), 50),
    );
    const client = createHttpClient({ baseUrl: server.url });
    const last = client.getJson('/');
    const closing = client.close();
    expect((await failureOf(client.get('/'))).code).toBe('HOTPATH_HTTP_CLOSED');
    expect(await last).toMatchObject({ url: '/' });
    await closing;
    await client.close();
    expect(client.stats().connections.open).toBe(0);
    await until(() => server.sockets.size === 0);
  });

  it('gives up after drainMs what has not ended', async () => {
    await using server = await startTcp(() => {});
    const client = createHttpClient({ baseUrl: server.url, connections: 1 });
    const hanging = [1, 2].map(() => failureOf(client.get('/')));
    const startMs = performance.now();
    await client.close({ drainMs: 50 });
    expect(performance.now() - startMs).toBeLessThan(1_000);
    for (const error of await Promise.all(hanging))
      expect(error).toMatchObject({ code: 'HOTPATH_HTTP_CLOSED', family: 'aborted' });
  });

  it('serves what the dispatcher has queued, and connects no more after that', async () => {
    await using server = await startHttp((request, response) =>
      setTimeout(() => echo(request, response), 30),
    );
    const client = createHttpClient({ baseUrl: server.url, connections: 1 });
    const { dispatcher } = client;
    const answers = [1, 2, 3].map(() => undiciRequest(server.url, { dispatcher }));
    await until(() => client.stats().origins[server.url]?.queued === 2);
    const closing = client.close();
    for (const { statusCode, body } of await Promise.all(answers)) {
      expect(statusCode).toBe(200);
      await body.dump();
    }
    await closing;
    expect(client.stats().connections.open).toBe(0);
    const { accepted } = server;
    expect((await failureOf(undiciRequest(server.url, { dispatcher }))).code).toBe('HOTPATH_HTTP_CLOSED');
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(server.accepted).toBe(accepted);
  });

  it('gives up after drainMs what the dispatcher has queued', async () => {
    await using server = await startTcp(() => {});
    const client = createHttpClient({ baseUrl: server.url, connections: 1 });
    const { dispatcher } = client;
    const hanging = [1, 2].map(() => failureOf(undiciRequest(server.url, { dispatcher })));
    await until(() => client.stats().origins[server.url]?.queued === 1);
    await client.close({ drainMs: 30 });
    const codes = (await Promise.all(hanging)).map(({ code }) => code);
    expect(codes).toEqual(['UND_ERR_SOCKET', 'HOTPATH_HTTP_CLOSED']);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(server.accepted).toBe(1);
    expect(client.stats().connections.open).toBe(0);
  });

  it('in the middle of everything settles everything', async () => {
    await using server = await startHttp((request, response) => {
      if (request.url === '/hang') return;
      if (request.url === '/busy') response.writeHead(503, { 'retry-after': '60' }).end();
      else if (request.url === '/events') {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write('data: 1\n\n');
      } else setTimeout(() => echo(request, response), 5);
    });
    await using silent = await startTcp(() => {});
    for (const drainMs of [0, 20]) {
      const client = createHttpClient({
        baseUrl: server.url,
        connections: 4,
        coalesce: true,
        hedge: { delayMs: 5 },
        rateLimit: { limit: 200, burst: 50 },
        retry: { baseMs: 5 },
        tls: { rejectUnauthorized: false },
        timeoutMs: 120_000,
      });
      const lookUps = client.batcher<number, number>({
        toRequest: (items) => ({ url: '/hang', query: { items } }),
        fromResponse: (_body, items) => items,
      });
      const work = [
        ...Array.from({ length: 80 }, (_, index) => client.get(`/${index}`)),
        client.get('/hang'),
        client.get('/hang'),
        client.get('/busy'),
        // TLS that nobody answers: it never gets past connecting.
        client.get(silent.url.replace('http:', 'https:')),
        client.gather(Array.from({ length: 50 }, (_, index) => `/gather/${index}`)),
        lookUps.load(1),
        (async () => {
          for await (const _ of client.events('/events', { reconnect: true }));
        })(),
        client.stream('/events' as never).then(async ({ body }) => {
          for await (const _ of body);
        }),
      ];
      const outcomes = Promise.allSettled(work);
      await new Promise((resolve) => setTimeout(resolve, 15));
      const startMs = performance.now();
      await client.close({ drainMs });
      expect(performance.now() - startMs).toBeLessThan(drainMs + 2_000);
      for (const outcome of await outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toHaveProperty('code');
      }
      expect(client.stats()).toMatchObject({ active: 0, connections: { open: 0, idle: 0 } });
      await lookUps.close();
    }
    await until(() => server.sockets.size === 0 && silent.sockets.size === 0);
  });

  it('lets the process exit by itself, with or without being closed', async () => {
    await using server = await startHttp(echo);
    const file = fileURLToPath(new URL('../support/exiting-child.ts', import.meta.url));
    for (const ending of ['leave', 'close']) {
      await using child = spawnNode(file, [server.url, ending]);
      await child.receive({ timeoutMs: 30_000 });
      const startMs = performance.now();
      expect(await child.exited, child.stderr).toMatchObject({ code: 0 });
      // Idle connections, which are kept for five seconds, do not hold it.
      expect(performance.now() - startMs).toBeLessThan(4_500);
    }
  });
});

describe('undici', () => {
  it("can bring its own dispatcher: a MockAgent's answers come through", async () => {
    const agent = new MockAgent();
    agent.disableNetConnect();
    agent
      .get('http://api.test')
      .intercept({ path: '/policies/7' })
      .reply(200, { id: 7 }, { headers: { 'content-type': 'application/json' } });
    await using client = createHttpClient({ baseUrl: 'http://api.test', dispatcher: agent, retry: false });
    expect(await client.getJson('/policies/7')).toEqual({ id: 7 });
    expect((await failureOf(client.getJson('/policies/8'))).code).toBe('HOTPATH_HTTP_CONNECTION_LOST');
    await agent.close();
  });

  it('can use the connections: fetch, request and interceptors', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ connections: 2 });
    const { dispatcher } = client;
    const response = await fetch(`${server.url}/a`, {
      dispatcher,
      method: 'POST',
      body: 'x',
      headers: { 'x-a': '1' },
    });
    expect(await response.json()).toMatchObject({ method: 'POST', body: 'x', headers: { 'x-a': '1' } });
    expect(response.statusText).toBe('OK');
    const composed = dispatcher.compose(interceptors.dump());
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        const { body } = await undiciRequest(`${server.url}/b?c=d`, { dispatcher: composed });
        expect(await body.dump()).toBeUndefined();
      }),
    );
    expect(server.accepted).toBeLessThanOrEqual(2);
    expect(client.stats().origins[server.url]).toMatchObject({ dispatched: 11, inFlight: 0 });
  });
});

describe('what can be seen', () => {
  it('is an event for every request, retry, replay, connection, hedge and ejection', async () => {
    let requests = 0;
    await using server = await startHttp((request, response) => {
      const count = ++requests;
      if (request.url === '/flaky' && count === 2) response.writeHead(503).end();
      else if (request.url === '/stale' && count === 4) request.socket.destroy();
      else setTimeout(() => echo(request, response), request.url === '/slow' && count === 6 ? 200 : 0);
    });
    const heard = Object.fromEntries(
      ['request', 'retry', 'replay', 'connect', 'hedge', 'eject'].map((name) => [name, listen(name)]),
    );
    await using client = createHttpClient({ baseUrl: server.url, retry: { baseMs: 1 } });
    const traceparent = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`;
    await client.get('/first?secret=1', { trace: { traceparent } });
    await client.get('/flaky');
    await client.get('/stale');
    await using hedging = createHttpClient({ baseUrl: server.url, hedge: { delayMs: 10, maxRatio: 1 } });
    await hedging.get('/slow');
    await using several = createHttpClient({
      baseUrl: ['http://127.0.0.1:1', server.url],
      retry: { baseMs: 0 },
      breaker: false,
    });
    for (let index = 0; index < 40; index++) await several.get('/x');
    const of = (name: string): Record<string, unknown>[] => heard[name]!.events;
    expect(of('request')[0]).toMatchObject({
      method: 'GET',
      origin: server.url,
      path: '/first',
      status: 200,
      attempts: 1,
      error: undefined,
    });
    expect(String(of('request')[0]?.traceparent)).toMatch(/^00-(ab){16}-(?!(cd){8})[0-9a-f]{16}-01$/);
    expect(of('retry')[0]).toMatchObject({ attempt: 1, origin: server.url, error: { status: 503 } });
    expect(of('replay')[0]).toEqual({ method: 'GET', origin: server.url, reason: 'stale' });
    expect(of('connect')[0]).toMatchObject({ origin: server.url, protocol: 'http/1.1', error: undefined });
    expect(
      of('connect').some(({ error }) => (error as { code?: string } | undefined)?.code === 'ECONNREFUSED'),
    ).toBe(true);
    expect(of('hedge')[0]).toMatchObject({ origin: server.url, delayMs: 10 });
    expect(of('eject')[0]).toEqual({ origin: 'http://127.0.0.1:1', ejectedMs: 30_000 });
    for (const { stop } of Object.values(heard)) stop();
  });

  it('is a snapshot of each origin', async () => {
    await using server = await startHttp((request, response) => setTimeout(() => echo(request, response), 5));
    await using client = createHttpClient({ baseUrl: server.url, connections: 2 });
    const all = Promise.all(Array.from({ length: 6 }, () => client.get('/')));
    await until(() => client.stats().origins[server.url]?.inFlight === 2);
    expect(client.stats().origins[server.url]).toMatchObject({ queued: 4, inFlight: 2, connections: 2 });
    await all;
    const { latency, reuseRatio, dispatched, connects, breaker } = client.stats().origins[server.url]!;
    expect({ dispatched, connects, breaker }).toEqual({ dispatched: 6, connects: 2, breaker: 'closed' });
    expect(reuseRatio).toBeCloseTo(2 / 3);
    expect(latency.count).toBe(6);
    expect(latency.p50Ms).toBeGreaterThan(4);
    expect(latency.p50Ms).toBeLessThanOrEqual(latency.maxMs);
  });

  it('reuses connections for at least 99 of 100 requests in steady state', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url });
    let left = 4_000;
    const caller = async (): Promise<void> => {
      while (left-- > 0) await client.getJson('/');
    };
    await Promise.all(Array.from({ length: 32 }, caller));
    expect(client.stats().origins[server.url]?.reuseRatio).toBeGreaterThanOrEqual(0.99);
  });

  it('carries the trace on, and leaves an invalid one out', async () => {
    await using server = await startHttp(echo);
    const trace = { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`, tracestate: 'a=b' };
    await using client = createHttpClient({ baseUrl: server.url, traceContext: () => trace });
    const { headers } = await client.getJson<Echo>('/');
    expect(headers.traceparent).toMatch(/^00-1{32}-(?!2{16})[0-9a-f]{16}-01$/);
    expect(headers.tracestate).toBe('a=b');
    const invalid = { traceparent: `00-${'0'.repeat(32)}-${'2'.repeat(16)}-01`, tracestate: 'a=b' };
    expect((await client.getJson<Echo>('/', { trace: invalid })).headers).not.toHaveProperty('traceparent');
  });

  it("carries no state on that would end a header, and no second trace beside the caller's", async () => {
    await using server = await startHttp((request, response) =>
      response.end(JSON.stringify(request.rawHeaders)),
    );
    const trace = { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`, tracestate: 'a\r\nx-evil: 1' };
    await using client = createHttpClient({ baseUrl: server.url, traceContext: () => trace });
    const sent = await client.getJson<string[]>('/');
    expect(sent).toContain('traceparent');
    expect(sent).not.toContain('tracestate');
    const own = `00-${'3'.repeat(32)}-${'4'.repeat(16)}-00`;
    const given = await client.getJson<string[]>('/', { headers: { traceparent: own } });
    expect(given.filter((part) => part === 'traceparent')).toHaveLength(1);
    expect(given).toContain(own);
  });
});

describe('bodies', () => {
  it('are validated by a schema of any library, also an asynchronous one', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url });
    const schema = (isAsync: boolean) =>
      ({
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: (value: unknown) => {
            const { url } = value as Echo;
            const result =
              url === '/good' ? { value: { url } } : { issues: [{ message: 'not good', path: ['url'] }] };
            return isAsync ? Promise.resolve(result) : result;
          },
        },
      }) as never;
    for (const isAsync of [false, true]) {
      expect(await client.getJson('/good', { schema: schema(isAsync) })).toEqual({ url: '/good' });
      const error = await failureOf(client.getJson('/bad', { schema: schema(isAsync) }));
      expect(error).toMatchObject({ code: 'HOTPATH_HTTP_SCHEMA', family: 'corrupt' });
      expect(error.message).toContain("at 'url': not good");
    }
  });

  it('are typed errors when they are not JSON, and nothing when they are empty', async () => {
    await using server = await startHttp((request, response) =>
      response.end(request.url === '/empty' ? '' : '\ufeff[1]'.slice(request.url === '/bom' ? 0 : 2)),
    );
    await using client = createHttpClient({ baseUrl: server.url });
    expect(await client.getJson('/empty')).toBeUndefined();
    expect(await client.getJson('/bom')).toEqual([1]);
    expect((await failureOf(client.getJson('/broken'))).code).toBe('HOTPATH_HTTP_BAD_BODY');
  });

  it('can be strings, bytes, blobs, streams and iterables', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url });
    async function* pieces(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('te');
      yield Buffer.from('xt');
    }
    for (const body of [
      'text',
      Buffer.from('text'),
      new TextEncoder().encode('text'),
      new Blob(['text']),
      pieces(),
    ]) {
      expect((await client.post('/', { body })).json<Echo>().body).toBe('text');
    }
  });
});

describe('code of the caller that throws', () => {
  it('fails its own request, and leaves nothing behind', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: [server.url, `${server.url}/v1`] });
    const broken = new Error('broken');
    const acceptStatus = (): boolean => {
      throw broken;
    };
    expect(await failureOf(client.get('/', { acceptStatus }))).toBe(broken);
    expect(await failureOf(client.stream({ url: '/', acceptStatus }))).toBe(broken);
    expect(await failureOf(client.get('/../x'))).toBeInstanceOf(TypeError);
    const dispatcher = {
      dispatch: () => {
        throw broken;
      },
    };
    await using foreign = createHttpClient({
      baseUrl: server.url,
      dispatcher: dispatcher as never,
      retry: false,
    });
    expect((await failureOf(foreign.get('/'))).cause).toBe(broken);
    await using traced = createHttpClient({
      baseUrl: server.url,
      traceContext: () => {
        throw broken;
      },
    });
    expect(await failureOf(traced.get('/'))).toBe(broken);
    for (const each of [client, foreign, traced]) expect(each.stats().active).toBe(0);
  });
});

describe('queueing', () => {
  it('goes by priority, then by arrival', async () => {
    const order: string[] = [];
    await using server = await startHttp((request, response) => {
      order.push(request.url ?? '');
      setTimeout(() => echo(request, response), 5);
    });
    await using client = createHttpClient({ baseUrl: server.url, connections: 1 });
    const first = client.get('/first');
    await until(() => order.length === 1);
    await Promise.all([
      first,
      client.get('/low', { priority: 0 }),
      client.get('/a'),
      client.get('/b'),
      client.get('/high', { priority: 9 }),
    ]);
    expect(order).toEqual(['/first', '/high', '/a', '/b', '/low']);
  });

  it('is bounded for each origin', async () => {
    await using server = await startTcp(() => {});
    await using other = await startHttp(echo);
    await using client = createHttpClient({
      connections: 4,
      connectionsPerOrigin: 1,
      maxQueued: 2,
      retry: false,
    });
    const all = Array.from({ length: 5 }, () => failureOf(client.get(`${server.url}/`, { timeoutMs: 100 })));
    expect((await client.get(`${other.url}/`)).status).toBe(200);
    const codes = (await Promise.all(all)).map(({ code }) => code);
    expect(codes.filter((code) => code === 'HOTPATH_HTTP_QUEUE_FULL')).toHaveLength(2);
    expect(codes.filter((code) => code === 'HOTPATH_HTTP_TIMEOUT')).toHaveLength(3);
  });

  it('forgets no base URL, and no origin with a request under way', async () => {
    await using base = await startHttp(echo);
    await using busy = await startHttp((request, response) => {
      if (request.url !== '/hang') echo(request, response);
    });
    await using first = await startHttp(echo);
    await using second = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: base.url, maxOrigins: 3, retry: false });
    await client.get('/');
    const abort = new AbortController();
    const hanging = failureOf(client.get(`${busy.url}/hang`, { signal: abort.signal }));
    await until(() => client.stats().origins[busy.url]?.inFlight === 1);
    for (const { url } of [first, second, first]) {
      await client.get(`${url}/`);
      expect(Object.keys(client.stats().origins)).toEqual([base.url, busy.url, url]);
    }
    // What was forgotten leaves no connection, and does not wait for its time as an idle one.
    const startMs = performance.now();
    await until(() => second.sockets.size === 0);
    expect(performance.now() - startMs).toBeLessThan(2_000);
    abort.abort();
    await hanging;
    await client.get(`${second.url}/`);
    expect(Object.keys(client.stats().origins)).toEqual([base.url, first.url, second.url]);
  });

  it('forgets no origin for which an exchange of the dispatcher waits', async () => {
    await using first = await startTcp(() => {});
    await using second = await startHttp(echo);
    const client = createHttpClient({ connections: 1, maxOrigins: 2 });
    const hanging = failureOf(undiciRequest(first.url, { dispatcher: client.dispatcher }));
    await until(() => client.stats().origins[first.url]?.inFlight === 1);
    const waiting = failureOf(undiciRequest(second.url, { dispatcher: client.dispatcher }));
    expect(client.stats().origins[second.url]).toMatchObject({ queued: 1, inFlight: 0 });
    expect(await failureOf(client.post('http://127.0.0.1:1/'))).toMatchObject({
      code: 'HOTPATH_HTTP_ORIGINS_FULL',
      method: 'POST',
    });
    await client.close({ drainMs: 0 });
    await Promise.all([hanging, waiting]);
  });

  it('forgets the oldest origin that is not in use, and refuses one more when all are in use', async () => {
    await using one = await startHttp(echo);
    await using two = await startHttp(echo);
    await using hang = await startTcp(() => {});
    await using client = createHttpClient({ maxOrigins: 1, retry: false });
    await client.get(`${one.url}/`);
    await client.get(`${two.url}/`);
    expect(Object.keys(client.stats().origins)).toEqual([two.url]);
    await until(() => one.sockets.size === 0);
    const waiting = failureOf(client.get(`${hang.url}/`, { timeoutMs: 80 }));
    await until(() => client.stats().active === 1);
    expect((await failureOf(client.get(`${one.url}/`))).code).toBe('HOTPATH_HTTP_ORIGINS_FULL');
    await waiting;
  });

  it('takes its time from the clock that it is given', async () => {
    const clock = createVirtualClock();
    await using server = await startTcp(() => {});
    const client = createHttpClient({ baseUrl: server.url, clock, timeoutMs: 60_000 });
    const waiting = failureOf(client.get('/'));
    await until(() => server.accepted === 1);
    await clock.advance(60_010);
    expect((await waiting).code).toBe('HOTPATH_HTTP_TIMEOUT');
    await client.close({ drainMs: 0 });
  });
});

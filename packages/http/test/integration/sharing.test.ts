import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it } from 'vitest';
import { createHttpClient } from '../../src/index.ts';
import { type Echo, echo, failureOf, startHttp, startTcp, until } from '../support/servers.ts';

describe('coalescing', () => {
  async function slowServer() {
    let requests = 0;
    const server = await startHttp((request, response) => {
      requests++;
      setTimeout(() => echo(request, response), 40);
    });
    return { server, requests: () => requests };
  }

  it('lets identical GETs in flight share one exchange, with a result of its own for each', async () => {
    const { server, requests } = await slowServer();
    await using _ = server;
    await using client = createHttpClient({ baseUrl: server.url, coalesce: true });
    const [first, second] = await Promise.all([
      client.getJson<Echo>('/a'),
      client.getJson<Echo>('/a'),
      client.get('/b'),
    ]);
    expect(first).toEqual(second);
    expect(first).not.toBe(second);
    expect(requests()).toBe(2);
    await client.getJson('/a');
    expect(requests()).toBe(3);
  });

  it('gives each a copy, so that what one does to its answer does not show in another', async () => {
    const { server, requests } = await slowServer();
    await using _ = server;
    await using client = createHttpClient({ baseUrl: server.url, coalesce: true });
    const [first, second] = await Promise.all([client.get('/'), client.get('/')]);
    expect(requests()).toBe(1);
    first.bytes.fill(0);
    Object.assign(first.headers, { 'x-marked': 'by the first' });
    expect(second.json<Echo>().url).toBe('/');
    expect(second.headers).not.toHaveProperty('x-marked');
  });

  it('does not share between credentials, but does between traces', async () => {
    const { server, requests } = await slowServer();
    await using _ = server;
    await using client = createHttpClient({ baseUrl: server.url, coalesce: true });
    const get = (headers: Record<string, string>) => client.getJson<Echo>('/', { headers });
    const traceparent = (digit: string) => `00-${digit.repeat(32)}-${digit.repeat(16)}-01`;
    const [a, b] = await Promise.all([
      get({ authorization: 'a' }),
      get({ authorization: 'b' }),
      client.getJson('/', { trace: { traceparent: traceparent('1') } }),
      client.getJson('/', { trace: { traceparent: traceparent('2') } }),
    ]);
    expect([a.headers.authorization, b.headers.authorization]).toEqual(['a', 'b']);
    expect(requests()).toBe(3);
  });

  it('does not share where anything differs that the answer may depend on', async () => {
    const { server, requests } = await slowServer();
    await using _ = server;
    await using client = createHttpClient({ baseUrl: server.url, coalesce: true });
    const different: Parameters<typeof client.get>[1][] = [
      {},
      { headers: { cookie: 'a=b' } },
      { headers: { 'x-api-key': 'a' } },
      { headers: { 'x-tenant': 'a' } },
      { headers: { 'accept-language': 'de' } },
      { maxResponseBytes: 1_000_000 },
      { query: { a: 1 } },
      { acceptStatus: () => true },
      { coalesce: false },
    ];
    const answers = await Promise.all(different.map((options) => client.get('/', options)));
    expect(requests()).toBe(different.length);
    expect(answers[1]!.json<Echo>().headers).toMatchObject({ cookie: 'a=b' });
    // Nor between what may be sent once only.
    await Promise.all([1, 2].map(() => client.post('/', { body: 'x' })));
    expect(requests()).toBe(different.length + 2);
  });

  it('does not share between a relative and an absolute URL, nor when only one follows redirects', async () => {
    const slow: import('node:http').RequestListener = (request, response) =>
      setTimeout(() => {
        if (request.url === '/v1/from') response.writeHead(302, { location: '/v1/to' }).end();
        else echo(request, response);
      }, 20);
    await using one = await startHttp(slow);
    await using two = await startHttp(slow);
    await using client = createHttpClient({ baseUrl: [`${one.url}/v1`, `${two.url}/v1`], coalesce: true });
    const [relative, absolute] = await Promise.all([
      client.getJson<{ url: string }>('/x'),
      client.getJson<{ url: string }>(`${one.url}/x`),
    ]);
    expect([relative.url, absolute.url]).toEqual(['/v1/x', '/x']);
    const [followed, kept] = await Promise.all([
      client.get('/from', { redirect: true }),
      client.get('/from', { redirect: false }),
    ]);
    expect([followed.status, kept.status]).toEqual([200, 302]);
  });

  it('leaves the second whole when the first is aborted (undici rejects both)', async () => {
    const { server, requests } = await slowServer();
    await using _ = server;
    await using client = createHttpClient({ baseUrl: server.url, coalesce: true });
    const abort = new AbortController();
    const first = failureOf(client.getJson('/', { signal: abort.signal }));
    const second = client.getJson('/');
    await until(() => requests() === 1);
    abort.abort(new Error('first only'));
    expect((await first).message).toBe('first only');
    expect(await second).toMatchObject({ url: '/' });
    expect(requests()).toBe(1);
  });

  it('gives the exchange up when the last has left, and begins anew for the next', async () => {
    let closed = 0;
    let requests = 0;
    await using server = await startHttp((request, response) => {
      if (++requests > 1) echo(request, response);
      response.on('close', () => closed++);
    });
    await using client = createHttpClient({ baseUrl: server.url, coalesce: true });
    const abort = new AbortController();
    const both = [1, 2].map(() => failureOf(client.getJson('/', { signal: abort.signal })));
    await until(() => requests === 1);
    abort.abort();
    await Promise.all(both);
    await until(() => closed === 1);
    expect(await client.getJson('/')).toMatchObject({ url: '/' });
  });

  it('keeps each to its own deadline', async () => {
    const { server } = await slowServer();
    await using _ = server;
    await using client = createHttpClient({ baseUrl: server.url, coalesce: true });
    const short = failureOf(client.getJson('/', { timeoutMs: 10 }));
    const long = client.getJson('/', { timeoutMs: 5_000 });
    expect((await short).code).toBe('HOTPATH_HTTP_TIMEOUT');
    expect(await long).toMatchObject({ url: '/' });
  });
});

describe('hedging', () => {
  it('takes whichever of two tries is first, and only for what may be sent twice', async () => {
    let requests = 0;
    await using server = await startHttp((request, response) => {
      const isSlow = ++requests % 2 === 1;
      setTimeout(() => echo(request, response), isSlow ? 400 : 0);
    });
    await using client = createHttpClient({ baseUrl: server.url, hedge: { delayMs: 20, maxRatio: 1 } });
    // The hedge needs a free connection.
    await Promise.all([client.getJson('/'), client.getJson('/')]);
    requests = 0;
    const before = client.stats().origins[server.url]?.hedges ?? 0;
    const startMs = performance.now();
    expect(await client.getJson('/')).toMatchObject({ url: '/' });
    expect(performance.now() - startMs).toBeLessThan(350);
    expect(client.stats().origins[server.url]?.hedges).toBe(before + 1);
    requests = 0;
    await client.postJson('/', {});
    expect(requests).toBe(1);
  });

  it("reads a short rest of the loser's answer, and gives up a long one with its connection", async () => {
    let requests = 0;
    let size = 0;
    await using server = await startHttp((_request, response) => {
      requests++;
      if (requests !== 3) {
        setTimeout(() => response.end('{"by":"second"}'), requests === 4 ? 60 : 20);
        return;
      }
      // The first begins to answer while its rival is under way, and ends after it.
      setTimeout(() => response.writeHead(200, { 'content-length': size }).write('1'), 50);
      setTimeout(() => response.end('1'.repeat(size - 1)), 150);
    });
    for (const [bytes, connects] of [
      [1_000, 2],
      [100_000, 3],
    ] as const) {
      size = bytes;
      requests = 0;
      await using client = createHttpClient({ baseUrl: server.url, hedge: { delayMs: 20, maxRatio: 1 } });
      const plain = { hedge: false };
      await Promise.all([client.getJson('/', plain), client.getJson('/', plain)]);
      expect(await client.getJson('/')).toEqual({ by: 'second' });
      await until(() => client.stats().origins[server.url]!.inFlight === 0);
      await Promise.all([client.getJson('/', plain), client.getJson('/', plain)]);
      expect(client.stats().origins[server.url]).toMatchObject({ connects, hedges: 1 });
    }
  });

  it("does not wait for the rest of a loser's answer for ever", async () => {
    let requests = 0;
    await using server = await startHttp((_request, response) => {
      requests++;
      // The third begins to answer while its rival is under way, and never ends.
      if (requests === 3) setTimeout(() => response.writeHead(200, { 'content-length': 9 }).write('1'), 50);
      else setTimeout(() => response.end('{}'), requests === 4 ? 60 : 20);
    });
    await using client = createHttpClient({ baseUrl: server.url, hedge: { delayMs: 20, maxRatio: 1 } });
    const plain = { hedge: false };
    await Promise.all([client.getJson('/', plain), client.getJson('/', plain)]);
    expect(await client.getJson('/')).toEqual({});
    expect(client.stats().origins[server.url]).toMatchObject({ hedges: 1, inFlight: 1 });
    await until(() => client.stats().origins[server.url]!.inFlight === 0);
  });

  it('sends no second try above the rate limit', async () => {
    let requests = 0;
    await using server = await startHttp((request, response) => {
      requests++;
      setTimeout(() => echo(request, response), 60);
    });
    await using client = createHttpClient({
      baseUrl: server.url,
      hedge: { delayMs: 5, maxRatio: 1 },
      rateLimit: { limit: 1, perMs: 60_000, burst: 3 },
    });
    await client.get('/');
    expect(requests).toBe(2);
    await client.get('/');
    expect(requests).toBe(3);
  });

  it('sends no second try beside one whose answer has begun, or whose body can be sent only once', async () => {
    let requests = 0;
    let answerAfterMs = 60;
    await using server = await startHttp((request, response) => {
      requests++;
      request.resume();
      if (request.method === 'GET') response.writeHead(200).write('{');
      setTimeout(() => response.end(request.method === 'GET' ? '}' : '{}'), answerAfterMs);
    });
    await using client = createHttpClient({ baseUrl: server.url, hedge: { delayMs: 30, maxRatio: 1 } });
    const plain = { hedge: false };
    await Promise.all([client.getJson('/', plain), client.getJson('/', plain)]);
    requests = 0;
    await client.getJson('/');
    const once = async function* () {
      yield Buffer.from('once');
    };
    await client.put('/', { body: once() });
    await client.post('/', { body: 'twice?' });
    expect(requests).toBe(3);
    // Long enough for a second try to begin on a busy machine as well.
    answerAfterMs = 1_000;
    await client.put('/', { body: 'twice' });
    expect(requests).toBe(5);
  });

  it('keeps to its budget', async () => {
    let requests = 0;
    await using server = await startHttp((request, response) => {
      requests++;
      setTimeout(() => echo(request, response), 15);
    });
    await using client = createHttpClient({ baseUrl: server.url, hedge: { delayMs: 0, maxRatio: 0.1 } });
    await Promise.all(Array.from({ length: 10 }, () => client.getJson('/')));
    for (let index = 0; index < 90; index++) await client.getJson('/');
    // A tenth of the requests, and one.
    expect(requests).toBeLessThanOrEqual(111);
  });

  it('leaves a failed first to its second', async () => {
    let requests = 0;
    await using server = await startHttp((request, response) => {
      if (++requests === 3) setTimeout(() => request.socket.destroy(), 40);
      else setTimeout(() => echo(request, response), requests === 4 ? 60 : 20);
    });
    await using client = createHttpClient({
      baseUrl: server.url,
      retry: false,
      hedge: { delayMs: 20, maxRatio: 1 },
    });
    await Promise.all([client.getJson('/', { hedge: false }), client.getJson('/', { hedge: false })]);
    expect(await client.getJson('/')).toMatchObject({ url: '/' });
    expect(requests).toBe(4);
  });
});

describe('several base URLs', () => {
  it('are all used, behind their own paths', async () => {
    await using one = await startHttp(echo);
    await using two = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: [`${one.url}/one`, `${two.url}/two`] });
    const seen = new Set<string>();
    for (let index = 0; index < 40; index++) seen.add((await client.getJson<Echo>('/x')).url);
    expect([...seen].sort()).toEqual(['/one/x', '/two/x']);
  });

  it('go on when one is down, and leave it alone after five failures', async () => {
    await using good = await startHttp(echo);
    const bad = await startTcp((socket) => socket.destroy());
    await using _ = bad;
    await using client = createHttpClient({
      baseUrl: [good.url, bad.url],
      retry: { baseMs: 1 },
      breaker: false,
    });
    for (let index = 0; index < 60; index++) expect(await client.getJson('/')).toMatchObject({ url: '/' });
    expect(client.stats().origins[bad.url]?.failures).toBe(5);
  });

  it('never leaves all of them alone', async () => {
    let requests = 0;
    const broken: import('node:http').RequestListener = (_request, response) => {
      requests++;
      response.writeHead(500).end();
    };
    await using one = await startHttp(broken);
    await using two = await startHttp(broken);
    await using client = createHttpClient({ baseUrl: [one.url, two.url], breaker: false });
    let ejections = 0;
    const listen = (): void => {
      ejections++;
    };
    subscribe('hotpath:http:eject', listen);
    try {
      for (let index = 0; index < 50; index++) expect((await failureOf(client.get('/'))).status).toBe(500);
    } finally {
      unsubscribe('hotpath:http:eject', listen);
    }
    expect(requests).toBe(50);
    expect(ejections).toBe(1);
  });

  it('have a budget of retries each, which the requests to each pay for', async () => {
    await using good = await startHttp(echo);
    await using bad = await startHttp((_request, response) => response.writeHead(503).end());
    for (const baseUrl of [
      [good.url, bad.url],
      [bad.url, good.url],
    ]) {
      await using client = createHttpClient({
        baseUrl,
        // The bad one first.
        random: () => baseUrl.indexOf(bad.url) / 2,
        retry: { baseMs: 0, budgetRatio: 1, budgetPerSecond: 0 },
      });
      for (let index = 0; index < 3; index++) expect((await client.get('/')).attempts).toBe(2);
    }
  });

  it('keep to the rate limit of each, also for what has waited for it', async () => {
    const sentMs: [number[], number[]] = [[], []];
    const noting = (which: 0 | 1) =>
      startHttp((request, response) => {
        sentMs[which].push(performance.now());
        echo(request, response);
      });
    await using one = await noting(0);
    await using two = await noting(1);
    let next = 0;
    await using client = createHttpClient({
      baseUrl: [one.url, two.url],
      random: () => next / 2,
      rateLimit: { limit: 1, perMs: 300, burst: 1 },
    });
    // The third has to wait.
    for (next of [0, 1, 0, 1, 0]) await client.get('/');
    expect(sentMs.map(({ length }) => length)).toEqual([3, 2]);
    for (const times of sentMs) {
      // The event loop may note one too late, and with it the time to the next too short.
      for (let index = 1; index < times.length; index++) {
        expect(times[index]! - times[index - 1]!).toBeGreaterThan(150);
      }
    }
  });

  it('take over while the circuit of another is probed, or opens for what waits there', async () => {
    let isBroken = true;
    await using flaky = await startHttp((request, response) => {
      if (isBroken) setTimeout(() => response.writeHead(500).end(), 20);
      // The probe takes its time.
      else setTimeout(() => echo(request, response), 300);
    });
    await using good = await startHttp(echo);
    let turn = 0;
    await using client = createHttpClient({
      baseUrl: [flaky.url, good.url],
      connectionsPerOrigin: 1,
      // The flaky one first, wherever there is a choice.
      random: () => (turn++ % 2 === 0 ? 0 : 0.99),
      breaker: { consecutiveFailures: 1, openMs: 100, probes: 1 },
      retry: false,
    });
    const first = await Promise.allSettled(Array.from({ length: 6 }, () => client.get('/')));
    expect(first.filter(({ status }) => status === 'rejected')).toHaveLength(1);
    isBroken = false;
    await until(() => client.stats().origins[flaky.url]?.breaker === 'half-open');
    const second = await Promise.allSettled(Array.from({ length: 20 }, () => client.get('/')));
    expect(second.filter(({ status }) => status === 'rejected')).toEqual([]);
    expect(client.stats().origins[flaky.url]?.breaker).toBe('closed');
  });

  it('are not blamed for where they redirect to', async () => {
    const held: import('node:http').ServerResponse[] = [];
    await using target = await startHttp((_request, response) => {
      // All at once: nothing else that a base URL says comes in between.
      if (held.push(response) === 40) for (const one of held) one.writeHead(500).end();
    });
    const leading: import('node:http').RequestListener = (_request, response) => {
      response.writeHead(302, { location: target.url }).end();
    };
    await using one = await startHttp(leading);
    await using two = await startHttp(leading);
    await using client = createHttpClient({
      baseUrl: [one.url, two.url],
      redirect: true,
      breaker: false,
      retry: false,
    });
    let ejections = 0;
    const listen = (): void => {
      ejections++;
    };
    subscribe('hotpath:http:eject', listen);
    try {
      const errors = await Promise.all(Array.from({ length: 40 }, () => failureOf(client.get('/'))));
      for (const error of errors) expect(error.status).toBe(500);
    } finally {
      unsubscribe('hotpath:http:eject', listen);
    }
    expect(ejections).toBe(0);
  });

  it('prefers the less busy one', async () => {
    await using slow = await startHttp((request, response) => setTimeout(() => echo(request, response), 50));
    await using fast = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: [slow.url, fast.url] });
    let left = 300;
    const caller = async (): Promise<void> => {
      while (left-- > 0) await client.get('/');
    };
    await Promise.all(Array.from({ length: 8 }, caller));
    const { origins } = client.stats();
    expect(origins[fast.url]!.dispatched).toBeGreaterThan(2 * origins[slow.url]!.dispatched);
  });
});

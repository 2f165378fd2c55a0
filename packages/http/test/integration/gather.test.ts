import { startFaultProxy } from '@hotpath/testkit';
import { describe, expect, it } from 'vitest';
import { createHttpClient, type HttpRequest } from '../../src/index.ts';
import { type Echo, echo, failureOf, heapAfterGc, startHttp, startTcp, until } from '../support/servers.ts';

// What engines keep of compiled code and shapes; a request that stays costs at least ten times as much in all.
const MOST_GROWTH_BYTES = 1_000_000;

describe('gather', () => {
  it('gives results in input order, failures as results, with what each cost', async () => {
    await using server = await startHttp((request, response) => {
      if (request.url === '/1') response.writeHead(404).end();
      else setTimeout(() => echo(request, response), request.url === '/0' ? 30 : 0);
    });
    await using client = createHttpClient({ baseUrl: server.url });
    const results = await client.gather<Echo>(['/0', { url: '/1' }, '/2'], { as: 'json' });
    expect(results.map(({ index, status, attempts }) => [index, status, attempts])).toEqual([
      [0, 'ok', 1],
      [1, 'error', 1],
      [2, 'ok', 1],
    ]);
    for (const result of results) {
      expect(result.totalMs).toBeGreaterThan(0);
      expect(result.queuedMs).toBeGreaterThanOrEqual(0);
      if (result.status === 'ok') expect(result.value.url).toBe(`/${result.index}`);
      else expect(result.error).toMatchObject({ code: 'HOTPATH_HTTP_STATUS', status: 404 });
    }
  });

  it('does not fail for being wider than the pool (httpx times out)', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url, connections: 3 });
    const results = await client.gather(Array.from({ length: 500 }, (_, index) => `/${index}`));
    expect(results.every(({ status }) => status === 'ok')).toBe(true);
    expect(server.accepted).toBe(3);
  });

  it('takes items lazily, and no more at a time than there are connections', async () => {
    let pulled = 0;
    let answered = 0;
    let most = 0;
    await using server = await startHttp((request, response) => {
      setTimeout(() => {
        answered++;
        echo(request, response);
      }, 1);
    });
    await using client = createHttpClient({ baseUrl: server.url, connections: 5 });
    function* items(): Generator<string> {
      for (let index = 0; index < 200; index++) {
        pulled++;
        most = Math.max(most, pulled - answered);
        yield '/';
      }
    }
    expect(await client.gather(items())).toHaveLength(200);
    expect(most).toBeLessThanOrEqual(12);
  });

  it('ends at once on abort, without sending what was queued', async () => {
    let requests = 0;
    await using server = await startHttp(() => requests++);
    await using client = createHttpClient({ baseUrl: server.url, connections: 2 });
    const abort = new AbortController();
    const gathering = client.gather(
      Array.from({ length: 50 }, () => '/'),
      { signal: abort.signal, concurrency: 10 },
    );
    await until(() => requests === 2);
    abort.abort(new Error('enough'));
    const results = await gathering;
    expect(results.every(({ status }) => status === 'aborted')).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(requests).toBe(2);
    expect(client.stats().active).toBe(0);
  });

  it('leaves no request under way after its end, however it comes', async () => {
    let requests = 0;
    let closed = 0;
    await using server = await startHttp((_request, response) => {
      requests++;
      response.on('close', () => closed++);
    });
    await using client = createHttpClient({ baseUrl: server.url, connections: 4 });
    const hanging = ['/a', { url: '/b' }, { url: '/c', coalesce: true }, '/d', '/e'];
    const abort = new AbortController();
    type End = (options: { concurrency: number }) => Promise<unknown>;
    const byItemTimeout: End = (options) => client.gather(hanging, { ...options, itemTimeoutMs: 100 });
    const endings: End[] = [
      (options) => client.gather(hanging, { ...options, timeoutMs: 100 }),
      (options) => {
        setTimeout(() => abort.abort(), 100);
        return client.gather(hanging, { ...options, signal: abort.signal });
      },
      byItemTimeout,
      (options) => failureOf(client.gather(hanging, { ...options, mode: 'failFast', timeoutMs: 100 })),
      async (options) => {
        const items = async function* () {
          yield* hanging;
          await until(() => requests === 4);
          throw new Error('no more');
        };
        return failureOf(client.gather(items(), options));
      },
    ];
    for (const end of endings) {
      requests = 0;
      closed = 0;
      await end({ concurrency: 10 });
      await until(() => client.stats().active === 0);
      await until(() => closed === requests);
      // The one that is queued gets a connection only where its own time ends a moment after that of the others.
      expect(requests).toBeGreaterThanOrEqual(4);
      expect(requests).toBeLessThanOrEqual(end === byItemTimeout ? 5 : 4);
      expect(client.stats().origins[server.url]).toMatchObject({ queued: 0, inFlight: 0 });
    }
  });

  it('gives up a request whose own time is over, so that the next one has its connection', async () => {
    await using server = await startHttp((request, response) => {
      if (request.url !== '/hang') echo(request, response);
    });
    await using client = createHttpClient({ baseUrl: server.url, connections: 1 });
    const results = await client.gather(['/hang', '/next'], { itemTimeoutMs: 400, concurrency: 1 });
    expect(results.map(({ status }) => status)).toEqual(['error', 'ok']);
  });

  it('leaves the requests of others alone when it ends', async () => {
    let requests = 0;
    await using server = await startHttp((request, response) => {
      requests++;
      if (request.url === '/mine') setTimeout(() => echo(request, response), 200);
    });
    await using client = createHttpClient({ baseUrl: server.url });
    const mine = client.gather<Echo>(['/mine'], { as: 'json' });
    const other = client.getJson<Echo>('/mine');
    await client.gather(['/hang', '/hang'], { timeoutMs: 50 });
    expect((await mine)[0]!.status).toBe('ok');
    expect((await other).url).toBe('/mine');
    expect(requests).toBe(4);
  });

  it('closes its input when it is aborted', async () => {
    await using server = await startHttp(() => {});
    await using client = createHttpClient({ baseUrl: server.url, connections: 1 });
    const abort = new AbortController();
    let pulled = 0;
    let closed = false;
    const items = function* () {
      try {
        for (;;) {
          pulled++;
          yield '/';
        }
      } finally {
        closed = true;
      }
    };
    const gathering = client.gather(items(), { signal: abort.signal });
    await until(() => client.stats().active === 1);
    abort.abort();
    await gathering;
    expect(closed).toBe(true);
    expect(pulled).toBeLessThanOrEqual(2);
  });

  it('fails fast when asked to, and takes the first success when asked to', async () => {
    await using server = await startHttp((request, response) => {
      if (request.url === '/bad') response.writeHead(400).end();
      else if (request.url === '/good') echo(request, response);
    });
    await using client = createHttpClient({ baseUrl: server.url });
    const error = await failureOf(client.gather(['/hang', '/bad'], { mode: 'failFast' }));
    expect(error).toMatchObject({ code: 'HOTPATH_GATHER_FAILED', indices: [1] });
    const first = await client.gather(['/hang', '/bad', '/good'], { mode: 'any' });
    expect(first.json<Echo>().url).toBe('/good');
    expect(client.stats().active).toBe(0);
  });

  it("goes on with one origin's items while another makes no progress", async () => {
    let answered = 0;
    let lastAnswerMs = 0;
    await using good = await startHttp((request, response) => {
      answered++;
      lastAnswerMs = performance.now();
      echo(request, response);
    });
    await using hole = await startTcp(() => {});
    await using client = createHttpClient({ connections: 10, retry: false });
    const items: HttpRequest[] = Array.from({ length: 400 }, (_, index) => ({
      url: index % 2 === 0 ? `${hole.url}/` : `${good.url}/`,
      timeoutMs: 3_000,
    }));
    for (const concurrency of [400, undefined]) {
      answered = 0;
      const startMs = performance.now();
      const results = await client.gather(items, concurrency === undefined ? {} : { concurrency });
      expect(results.filter(({ status }) => status === 'ok')).toHaveLength(200);
      expect(answered).toBe(200);
      expect(lastAnswerMs - startMs).toBeLessThan(2_700);
    }
  });

  it('survives an outage: every item is settled, those of the outage as errors', async () => {
    await using server = await startHttp(echo);
    await using proxy = await startFaultProxy({ port: server.port });
    await using client = createHttpClient({
      baseUrl: `http://127.0.0.1:${proxy.port}`,
      connections: 8,
      retry: false,
      breaker: false,
    });
    let done = 0;
    const results = await client.gather(
      Array.from({ length: 400 }, (_, index) => `/${index}`),
      {
        progressIntervalMs: 1,
        onProgress: ({ completed }) => {
          if (completed >= 100 && done++ === 0) proxy.reset();
        },
      },
    );
    expect(results).toHaveLength(400);
    expect(results.filter(({ status }) => status === 'error').length).toBeLessThanOrEqual(8);
  });

  it('holds memory flat over 10,000 requests', async () => {
    await using server = await startHttp((_request, response) => response.end('{"id":"policy"}'));
    await using client = createHttpClient({ baseUrl: server.url });
    function* items(count: number): Generator<string> {
      for (let index = 0; index < count; index++) yield `/${index}`;
    }
    const heapBytes: number[] = [];
    const readAll = async (count: number): Promise<void> => {
      let seen = 0;
      for await (const { status } of client.gatherStream(items(count))) {
        if (status !== 'ok') throw new Error('an item failed');
        if (++seen % 1_000 === 0) heapBytes.push(heapAfterGc());
      }
      expect(seen).toBe(count);
    };
    await readAll(3_000);
    heapBytes.length = 0;
    await readAll(10_000);
    expect(Math.max(...heapBytes) - heapBytes[0]!).toBeLessThan(MOST_GROWTH_BYTES);

    // Whose results are its caller's: what is left when these are gone.
    const ofGather: number[] = [];
    for (let round = 0; round < 3; round++) {
      expect(await client.gather(items(10_000))).toHaveLength(10_000);
      ofGather.push(heapAfterGc());
    }
    expect(ofGather[2]! - ofGather[0]!).toBeLessThan(MOST_GROWTH_BYTES);
  });

  it('yields as results come, and stops when the reader does', async () => {
    let requests = 0;
    await using server = await startHttp((request, response) => {
      requests++;
      echo(request, response);
    });
    await using client = createHttpClient({ baseUrl: server.url, connections: 4 });
    let seen = 0;
    for await (const result of client.gatherStream(Array.from({ length: 1_000 }, () => '/'))) {
      expect(result.status).toBe('ok');
      if (++seen === 10) break;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(requests).toBeLessThan(30);
    expect(client.stats().active).toBe(0);
  });
});

describe('batcher', () => {
  async function lookupServer() {
    const batches: string[][] = [];
    const server = await startHttp((request, response) => {
      const ids = new URL(request.url ?? '', 'http://x').searchParams.get('ids')?.split(',') ?? [];
      batches.push(ids);
      setTimeout(() => response.end(JSON.stringify(ids.map((id) => (id === 'none' ? null : { id })))), 5);
    });
    return { server, batches };
  }
  const mapping = {
    toRequest: (ids: readonly string[]) => `/lookup?ids=${ids.join(',')}`,
    fromResponse: (body: unknown, ids: readonly string[]) =>
      (body as ({ id: string } | null)[]).map((found, index) => found ?? new Error(`no ${ids[index]}`)),
  };

  it('turns single look-ups of many callers into requests of ten', async () => {
    const { server, batches } = await lookupServer();
    await using _ = server;
    await using client = createHttpClient({ baseUrl: server.url });
    await using batcher = client.batcher(mapping);
    const ids = Array.from({ length: 25 }, (_, index) => `p${index}`);
    expect(await Promise.all(ids.map((id) => batcher.load(id)))).toEqual(ids.map((id) => ({ id })));
    expect(batches.map((batch) => batch.length).sort((a, b) => b - a)).toEqual([10, 10, 5]);
  });

  it('fails an item alone, and shares a place among equal ones', async () => {
    const { server, batches } = await lookupServer();
    await using _ = server;
    await using client = createHttpClient({ baseUrl: server.url });
    await using batcher = client.batcher(mapping);
    const results = await Promise.allSettled(['a', 'none', 'a', 'b'].map((id) => batcher.load(id)));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(batches).toEqual([['a', 'none', 'b']]);
  });

  it('sends a lone look-up without waiting out the window', async () => {
    const { server } = await lookupServer();
    await using _ = server;
    await using client = createHttpClient({ baseUrl: server.url });
    await using batcher = client.batcher({ ...mapping, windowMs: 2_000 });
    const startMs = performance.now();
    expect(await batcher.load('a')).toEqual({ id: 'a' });
    expect(performance.now() - startMs).toBeLessThan(1_000);
  });

  it('fails the items of a failed request with its error', async () => {
    await using server = await startHttp((_request, response) => response.writeHead(400).end());
    await using client = createHttpClient({ baseUrl: server.url });
    await using batcher = client.batcher(mapping);
    expect(await failureOf(batcher.load('a'))).toMatchObject({ code: 'HOTPATH_HTTP_STATUS', status: 400 });
  });
});

import { startFaultProxy } from '@hotpath/testkit';
import { describe, expect, it } from 'vitest';
import { createHttpClient } from '../../src/index.ts';
import { echo, failureOf, startHttp, startTcp, until } from '../support/servers.ts';

async function timed(
  send: () => Promise<unknown>,
): Promise<{ error: Record<string, unknown> & Error; ms: number }> {
  const startMs = performance.now();
  const error = await failureOf(send());
  return { error, ms: performance.now() - startMs };
}

describe('deadlines', () => {
  it('fires 50 ms at 50 to 70 ms while the server is silent (undici: at about 1,000)', async () => {
    await using server = await startTcp(() => {});
    await using client = createHttpClient({ baseUrl: server.url });
    // On a busy machine a turn of the event loop may be late: the quickest of a few tells what the timer does.
    const took: number[] = [];
    await failureOf(client.get('/', { timeoutMs: 200 }));
    while (took.length < 5 || (took.length < 30 && Math.min(...took) >= 70)) {
      const { error, ms } = await timed(() => client.get('/', { timeoutMs: 50 }));
      expect(error).toMatchObject({
        code: 'HOTPATH_HTTP_TIMEOUT',
        family: 'timeout',
        phase: 'headers',
        attempt: 1,
      });
      expect(ms).toBeGreaterThanOrEqual(50);
      expect(ms).toBeLessThan(500);
      took.push(ms);
    }
    expect(Math.min(...took)).toBeLessThan(70);
  });

  it('fires while queued, and takes the request out of the queue (undici: 1,005 ms)', async () => {
    let seen = 0;
    await using server = await startTcp((socket) => socket.on('data', () => seen++));
    await using client = createHttpClient({ baseUrl: server.url, connections: 1 });
    const blocking = failureOf(client.get('/first'));
    await until(() => seen === 1);
    const { error, ms } = await timed(() => client.get('/second', { timeoutMs: 50 }));
    expect(error).toMatchObject({ code: 'HOTPATH_HTTP_TIMEOUT', phase: 'queue' });
    expect(ms).toBeLessThan(500);
    expect(client.stats().origins[server.url]).toMatchObject({ queued: 0, inFlight: 1 });
    await client.close({ drainMs: 0 });
    expect((await blocking).code).toBe('HOTPATH_HTTP_CLOSED');
    expect(seen).toBe(1);
  });

  it('settles at once on abort while queued, and rethrows the reason itself', async () => {
    let seen = 0;
    await using server = await startTcp((socket) => socket.on('data', () => seen++));
    await using client = createHttpClient({ baseUrl: server.url, connections: 1 });
    const blocking = failureOf(client.get('/first'));
    await until(() => seen === 1);
    const abort = new AbortController();
    const reason = { not: 'an error' };
    const queued = client.get('/second', { signal: abort.signal });
    setTimeout(() => abort.abort(reason), 20);
    const { error, ms } = await timed(() => queued);
    expect(error).toBe(reason);
    expect(ms).toBeLessThan(500);
    await client.close({ drainMs: 0 });
    await blocking;
    expect(seen).toBe(1);
  });

  it('settles at once on abort while connecting', async () => {
    // It accepts, but never begins TLS.
    await using server = await startTcp(() => {});
    await using client = createHttpClient({
      baseUrl: `https://127.0.0.1:${server.port}`,
      connectTimeoutMs: 60_000,
    });
    const abort = new AbortController();
    const promise = client.get('/', { signal: abort.signal });
    setTimeout(() => abort.abort(), 20);
    const { error, ms } = await timed(() => promise);
    expect(error.name).toBe('AbortError');
    expect(ms).toBeLessThan(200);
    await client.close({ drainMs: 0 });
  });

  it('gives up connecting after connectTimeoutMs, and says so', async () => {
    await using server = await startTcp(() => {});
    await using client = createHttpClient({ connectTimeoutMs: 60, retry: false });
    const { error, ms } = await timed(() => client.get(`https://127.0.0.1:${server.port}/`));
    expect(error).toMatchObject({ code: 'HOTPATH_HTTP_CONNECT_TIMEOUT', phase: 'connect' });
    expect(ms).toBeGreaterThanOrEqual(60);
    expect(ms).toBeLessThan(500);
    await until(() => server.sockets.size === 0);
  });

  it('covers connecting', async () => {
    await using server = await startTcp(() => {});
    await using client = createHttpClient({ retry: false });
    const { error, ms } = await timed(() =>
      client.get(`https://127.0.0.1:${server.port}/`, { timeoutMs: 50 }),
    );
    expect(error).toMatchObject({ code: 'HOTPATH_HTTP_TIMEOUT', phase: 'connect' });
    expect(ms).toBeLessThan(500);
    await client.close({ drainMs: 0 });
    await until(() => server.sockets.size === 0);
  });

  it('covers a body that drips', async () => {
    await using server = await startHttp(echo);
    await using proxy = await startFaultProxy({ port: server.port });
    await using client = createHttpClient({ baseUrl: `http://127.0.0.1:${proxy.port}` });
    await client.get('/');
    await proxy.setFault({ kind: 'drip', bytes: 1, intervalMs: 5, direction: 'toClient' });
    const { error, ms } = await timed(() => client.get('/', { timeoutMs: 100, retry: false }));
    expect(error.code).toBe('HOTPATH_HTTP_TIMEOUT');
    expect(['headers', 'body']).toContain(error.phase);
    expect(ms).toBeLessThan(500);
  });

  it('settles on abort in the middle of a body', async () => {
    await using server = await startHttp((_request, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('half');
    });
    await using client = createHttpClient({ baseUrl: server.url });
    const abort = new AbortController();
    const promise = client.get('/', { signal: abort.signal });
    setTimeout(() => abort.abort(new Error('enough')), 40);
    const { error, ms } = await timed(() => promise);
    expect(error.message).toBe('enough');
    expect(ms).toBeLessThan(500);
    await until(() => client.stats().connections.open === 0);
  });

  it('covers the pauses between tries', async () => {
    await using server = await startHttp((_request, response) => {
      response.writeHead(503).end();
    });
    await using client = createHttpClient({
      baseUrl: server.url,
      retry: { attempts: 100, baseMs: 20, maxMs: 20 },
      breaker: false,
    });
    const { error, ms } = await timed(() => client.get('/', { timeoutMs: 150 }));
    expect(['HOTPATH_HTTP_TIMEOUT', 'HOTPATH_HTTP_STATUS']).toContain(error.code);
    expect(error.attempt).toBeGreaterThan(1);
    expect(ms).toBeLessThan(500);
  });

  it('ends one try after attemptTimeoutMs and makes another', async () => {
    let tries = 0;
    await using server = await startHttp((request, response) => {
      if (++tries > 1) echo(request, response);
    });
    await using client = createHttpClient({ baseUrl: server.url, attemptTimeoutMs: 60 });
    const startMs = performance.now();
    const response = await client.get('/');
    expect(response.attempts).toBe(2);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(60);
  });

  it('holds for a name that is never resolved', async () => {
    await using client = createHttpClient({ dns: { resolve: () => {} } });
    const { error, ms } = await timed(() => client.get('http://a.test/', { timeoutMs: 50 }));
    expect(error.code).toBe('HOTPATH_HTTP_TIMEOUT');
    expect(ms).toBeLessThan(500);
    await client.close({ drainMs: 0 });
  });
});

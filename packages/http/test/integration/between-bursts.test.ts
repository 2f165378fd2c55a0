import { queryObjects } from 'node:v8';
import { describe, expect, it } from 'vitest';
import { createHttpClient, type HttpClient } from '../../src/index.ts';
import { Attempt } from '../../src/internal/attempt.ts';
import { Call } from '../../src/internal/call.ts';
import { echo, startH2, startHttp, tls, until } from '../support/servers.ts';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function alive(shape: abstract new (...args: never[]) => unknown): number {
  return queryObjects(shape, { format: 'count' });
}

async function burst(client: HttpClient, size: number, path = '/'): Promise<void> {
  await Promise.all(Array.from({ length: size }, () => client.get(path)));
}

describe('between two bursts', () => {
  it('keeps nothing of an answer that is large, nor of what was sent', async () => {
    await using server = await startHttp((request, response) =>
      response.end(request.method === 'GET' ? 'x'.repeat(5_000) : 'ok'),
    );
    await using client = createHttpClient({ baseUrl: server.url });
    await burst(client, 4);
    await client.post('/', { body: 'small' });
    expect([alive(Call), alive(Attempt)]).toEqual([0, 0]);
  });

  it('keeps the connections that the next one needs, and closes them when none comes', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url, keepAliveConnections: 2 });
    await burst(client, 8);
    for (let round = 0; round < 5; round++) {
      await pause(5);
      await burst(client, 8);
    }
    expect(server.accepted).toBe(8);
    await until(() => client.stats().connections.open === 2);
  });

  it('closes what a few callers leave idle while they go on', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url, keepAliveConnections: 2 });
    await burst(client, 8);
    let done = false;
    const caller = (async () => {
      while (!done) await client.get('/');
    })();
    await until(() => client.stats().connections.open <= 3);
    done = true;
    await caller;
    expect(server.accepted).toBe(8);
  });

  it('lets a closed client leave nothing behind that would wait to close connections', async () => {
    await using server = await startHttp(echo);
    const client = createHttpClient({ baseUrl: server.url, keepAliveConnections: 2 });
    await burst(client, 8);
    await client.close();
    expect(client.stats().connections).toMatchObject({ open: 0, idle: 0 });
  });

  it('keeps one request of each shape through a collection, so that optimised code outlives it', async () => {
    await using server = await startHttp(echo);
    await using h2 = await startH2((origin) =>
      origin.on('request', (_request, response) => response.end('ok')),
    );
    for (const options of [
      { baseUrl: server.url },
      { baseUrl: h2.url, tls: { ca: tls.cert }, http2: true },
    ]) {
      const [calls, attempts] = [alive(Call), alive(Attempt)];
      await using client = createHttpClient(options);
      for (let round = 0; round < 2; round++) {
        await burst(client, 8);
        expect(alive(Call)).toBeGreaterThanOrEqual(1);
        expect(alive(Attempt)).toBeGreaterThanOrEqual(1);
        // Those of clients that were closed may be gone by now.
        await until(() => alive(Call) <= calls + 1 && alive(Attempt) <= attempts + 1);
      }
    }
  });
});

import { type Fault, type FaultProxy, startFaultProxy } from '@hotpath/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHttpClient, type HttpClient } from '../../src/index.ts';
import { echo, failureOf, startHttp, startTcp, type TestServer, until } from '../support/servers.ts';

let server: TestServer;
let proxy: FaultProxy;

beforeAll(async () => {
  server = await startHttp(echo);
  proxy = await startFaultProxy({ port: server.port });
});
afterAll(async () => {
  await proxy.close();
  await server.close();
});

async function withFault(
  faults: readonly Fault[],
  use: (client: HttpClient) => Promise<void>,
): Promise<void> {
  await proxy.setFault(...faults);
  await using client = createHttpClient({
    baseUrl: `http://127.0.0.1:${proxy.port}`,
    retry: false,
    timeoutMs: 2_000,
  });
  try {
    await use(client);
  } finally {
    await proxy.setFault();
    await client.close({ drainMs: 0 });
  }
}

describe('through a network that fails', () => {
  it('waits out a delay', () =>
    withFault([{ kind: 'delay', delayMs: 50 }], async (client) => {
      expect((await client.get('/')).status).toBe(200);
    }));

  it('tells a reset in the middle of the head', () =>
    withFault([{ kind: 'reset', afterBytes: 20, direction: 'toClient' }], async (client) => {
      expect(await failureOf(client.get('/'))).toMatchObject({
        code: 'HOTPATH_HTTP_CONNECTION_LOST',
        phase: 'headers',
      });
    }));

  it('tells a half-closed connection before the answer', () =>
    withFault([{ kind: 'truncate', afterBytes: 0, direction: 'toClient' }], async (client) => {
      expect(await failureOf(client.get('/'))).toMatchObject({ code: 'HOTPATH_HTTP_CONNECTION_LOST' });
    }));

  it('never takes a truncated body for a whole one', () =>
    withFault([{ kind: 'truncate', afterBytes: 250, direction: 'toClient' }], async (client) => {
      const error = await failureOf(client.getJson('/'));
      expect(error).toMatchObject({ phase: 'body', status: 200 });
      expect(['HOTPATH_HTTP_CONNECTION_LOST', 'HOTPATH_HTTP_BAD_RESPONSE']).toContain(error.code);
    }));

  it('tells garbage from a lost connection', () =>
    withFault([{ kind: 'garbage', direction: 'toClient' }], async (client) => {
      expect(await failureOf(client.get('/'))).toMatchObject({
        code: 'HOTPATH_HTTP_BAD_RESPONSE',
        family: 'corrupt',
      });
    }));

  it('reads a slow drip to its end', () =>
    withFault([{ kind: 'drip', bytes: 16, intervalMs: 1, direction: 'toClient' }], async (client) => {
      expect(await client.getJson('/path')).toMatchObject({ url: '/path' });
    }));

  it('does not wait for a black hole longer than the deadline', () =>
    withFault([{ kind: 'blackHole' }], async (client) => {
      const error = await failureOf(client.get('/', { timeoutMs: 60 }));
      expect(error.code).toBe('HOTPATH_HTTP_TIMEOUT');
      expect(client.stats().active).toBe(0);
    }));

  it('is well again as soon as the network is', () =>
    withFault([{ kind: 'refuse' }], async (client) => {
      expect((await failureOf(client.get('/'))).code).toBe('HOTPATH_HTTP_CONNECT_FAILED');
      await proxy.setFault();
      expect((await client.get('/')).status).toBe(200);
    }));

  it('does not take the answer to an aborted request for that to the next (response-queue poisoning)', async () => {
    await using poisoning = await startTcp((socket) => {
      socket.on('data', (data) => {
        const path = /^GET (\S+)/.exec(data.toString())?.[1] ?? '';
        const body = JSON.stringify({ path });
        const answer = `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
        // One answer more than was asked for.
        socket.write(path === '/first' ? answer + answer : answer);
      });
    });
    await using client = createHttpClient({ baseUrl: poisoning.url, connections: 1 });
    expect(await client.getJson('/first')).toEqual({ path: '/first' });
    for (let index = 0; index < 5; index++) {
      expect(await client.getJson(`/${index}`)).toEqual({ path: `/${index}` });
    }
  });

  it('keeps an origin that is slow from slowing another, also when it came first and wants everything', async () => {
    await using slow = await startHttp((request, response) =>
      setTimeout(() => echo(request, response), 2_000),
    );
    await using fast = await startHttp(echo);
    await using client = createHttpClient({ connections: 20 });
    const slowOnes = Array.from({ length: 100 }, () =>
      failureOf(client.get(`${slow.url}/`, { timeoutMs: 5_000 })),
    );
    await until(() => (client.stats().origins[slow.url]?.inFlight ?? 0) > 0);
    const startMs = performance.now();
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 5 }, () => client.getJson(`${fast.url}/`)));
    }
    expect(performance.now() - startMs).toBeLessThan(1_000);
    expect(client.stats().connections.open).toBeLessThanOrEqual(20);
    await client.close({ drainMs: 0 });
    await Promise.all(slowOnes);
  });
});

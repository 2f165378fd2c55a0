import { describe, expect, it } from 'vitest';
import { createHttpClient } from '../../src/index.ts';
import { collect, echo, failureOf, startHttp, until } from '../support/servers.ts';

describe('server-sent events', () => {
  it('are read whatever the pieces that they arrive in', async () => {
    const text =
      ': hi\r\nid: 1\r\ndata: first\r\ndata: line two\r\n\r\nevent: change\ndata:{"ü":1}\n\nid: 7\n\ndata\n\n';
    await using server = await startHttp((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
      const bytes = Buffer.from(text);
      let sent = 0;
      const next = (): void => {
        if (sent >= bytes.length) {
          response.end();
          return;
        }
        response.write(bytes.subarray(sent, sent + 3), () => setImmediate(next));
        sent += 3;
      };
      next();
    });
    await using client = createHttpClient({ baseUrl: server.url });
    const events = await collect(client.events('/'));
    expect(events).toEqual([
      { event: 'message', data: 'first\nline two', id: '1' },
      { event: 'change', data: '{"ü":1}', id: '1' },
      { event: 'message', data: '', id: '7' },
    ]);
    expect(client.stats().connections.idle).toBe(1);
  });

  it('outlive the deadline, which covers the way to the head', async () => {
    await using server = await startHttp((request, response) => {
      if (request.url === '/silent') return;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(':\n\n');
      setTimeout(() => response.end('data: late\n\n'), 150);
    });
    await using client = createHttpClient({ baseUrl: server.url });
    expect(await collect(client.events({ url: '/', timeoutMs: 100 }))).toHaveLength(1);
    expect(await failureOf(collect(client.events({ url: '/silent', timeoutMs: 50 })))).toMatchObject({
      code: 'HOTPATH_HTTP_TIMEOUT',
    });
  });

  it('end with the loop, the signal, silence or an event that is too large', async () => {
    let open = 0;
    await using server = await startHttp((_request, response) => {
      open++;
      response.on('close', () => open--);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`data: ${'x'.repeat(1_000)}\n\n`);
    });
    await using client = createHttpClient({ baseUrl: server.url });
    for await (const event of client.events('/')) {
      expect(event.data).toHaveLength(1_000);
      break;
    }
    await until(() => open === 0);
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error('bye')), 30);
    expect((await failureOf(collect(client.events({ url: '/', signal: abort.signal })))).message).toBe('bye');
    expect((await failureOf(collect(client.events('/', { idleTimeoutMs: 40 })))).code).toBe(
      'HOTPATH_HTTP_ATTEMPT_TIMEOUT',
    );
    expect((await failureOf(collect(client.events('/', { maxEventBytes: 100 })))).code).toBe(
      'HOTPATH_HTTP_TOO_LARGE',
    );
    await until(() => open === 0);
    expect(client.stats().active).toBe(0);
  });

  it('connect anew from the last event when asked to, and stop at 204', async () => {
    const from: (string | undefined)[] = [];
    await using server = await startHttp((request, response) => {
      from.push(request.headers['last-event-id'] as string | undefined);
      if (from.length === 4) {
        response.writeHead(204).end();
        return;
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`retry: 5\nid: ${from.length}\ndata: ${from.length}\n\n`);
      if (from.length === 2) setTimeout(() => response.destroy(), 5);
      else response.end();
    });
    await using client = createHttpClient({ baseUrl: server.url });
    const events = await collect(client.events('/', { reconnect: true }));
    expect(events.map(({ data }) => data)).toEqual(['1', '2', '3']);
    expect(from).toEqual([undefined, '1', '2', '3']);
  });

  it('connect anew from an id that came without data, and from none whose event was not complete', async () => {
    const from: (string | undefined)[] = [];
    await using server = await startHttp((request, response) => {
      from.push(request.headers['last-event-id'] as string | undefined);
      if (from.length === 3) {
        response.writeHead(204).end();
        return;
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const count = from.length;
      response.end(`retry: 1\nid: ${count}\ndata: x\n\nid: ${count}b\n\nid: incomplete\n`);
    });
    await using client = createHttpClient({ baseUrl: server.url });
    const events = await collect(client.events('/', { reconnect: true }));
    expect(events.map(({ id }) => id)).toEqual(['1', '2']);
    expect(from).toEqual([undefined, '1b', '2b']);
  });

  it('are given up after so many connections in a row without an event', async () => {
    let requests = 0;
    await using server = await startHttp((request, response) => {
      requests++;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('retry: 1\n\n');
      // One event sets the count back.
      if (requests === 2) response.write('data: 1\n\n');
      if (request.url === '/ends') response.end();
      else setTimeout(() => response.destroy(), 5);
    });
    await using client = createHttpClient({ baseUrl: server.url });
    const options = { reconnect: true, maxReconnects: 2 };
    expect(await collect(client.events('/ends', options))).toHaveLength(1);
    expect(requests).toBe(4);
    requests = 0;
    expect((await failureOf(collect(client.events('/breaks', options)))).code).toBe(
      'HOTPATH_HTTP_CONNECTION_LOST',
    );
    expect(requests).toBe(4);
  });

  it('are not taken for dead because their reader takes its time', async () => {
    await using server = await startHttp((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      let sent = 0;
      const timer = setInterval(() => {
        response.write(`data: ${++sent}\n\n`);
        if (sent === 10) response.end();
      }, 50);
      response.on('close', () => clearInterval(timer));
    });
    await using client = createHttpClient({ baseUrl: server.url });
    const seen: string[] = [];
    for await (const { data } of client.events('/', { idleTimeoutMs: 200 })) {
      seen.push(data);
      if (seen.length === 1) await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(seen).toHaveLength(10);
  });

  it('send an id back as the server gave it, whatever is in it', async () => {
    const from: (string | undefined)[] = [];
    const ids = ['☃ ü', 'a\u0001b'];
    await using server = await startHttp((request, response) => {
      const id = request.headers['last-event-id'] as string | undefined;
      from.push(id === undefined ? undefined : Buffer.from(id, 'latin1').toString());
      if (from.length === 3) {
        response.writeHead(204).end();
        return;
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(`retry: 1\nid: ${ids[from.length - 1]}\ndata: x\n\n`);
    });
    await using client = createHttpClient({ baseUrl: server.url });
    expect(await collect(client.events('/', { reconnect: true }))).toHaveLength(2);
    // No header can carry the second.
    expect(from).toEqual([undefined, ids[0], undefined]);
  });

  it('end with the client, also between two connections', async () => {
    await using server = await startHttp((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end('retry: 60000\ndata: 1\n\n');
    });
    const client = createHttpClient({ baseUrl: server.url });
    const events = client.events('/?secret=1', { reconnect: true });
    await events.next();
    const pausing = failureOf(events.next());
    await until(() => client.stats().active === 0);
    await client.close();
    expect(await pausing).toMatchObject({ code: 'HOTPATH_HTTP_CLOSED', url: `${server.url}/` });
  });

  it('refuse what is not an event stream, and show no secret', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url });
    const error = await failureOf(collect(client.events('/a?token=secret')));
    expect(error).toMatchObject({ code: 'HOTPATH_HTTP_BAD_BODY', url: `${server.url}/a`, status: 200 });
    expect(`${error.stack} ${JSON.stringify(error)}`).not.toContain('secret');
    await until(() => client.stats().active === 0);
  });
});

describe('streams', () => {
  it('hand the body on as it arrives, and slow the server to the speed of the reader', async () => {
    let sent = 0;
    await using server = await startHttp((_request, response) => {
      const chunk = Buffer.alloc(64 * 1024);
      const next = (): void => {
        while (sent < 64 * 1024 * 1024) {
          sent += chunk.length;
          if (!response.write(chunk)) {
            response.once('drain', next);
            return;
          }
        }
        response.end();
      };
      next();
    });
    await using client = createHttpClient({ baseUrl: server.url, timeoutMs: 20_000 });
    const { status, body } = await client.stream('/');
    expect(status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(sent).toBeLessThan(24 * 1024 * 1024);
    let received = 0;
    for await (const chunk of body) received += chunk.length;
    expect(received).toBe(64 * 1024 * 1024);
    expect(client.stats()).toMatchObject({ active: 0, connections: { idle: 1 } });
  });

  it('end with an error when the connection does, and are covered by the deadline', async () => {
    await using server = await startHttp((request, response) => {
      response.write('x');
      if (request.url === '/lost') setTimeout(() => response.destroy(), 20);
    });
    await using client = createHttpClient({ baseUrl: server.url });
    const read = async (url: string, timeoutMs: number): Promise<void> => {
      for await (const _ of (await client.stream({ url, timeoutMs })).body);
    };
    expect(await failureOf(read('/lost', 5_000))).toMatchObject({ family: 'unavailable', phase: 'body' });
    expect(await failureOf(read('/', 60))).toMatchObject({ code: 'HOTPATH_HTTP_TIMEOUT', phase: 'body' });
    expect(client.stats().active).toBe(0);
  });

  it('are as large as may be, and end where they would be larger', async () => {
    await using server = await startHttp((request, response) => {
      if (request.url === '/says') response.setHeader('content-length', 2_000);
      response.write('x'.repeat(900));
      setTimeout(() => response.end('x'.repeat(1_100)), 20);
    });
    await using client = createHttpClient({ baseUrl: server.url, maxResponseBytes: 10 });
    const read = async (url: string, maxResponseBytes?: number): Promise<number> => {
      let size = 0;
      for await (const chunk of (await client.stream({ url, maxResponseBytes })).body) size += chunk.length;
      return size;
    };
    for (const path of ['/says', '/does-not']) {
      expect((await failureOf(read(path, 1_000))).code).toBe('HOTPATH_HTTP_TOO_LARGE');
      expect(await read(path, 2_000)).toBe(2_000);
      expect(await read(path)).toBe(2_000);
    }
  });

  it('reject when the answer is a failure', async () => {
    await using server = await startHttp((_request, response) => response.writeHead(404).end('gone'));
    await using client = createHttpClient({ baseUrl: server.url });
    expect(await failureOf(client.stream('/'))).toMatchObject({ code: 'HOTPATH_HTTP_STATUS', status: 404 });
  });
});

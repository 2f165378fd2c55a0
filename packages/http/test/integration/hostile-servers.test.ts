import { describe, expect, it } from 'vitest';
import { createHttpClient, type HttpClientOptions } from '../../src/index.ts';
import { echo, failureOf, startHttp, startTcp, type TestServer, until } from '../support/servers.ts';

/** Answers each piece that it reads with these bytes. */
function answering(...pieces: string[]): Promise<TestServer> {
  return startTcp((socket) => {
    socket.on('data', () => {
      for (const piece of pieces) socket.write(Buffer.from(piece, 'latin1'));
    });
  });
}

/** Answers with a head, and then with this again and again, for as long as the client lets it. */
function flooding(head: string, again: string): Promise<TestServer> {
  return startTcp((socket) => {
    socket.on('data', () => {
      socket.write(head);
      const timer = setInterval(() => socket.write(again), 1);
      socket.on('close', () => clearInterval(timer));
    });
  });
}

const once: HttpClientOptions = { retry: false, timeoutMs: 2_000 };

describe('an answer with more than it should have', () => {
  const bodiless = [
    ['a HEAD', 'head', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello', 200],
    ['a 204', 'get', 'HTTP/1.1 204 No Content\r\n\r\nhello', 204],
    ['a 304', 'get', 'HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nhello', 304],
  ] as const;
  for (const [what, method, bytes, status] of bodiless) {
    it(`costs its connection: ${what} with a body`, async () => {
      await using server = await answering(bytes);
      await using client = createHttpClient({ baseUrl: server.url, ...once });
      for (let index = 0; index < 3; index++) {
        const response = await client[method]('/');
        expect(response.status).toBe(status);
        expect(response.bytes).toHaveLength(0);
      }
      // What came after it is never taken for the next answer.
      expect(server.accepted).toBe(3);
    });
  }

  it('costs its connection: a second answer that nobody asked for, at once or later', async () => {
    const first = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst';
    const poison = 'HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison';
    await using atOnce = await answering(first + poison);
    await using later = await startTcp((socket) => {
      socket.on('data', () => {
        socket.write(first);
        setTimeout(() => socket.write(poison), 5);
      });
    });
    for (const server of [atOnce, later]) {
      await using client = createHttpClient({ baseUrl: server.url, ...once });
      for (let index = 0; index < 5; index++) {
        expect((await client.get('/')).text()).toBe('first');
        await until(() => server === atOnce || client.stats().connections.open === 0);
      }
      expect(server.accepted).toBe(5);
    }
  });

  it('is not read past its trailers, which are dropped', async () => {
    await using server = await answering(
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n',
    );
    await using client = createHttpClient({ baseUrl: server.url, ...once });
    for (let index = 0; index < 2; index++) {
      const response = await client.get('/');
      expect(response.text()).toBe('hello');
      expect(response.headers).not.toHaveProperty('x');
    }
    expect(server.accepted).toBe(1);
  });

  it('may tell the length of the body that a 304 leaves out, however large', async () => {
    await using server = await answering('HTTP/1.1 304 Not Modified\r\ncontent-length: 99999999\r\n\r\n');
    await using client = createHttpClient({ baseUrl: server.url, ...once });
    expect((await client.get('/')).status).toBe(304);
  });

  it('may hold headers that are named like what objects inherit', async () => {
    await using server = await answering(
      'HTTP/1.1 200 OK\r\nconstructor: a\r\n__proto__: b\r\ntoString: c\r\ncontent-length: 2\r\n\r\nok',
    );
    await using client = createHttpClient({ baseUrl: server.url, ...once });
    const response = await client.get('/');
    expect(response.text()).toBe('ok');
    expect(response.headers.constructor).toBe('a');
    expect(({} as { b?: unknown }).b).toBeUndefined();
  });
});

describe('an answer that breaks the protocol', () => {
  const broken: Record<string, string> = {
    'two lengths': 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!',
    'a length and chunks':
      'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    'a negative length': 'HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello',
    'a length beyond all numbers': 'HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nhello',
    'bare line feeds': 'HTTP/1.1 200 OK\ncontent-length: 2\n\nok',
    'a folded header': 'HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 2\r\n\r\nok',
    'a NUL in a header': 'HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 2\r\n\r\nok',
    'a status below 100': 'HTTP/1.1 099 Hm\r\ncontent-length: 0\r\n\r\n',
    'a chunk size that is none': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n',
  };
  for (const [what, bytes] of Object.entries(broken)) {
    it(`is a typed error that counts against the origin: ${what}`, async () => {
      await using server = await answering(bytes);
      await using client = createHttpClient({ baseUrl: server.url, ...once });
      expect((await failureOf(client.get('/'))).code).toMatch(/^HOTPATH_HTTP_(BAD_RESPONSE|TOO_LARGE)$/);
      await until(() => client.stats().connections.open === 0);
      if (what !== 'a length beyond all numbers') {
        expect(client.stats().origins[server.url]?.failures).toBe(1);
      }
    });
  }

  it('is a lost connection when it is told to go on with what was not waiting for that', async () => {
    await using server = await answering(
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
    );
    await using client = createHttpClient({ baseUrl: server.url, ...once });
    expect((await failureOf(client.get('/'))).code).toBe('HOTPATH_HTTP_CONNECTION_LOST');
  });

  it('is a lost connection when it changes the protocol unasked', async () => {
    await using server = await answering(
      'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nfoo',
    );
    await using client = createHttpClient({ baseUrl: server.url, ...once });
    expect((await failureOf(client.get('/'))).code).toBe('HOTPATH_HTTP_CONNECTION_LOST');
  });
});

describe('an answer in pieces', () => {
  it('of a byte each is read to its end, and its connection used again', async () => {
    const text = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n{"a":1}';
    await using server = await startTcp((socket) => {
      socket.setNoDelay(true);
      socket.on('data', () => {
        let sent = 0;
        const next = (): void => {
          if (sent < text.length) socket.write(text[sent++] as string, () => setImmediate(next));
        };
        next();
      });
    });
    await using client = createHttpClient({ baseUrl: server.url, ...once });
    for (let index = 0; index < 2; index++) expect(await client.getJson('/')).toEqual({ a: 1 });
    expect(server.accepted).toBe(1);
  });
});

describe('an answer without end', () => {
  it('is cut off in its head and in its trailers', async () => {
    const header = `a: ${'x'.repeat(1_000)}\r\n`;
    await using endlessHead = await flooding('HTTP/1.1 200 OK\r\n', header);
    await using endlessTrailers = await flooding(
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n',
      header,
    );
    for (const server of [endlessHead, endlessTrailers]) {
      await using client = createHttpClient({ baseUrl: server.url, retry: false });
      expect((await failureOf(client.get('/'))).code).toBe('HOTPATH_HTTP_BAD_RESPONSE');
      await until(() => server.sockets.size === 0);
    }
  });

  it('of informational answers, and of chunk extensions, holds no memory and ends with the deadline', async () => {
    const informational = 'HTTP/1.1 102 Processing\r\nx: y\r\n\r\n'.repeat(200);
    await using floods = await flooding('', informational);
    await using extensions = await flooding(
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;a=',
      'x'.repeat(10_000),
    );
    for (const server of [floods, extensions]) {
      await using client = createHttpClient({ baseUrl: server.url, retry: false, timeoutMs: 200 });
      const before = process.memoryUsage().heapUsed;
      expect((await failureOf(client.get('/'))).code).toBe('HOTPATH_HTTP_TIMEOUT');
      expect(process.memoryUsage().heapUsed - before).toBeLessThan(32 * 1024 * 1024);
      await until(() => server.sockets.size === 0);
    }
  });

  it('after early hints is an answer like others', async () => {
    await using server = await answering(
      'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
    );
    await using client = createHttpClient({ baseUrl: server.url, ...once });
    for (let index = 0; index < 2; index++) expect((await client.get('/')).status).toBe(200);
    expect(server.accepted).toBe(1);
  });
});

describe('a server that asks to be left alone', () => {
  const asked: [string, string, 'soon' | 'not in time'][] = [
    ['a negative number', '-5', 'soon'],
    ['no number', 'abc', 'soon'],
    ['nothing', '', 'soon'],
    ['zero', '0', 'soon'],
    ['a date of the past', new Date(0).toUTCString(), 'soon'],
    ['a date of the future', new Date(Date.now() + 3_600_000).toUTCString(), 'not in time'],
    ['a number beyond all clocks', '9'.repeat(400), 'not in time'],
  ];
  for (const [what, retryAfter, when] of asked) {
    it(`by ${what} is asked again ${when}`, async () => {
      let requests = 0;
      await using server = await startHttp((request, response) => {
        if (++requests === 1) response.writeHead(503, { 'retry-after': retryAfter }).end();
        else echo(request, response);
      });
      await using client = createHttpClient({ baseUrl: server.url, timeoutMs: 2_000, retry: { baseMs: 1 } });
      const startMs = performance.now();
      if (when === 'soon') expect((await client.get('/')).attempts).toBe(2);
      else {
        expect(await failureOf(client.get('/'))).toMatchObject({ status: 503 });
        expect(requests).toBe(1);
      }
      expect(performance.now() - startMs).toBeLessThan(1_500);
    });
  }

  it('for ever is asked again after a day all the same', async () => {
    await using server = await startHttp((_request, response) => {
      response.writeHead(429, { 'retry-after': '9'.repeat(400) }).end();
    });
    await using client = createHttpClient({ baseUrl: server.url, retry: false, rateLimit: { limit: 100 } });
    expect((await failureOf(client.get('/'))).status).toBe(429);
    const error = await failureOf(client.get('/'));
    expect(error.code).toBe('HOTPATH_HTTP_RATE_LIMITED');
    expect(error.retryAfterMs).toBeLessThanOrEqual(86_400_000);
  });
});

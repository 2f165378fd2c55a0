import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { createTimerWheel, systemClock } from '@hotpath/core';
import { describe, expect, it } from 'vitest';
import { createHttpClient, type HttpClientOptions } from '../../src/index.ts';
import { AddressBook } from '../../src/internal/address-book.ts';
import { Dialer } from '../../src/internal/dialer.ts';
import { OriginPool } from '../../src/internal/origin-pool.ts';
import {
  type Echo,
  echo,
  failureOf,
  startHttp,
  startHttps,
  startTcp,
  tls,
  until,
} from '../support/servers.ts';

describe('redirects', () => {
  const secrets = { 'x-api-key': 'secret', authorization: 'Bearer secret', cookie: 'a=b', 'x-public': 'yes' };

  async function redirecting(status: number, location: (from: string) => string) {
    return startHttp((request, response) => {
      if (request.url === '/from')
        response.writeHead(status, { location: location(request.headers.host ?? '') }).end();
      else echo(request, response);
    });
  }

  it('are not followed unless asked for', async () => {
    await using server = await redirecting(302, () => '/to');
    await using client = createHttpClient({ baseUrl: server.url });
    expect(await client.get('/from')).toMatchObject({ status: 302, headers: { location: '/to' } });
  });

  it('keep their headers on the same origin', async () => {
    await using server = await redirecting(302, () => '/to?x=1');
    await using client = createHttpClient({ baseUrl: server.url, redirect: true });
    const { url, headers } = await client.getJson<Echo>('/from', { headers: secrets });
    expect(url).toBe('/to?x=1');
    expect(headers).toMatchObject(secrets);
  });

  it('lose every header that is not allowed by name on another origin (undici keeps x-api-key)', async () => {
    await using target = await startHttp(echo);
    await using server = await redirecting(307, () => `${target.url}/to`);
    await using client = createHttpClient({
      baseUrl: server.url,
      redirect: { forwardHeaders: ['X-Public'] },
    });
    const { headers } = await client.getJson<Echo>('/from', { headers: secrets });
    expect(headers['x-public']).toBe('yes');
    for (const name of ['x-api-key', 'authorization', 'cookie']) expect(headers).not.toHaveProperty(name);
  });

  it('never lead from https to http', async () => {
    await using plain = await startHttp(echo);
    await using server = await startHttps((_request, response) => {
      response.writeHead(302, { location: `${plain.url}/` }).end();
    });
    await using client = createHttpClient({ redirect: true, tls: { ca: tls.cert } });
    const error = await failureOf(client.get(`${server.url}/`));
    expect(error).toMatchObject({ code: 'HOTPATH_HTTP_REDIRECT_REFUSED', status: 302 });
    expect(plain.accepted).toBe(0);
  });

  it('end after five, and in a circle', async () => {
    await using server = await startHttp((_request, response) =>
      response.writeHead(302, { location: '/again' }).end(),
    );
    await using client = createHttpClient({ baseUrl: server.url, redirect: true });
    expect((await failureOf(client.get('/'))).code).toBe('HOTPATH_HTTP_REDIRECT_REFUSED');
    expect(client.stats().origins[server.url]?.dispatched).toBe(6);
  });

  it('turn a POST into a GET at 303, and keep it at 307', async () => {
    for (const [status, method, body] of [
      [303, 'GET', ''],
      [307, 'POST', 'x'],
    ] as const) {
      await using server = await redirecting(status, () => '/to');
      await using client = createHttpClient({ baseUrl: server.url, redirect: true });
      const response = await client.post('/from', { body: 'x', headers: { 'content-type': 'text/plain' } });
      expect(response.json<Echo>()).toMatchObject({ method, body });
      const type = response.json<Echo>().headers['content-type'];
      expect(type).toBe(method === 'GET' ? undefined : 'text/plain');
    }
  });

  it('take no leave to try again to where the key for that does not go', async () => {
    let requests = 0;
    await using target = await startHttp((_request, response) => {
      requests++;
      response.writeHead(503).end();
    });
    await using server = await redirecting(307, () => `${target.url}/to`);
    for (const [forwardHeaders, expected] of [
      [[], 1],
      [['Idempotency-Key'], 3],
    ] as const) {
      requests = 0;
      await using client = createHttpClient({
        baseUrl: server.url,
        redirect: { forwardHeaders },
        retry: { baseMs: 1 },
      });
      const error = await failureOf(client.post('/from', { body: 'x', idempotencyKey: 'k' }));
      expect(error.status).toBe(503);
      expect(requests).toBe(expected);
    }
  });

  it('pay for tries where they lead to', async () => {
    let requests = 0;
    await using target = await startHttp((request, response) => {
      if (++requests === 1) response.writeHead(503).end();
      else echo(request, response);
    });
    await using server = await redirecting(302, () => `${target.url}/to`);
    await using client = createHttpClient({
      baseUrl: server.url,
      redirect: true,
      retry: { baseMs: 1, budgetRatio: 1, budgetPerSecond: 0 },
    });
    expect((await client.get('/from')).json<Echo>().url).toBe('/to');
  });

  it('are not followed to what is not http, nor with credentials, nor with a body that is gone', async () => {
    for (const location of ['ftp://127.0.0.1/x', 'http://user:password@127.0.0.1:1/', 'http://[']) {
      await using server = await redirecting(307, () => location);
      await using client = createHttpClient({ baseUrl: server.url, redirect: true });
      const error = await failureOf(client.get('/from'));
      expect(error).toMatchObject({ code: 'HOTPATH_HTTP_REDIRECT_REFUSED', status: 307 });
      expect(error.message).not.toContain('password');
    }
    await using server = await redirecting(307, () => '/to');
    await using client = createHttpClient({ baseUrl: server.url, redirect: true });
    async function* body(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('x');
    }
    const error = await failureOf(client.put('/from', { body: body() }));
    expect(error.message).toContain('its body can be sent only once');
  });

  it('are checked by the guard at each hop', async () => {
    await using server = await redirecting(302, () => 'http://169.254.169.254/latest/meta-data');
    await using client = createHttpClient({
      baseUrl: server.url,
      redirect: true,
      retry: false,
      ssrfGuard: { allow: ['127.0.0.1'] },
    });
    expect((await failureOf(client.get('/from'))).code).toBe('HOTPATH_HTTP_ADDRESS_REFUSED');
  });
});

describe('the guard against requests to the inside', () => {
  const guarded: HttpClientOptions = { ssrfGuard: true, retry: false };

  for (const url of [
    'http://127.0.0.1/',
    'http://2130706433/',
    'http://0x7f.1/',
    'http://017700000001/',
    'http://0/',
    'http://10.0.0.1/',
    'http://169.254.169.254/latest/meta-data',
    'http://100.100.100.200/',
    'http://168.63.129.16/',
    'http://192.168.1.1/',
    'http://[::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::ffff:a9fe:a9fe]/',
    'http://[fd00:ec2::254]/',
    'http://[fe80::1]/',
    'http://[64:ff9b::7f00:1]/',
    'http://[2002:7f00:1::]/',
    'http://255.255.255.255/',
  ]) {
    it(`refuses ${url} (undici's look-up never sees a literal)`, async () => {
      await using client = createHttpClient(guarded);
      expect(await failureOf(client.get(url))).toMatchObject({
        code: 'HOTPATH_HTTP_ADDRESS_REFUSED',
        family: 'rejected',
        phase: 'connect',
      });
    });
  }

  it('refuses a name that resolves to the inside, also when only one of its addresses does', async () => {
    await using client = createHttpClient({
      ...guarded,
      dns: {
        resolve: (_host, callback) =>
          callback(null, [
            { address: '93.184.216.34', family: 4 },
            { address: '127.0.0.1', family: 4 },
          ]),
      },
    });
    expect((await failureOf(client.get('http://rebind.test/'))).code).toBe('HOTPATH_HTTP_ADDRESS_REFUSED');
    await using local = createHttpClient(guarded);
    expect((await failureOf(local.get('http://localhost/'))).code).toBe('HOTPATH_HTTP_ADDRESS_REFUSED');
  });

  it('looks at the connected peer too, whatever was looked up', async () => {
    await using server = await startHttp(echo);
    const seen: string[][] = [];
    const dialer = new Dialer({
      connectTimeoutMs: 5_000,
      tls: {},
      addresses: new AddressBook({
        ttlMs: 1_000,
        maxHosts: 10,
        clock: systemClock,
        resolve: (_host, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]),
      }),
      vet: (addresses) => {
        seen.push(addresses.map(({ address }) => address));
        if (seen.length === 2) throw new Error('not this peer');
      },
      speaksHttp2: () => false,
      wheel: createTimerWheel(),
      wrap: () => {
        throw new Error('it was handed on');
      },
    });
    const error = await new Promise<unknown>((resolve) => {
      dialer.dial(new OriginPool(new URL(`http://a.test:${server.port}`)), resolve);
    });
    expect((error as Error).message).toBe('not this peer');
    expect(seen).toEqual([['127.0.0.1'], ['127.0.0.1']]);
    await until(() => server.sockets.size === 0);
  });

  it('lets through what is allowed, but not what is denied', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({
      ssrfGuard: { allow: ['127.0.0.0/8'], deny: ['127.0.0.2'] },
      retry: false,
    });
    expect((await client.get(`${server.url}/`)).status).toBe(200);
    expect((await failureOf(client.get(`http://127.0.0.2:${server.port}/`))).code).toBe(
      'HOTPATH_HTTP_ADDRESS_REFUSED',
    );
  });
});

describe('size caps and encodings', () => {
  it('refuse a body that says it is too large, and one that does not say', async () => {
    await using server = await startHttp((request, response) => {
      if (request.url === '/says') response.setHeader('content-length', 2_000);
      // In two pieces: node would say the length of one.
      response.write('x'.repeat(900));
      response.end('x'.repeat(1_100));
    });
    await using client = createHttpClient({ baseUrl: server.url, maxResponseBytes: 1_000 });
    for (const path of ['/says', '/does-not']) {
      expect(await failureOf(client.get(path))).toMatchObject({
        code: 'HOTPATH_HTTP_TOO_LARGE',
        family: 'corrupt',
      });
    }
    expect((await client.get('/says', { maxResponseBytes: 2_000 })).bytes).toHaveLength(2_000);
  });

  const text = JSON.stringify({ value: 'x'.repeat(5_000) });
  for (const [name, encode] of Object.entries({
    gzip: gzipSync,
    br: brotliCompressSync,
    zstd: zstdCompressSync,
    deflate: deflateSync,
    'deflate, gzip': (bytes: string) => gzipSync(deflateRawSync(bytes)),
  })) {
    it(`undo ${name}`, async () => {
      await using server = await startHttp((_request, response) => {
        response.setHeader('content-encoding', name);
        response.end(encode(text));
      });
      await using client = createHttpClient({ baseUrl: server.url });
      expect(await client.getJson('/')).toEqual(JSON.parse(text));
      expect(await failureOf(client.getJson('/', { maxResponseBytes: 1_000 }))).toMatchObject({
        code: 'HOTPATH_HTTP_TOO_LARGE',
      });
    });
  }

  it('refuse a bomb, more than five encodings, an unknown one and broken data', async () => {
    const bomb = gzipSync(Buffer.alloc(50 * 1024 * 1024));
    const names = (count: number): string => Array(count).fill('gzip').join(', ');
    const packed = (count: number): Buffer => (count === 0 ? Buffer.from('x') : gzipSync(packed(count - 1)));
    await using server = await startHttp((request, response) => {
      const path = request.url ?? '';
      if (path === '/bomb') response.setHeader('content-encoding', 'gzip').end(bomb);
      else if (path === '/five') response.setHeader('content-encoding', names(5)).end(packed(5));
      else if (path === '/six') response.setHeader('content-encoding', names(6)).end(packed(6));
      else if (path === '/unknown') response.setHeader('content-encoding', 'rot13').end('x');
      else if (path === '/inherited') response.setHeader('content-encoding', 'constructor').end('x');
      else response.setHeader('content-encoding', 'gzip').end('no gzip');
    });
    await using client = createHttpClient({ baseUrl: server.url });
    expect((await failureOf(client.get('/bomb'))).code).toBe('HOTPATH_HTTP_TOO_LARGE');
    expect((await client.get('/five')).text()).toBe('x');
    for (const path of ['/six', '/unknown', '/inherited', '/broken']) {
      expect((await failureOf(client.get(path))).code).toBe('HOTPATH_HTTP_BAD_ENCODING');
    }
  });

  it('of a failure are undone too, and do not stand before its status', async () => {
    await using server = await startHttp((request, response) => {
      response.writeHead(503, { 'content-encoding': 'gzip' });
      response.end(request.url === '/broken' ? 'no gzip' : gzipSync('sorry'));
    });
    await using client = createHttpClient({ baseUrl: server.url, retry: { baseMs: 1, attempts: 2 } });
    const error = await failureOf(client.get('/'));
    expect(error).toMatchObject({ status: 503, attempt: 2, response: { body: 'sorry' } });
    expect(await failureOf(client.get('/broken'))).toMatchObject({ status: 503, response: { body: '' } });
  });

  it('are left alone when decompress is off', async () => {
    await using server = await startHttp((request, response) => {
      expect(request.headers).not.toHaveProperty('accept-encoding');
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('packed'));
    });
    await using client = createHttpClient({ baseUrl: server.url, decompress: false });
    expect((await client.get('/')).bytes).toEqual(gzipSync('packed'));
    const streamed: Buffer[] = [];
    for await (const chunk of (await client.stream('/')).body) streamed.push(chunk);
    expect(Buffer.concat(streamed)).toEqual(gzipSync('packed'));
  });

  it('are not asked for where the body streams, and refused there', async () => {
    await using server = await startHttp((request, response) => {
      expect(request.headers['accept-encoding']).toBe('identity');
      response
        .writeHead(200, { 'content-encoding': request.url === '/plain' ? 'Identity' : 'gzip' })
        .end('x');
    });
    await using client = createHttpClient({ baseUrl: server.url });
    expect((await failureOf(client.stream('/'))).code).toBe('HOTPATH_HTTP_BAD_ENCODING');
    for await (const chunk of (await client.stream('/plain')).body) expect(String(chunk)).toBe('x');
  });

  it('are not read past the end of a truncated body', async () => {
    const packed = gzipSync('x'.repeat(10_000));
    await using server = await startHttp((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed.subarray(0, packed.length - 9));
    });
    await using client = createHttpClient({ baseUrl: server.url, retry: false });
    expect((await failureOf(client.get('/'))).code).toBe('HOTPATH_HTTP_BAD_ENCODING');
  });

  it('refuse a head that is too large', async () => {
    await using server = await startTcp((socket) =>
      socket.on('data', () => socket.write(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)),
    );
    await using client = createHttpClient({ baseUrl: server.url, retry: false });
    expect((await failureOf(client.get('/'))).code).toBe('HOTPATH_HTTP_BAD_RESPONSE');
  });
});

describe('requests', () => {
  it('can not be given framing headers, line breaks or foreign hosts', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url });
    for (const name of [
      'Content-Length',
      'transfer-encoding',
      'Connection',
      'Keep-Alive',
      'Upgrade',
      'Host',
      'TE',
      'Trailer',
      'Expect',
    ]) {
      const error = await failureOf(client.post('/', { body: 'x', headers: { [name]: '1' } }));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain(name.toLowerCase());
    }
    for (const headers of [{ 'x-a': 'b\r\nx-c: d' }, { 'x a': 'b' }, { 'x-a': 'b\0' }, { '': 'b' }]) {
      expect(await failureOf(client.get('/', { headers }))).toBeInstanceOf(TypeError);
    }
    expect(server.accepted).toBe(0);
  });

  it('have each header once, whatever its spelling', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({
      baseUrl: server.url,
      headers: { 'X-Team': 'a', 'User-Agent': 'me' },
    });
    const { headers } = await client.getJson<Echo>('/', {
      headers: { 'x-TEAM': 'b', Accept: 'text/x', 'user-agent': undefined },
    });
    expect(headers).toMatchObject({ 'x-team': 'b', accept: 'text/x' });
    expect(headers).not.toHaveProperty('user-agent');
  });

  it('are stamped with the governing hash, which they can not change', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: server.url, governance: { hash: 'cdd01ef066bc6cf2' } });
    expect((await client.getJson<Echo>('/')).headers['x-constitutional-hash']).toBe('cdd01ef066bc6cf2');
    for (const value of ['other', undefined]) {
      expect(
        await failureOf(client.get('/', { headers: { 'X-Constitutional-Hash': value } })),
      ).toBeInstanceOf(TypeError);
    }
  });

  it('can not leave the path of the base URL, nor its origin', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient({ baseUrl: `${server.url}/v1/` });
    expect((await client.getJson<Echo>('policies/7?a=b')).url).toBe('/v1/policies/7?a=b');
    expect((await client.getJson<Echo>('/x/../y')).url).toBe('/v1/y');
    expect((await client.getJson<Echo>('/ü#fragment')).url).toBe('/v1/%C3%BC');
    for (const url of ['/../admin', '/a/../../admin', '/%2e%2e/admin', '/..\\admin', '//evil.test/x']) {
      expect(await failureOf(client.get(url)), url).toBeInstanceOf(TypeError);
    }
    expect(await failureOf(client.get('ftp://example.com/'))).toBeInstanceOf(TypeError);
  });

  it('show neither credentials nor query in errors', async () => {
    await using server = await startHttp((_request, response) => response.writeHead(400).end('the body'));
    await using client = createHttpClient({});
    const error = await failureOf(client.get(`${server.url}/path?token=secret#secret`));
    const shown = `${JSON.stringify(error)} ${error.message} ${error.stack}`;
    expect(error.url).toBe(`${server.url}/path`);
    for (const secret of ['secret', 'the body']) expect(shown).not.toContain(secret);
    expect((error.response as { body: string }).body).toBe('the body');
  });

  it('with credentials in their URL are refused, and do not show them', async () => {
    await using server = await startHttp(echo);
    await using client = createHttpClient();
    for (const url of [
      server.url.replace('//', '//user:password@'),
      new URL(server.url.replace('//', '//user:password@')),
      'http://user:password@[bad/',
    ]) {
      const error = await failureOf(client.get(url));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.stack).not.toContain('password');
    }
    expect(server.accepted).toBe(0);
  });

  it('have no body with GET and HEAD, and only one', async () => {
    await using client = createHttpClient({ baseUrl: 'http://127.0.0.1:1' });
    expect(await failureOf(client.get('/', { body: 'x' }))).toBeInstanceOf(TypeError);
    expect(await failureOf(client.post('/', { body: 'x', json: 1 }))).toBeInstanceOf(TypeError);
    expect(await failureOf(client.request({ url: '/', method: 'GET /x HTTP/1.1\r\n' }))).toBeInstanceOf(
      TypeError,
    );
  });

  it('name a wrong option', async () => {
    await using client = createHttpClient({ baseUrl: 'http://127.0.0.1:1' });
    expect((await failureOf(client.get('/', { priority: 12 }))).message).toContain("'priority'");
    expect((await failureOf(client.get('/', { timeoutMs: -1 }))).message).toContain("'timeoutMs'");
    expect((await failureOf(client.get('/', { timeoutMs: Number.NaN }))).message).toContain("'timeoutMs'");
  });
});

import { connect } from 'node:net';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { type ConstitutionFastifyOptions, constitutionPlugin } from '../../src/fastify.ts';
import { type ConstitutionMode, createConstitution } from '../../src/index.ts';

const HASH = 'cdd01ef066bc6cf2';
const WHOLE = 'sha256:raw:cdd01ef066bc6cf21ad294837e232073d8d1f07aa8a1c36da2aae997a3231a0f';

let app: FastifyInstance | undefined;
afterEach(async () => {
  await app?.close();
  app = undefined;
});

async function serve(
  options: Partial<ConstitutionFastifyOptions> = {},
  mode: ConstitutionMode = 'enforce',
): Promise<string> {
  const constitution = createConstitution({ active: WHOLE, mode });
  app = Fastify();
  await app.register(constitutionPlugin, { constitution, exempt: ['/health', '/v1/open/:id'], ...options });
  app.get('/health', async () => ({ ok: true }));
  app.get('/health/details', async () => ({ secret: 1 }));
  app.get('/v1/open/:id', async () => ({ open: true }));
  app.get('/v1/items', async () => ({ items: [] }));
  app.post('/v1/items', async () => ({ made: true }));
  app.get('/v1/fails', async () => {
    throw new Error('broken');
  });
  return app.listen({ port: 0, host: '127.0.0.1' });
}

/** A request as it is written here, header by header. */
function raw(origin: string, head: readonly string[]): Promise<string> {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    let answer = '';
    connect(Number(port), hostname)
      .setEncoding('utf8')
      .on('data', (text: string) => {
        answer += text;
      })
      .on('end', () => resolve(answer))
      .on('error', reject)
      .end([...head, 'Host: a', 'Connection: close', '', ''].join('\r\n'));
  });
}

describe('the Fastify plugin', () => {
  it('lets a request with the hash pass, and stamps the response', async () => {
    const origin = await serve();
    const response = await fetch(`${origin}/v1/items`, { headers: { 'X-Constitutional-Hash': HASH } });
    expect(response.status).toBe(200);
    expect(response.headers.get('x-constitutional-hash')).toBe(HASH);
    expect(response.headers.get('constitution-fingerprint')).toBe(WHOLE);
  });

  it.each([
    ['nothing', {}, 'missing'],
    ['upper case', { 'x-constitutional-hash': HASH.toUpperCase() }, 'malformed'],
    ['another hash', { 'x-constitutional-hash': 'ffffffffffffffff' }, 'unknown'],
    ['the hash in another header', { 'x-note': HASH, authorization: HASH }, 'missing'],
    [
      'a wrong fingerprint beside it',
      { 'x-constitutional-hash': HASH, 'constitution-fingerprint': HASH },
      'malformed',
    ],
  ])('answers %s with a typed 403 that does not tell the hash', async (_, headers, result) => {
    const origin = await serve();
    const response = await fetch(`${origin}/v1/items?h=${HASH}`, {
      headers: headers as Record<string, string>,
    });
    expect(response.status).toBe(403);
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect([...response.headers].flat().join()).not.toContain(HASH);
    const text = await response.text();
    expect(JSON.parse(text)).toEqual({
      error: {
        code: `HOTPATH_CONSTITUTION_${result.toUpperCase()}`,
        result,
        message: expect.stringContaining('the constitutional hash'),
      },
    });
    expect(text).not.toContain(HASH);
  });

  it.each([
    ['twice', [`X-Constitutional-Hash: ${HASH}`, `x-constitutional-hash: ${HASH}`], 403],
    ['and a second one empty', [`X-Constitutional-Hash: ${HASH}`, 'X-Constitutional-Hash:'], 403],
    ['with space around it, which HTTP takes off', [`X-Constitutional-Hash:  ${HASH} `], 200],
    ['with a byte that is not ASCII', [`X-Constitutional-Hash: ${HASH}é`], 403],
  ])('reads a header that came %s', async (_, lines, status) => {
    const origin = await serve();
    expect(await raw(origin, ['GET /v1/items HTTP/1.1', ...lines])).toMatch(
      new RegExp(`^HTTP/1.1 ${status} `),
    );
  });

  it('exempts exact routes alone', async () => {
    const origin = await serve();
    const statusOf = async (path: string): Promise<number> => (await fetch(`${origin}${path}`)).status;
    expect(await statusOf('/health')).toBe(200);
    expect(await statusOf('/health?x=1')).toBe(200);
    expect(await statusOf('/v1/open/7')).toBe(200);
    // Written otherwise, and the same route.
    expect(await statusOf('/%68ealth')).toBe(200);
    for (const path of [
      '/health/',
      '/health/details',
      '/healthz',
      '/HEALTH',
      '//health',
      '/health//',
      '/health%2f',
      '/health%00',
      '/health;a',
      '/v1/open',
      '/v1/open/7/8',
      '/nowhere',
    ]) {
      expect([path, await statusOf(path)]).toEqual([path, 403]);
    }
    const absolute = await raw(origin, ['GET http://other/v1/items?/health HTTP/1.1']);
    expect(absolute).toMatch(/^HTTP\/1.1 403 /);
    expect(await raw(origin, ['GET /health/../v1/items HTTP/1.1'])).toMatch(/^HTTP\/1.1 403 /);
  });

  it('exempts what a router that is lenient by choice takes for the route, and a route by its whole path', async () => {
    const constitution = createConstitution({ active: HASH });
    app = Fastify({ routerOptions: { caseSensitive: false, ignoreTrailingSlash: true } });
    await app.register(
      async (scope) => {
        await scope.register(constitutionPlugin, { constitution, exempt: ['/inner/health', '/health'] });
        scope.get('/health', async () => ({ ok: true }));
        scope.get('/health/health', async () => ({ secret: 1 }));
        scope.get('/items', async () => []);
      },
      { prefix: '/inner' },
    );
    app.get('/outside', async () => ({ open: true }));
    const origin = await app.listen({ port: 0, host: '127.0.0.1' });
    const statusOf = async (path: string): Promise<number> => (await fetch(`${origin}${path}`)).status;
    for (const path of ['/inner/health', '/inner/health/', '/INNER/Health', '/outside'])
      expect([path, await statusOf(path)]).toEqual([path, 200]);
    for (const path of ['/inner/health/health', '/inner/items'])
      expect([path, await statusOf(path)]).toEqual([path, 403]);
  });

  it('stamps every response of what it let through: errors, unknown routes and exempt ones', async () => {
    const origin = await serve();
    for (const [path, status] of [
      ['/v1/fails', 500],
      ['/nowhere', 404],
      ['/health', 200],
    ] as const) {
      const response = await fetch(origin + path, { headers: { 'x-constitutional-hash': HASH } });
      expect([path, response.status, response.headers.get('x-constitutional-hash')]).toEqual([
        path,
        status,
        HASH,
      ]);
    }
  });

  it('lets everything pass in mode warn and says so, and in mode shadow says nothing', async () => {
    const warned = await fetch(`${await serve({}, 'warn')}/v1/items`);
    expect([warned.status, warned.headers.get('constitution-warning')]).toEqual([200, 'missing']);
    await app?.close();
    const shadowed = await fetch(`${await serve({}, 'shadow')}/v1/items`);
    expect([shadowed.status, shadowed.headers.get('constitution-warning')]).toEqual([200, null]);
  });

  it('reads the hash at a place of the body, and there alone', async () => {
    const origin = await serve({ header: false, field: 'meta.hash' });
    const post = async (body: string, headers: Record<string, string> = {}): Promise<number> => {
      const init = { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } };
      return (await fetch(`${origin}/v1/items`, init)).status;
    };
    expect(await post(JSON.stringify({ meta: { hash: HASH } }))).toBe(200);
    for (const body of [
      { hash: HASH },
      { meta: HASH },
      { meta: { note: HASH } },
      { meta: { hash: [HASH] } },
      [HASH],
      HASH,
    ]) {
      expect([body, await post(JSON.stringify(body))]).toEqual([body, 403]);
    }
    expect(await post(JSON.stringify({}), { 'x-constitutional-hash': HASH })).toBe(403);
    expect(await post('{"meta":')).toBe(400);
    const broken = await fetch(`${origin}/v1/items`, {
      method: 'POST',
      body: '{"meta":',
      headers: { 'content-type': 'application/json' },
    });
    // Nothing was checked yet, so it is like a refusal.
    expect([...broken.headers].flat().join()).not.toContain(HASH);
    expect((await fetch(`${origin}/v1/items`)).status).toBe(403);
  });

  it('wants each of header and field to be right, where both may come', async () => {
    const origin = await serve({ field: 'hash' });
    const post = async (body: unknown, header?: string): Promise<number> => {
      const headers: Record<string, string> = { 'content-type': 'application/json' };
      if (header !== undefined) headers['x-constitutional-hash'] = header;
      return (await fetch(`${origin}/v1/items`, { method: 'POST', body: JSON.stringify(body), headers }))
        .status;
    };
    const other = 'ffffffffffffffff';
    expect([await post({}, HASH), await post({ hash: HASH }), await post({ hash: HASH }, HASH)]).toEqual([
      200, 200, 200,
    ]);
    expect([await post({ hash: other }, HASH), await post({ hash: HASH }, other), await post({})]).toEqual([
      403, 403, 403,
    ]);
    expect(await post({ hash: HASH }, '')).toBe(403);
  });

  it('never lets a good request vouch for a bad one', async () => {
    const origin = await serve();
    const results = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const headers =
          index % 2 === 0 ? { 'x-constitutional-hash': HASH } : { 'x-constitutional-hash': 'f'.repeat(16) };
        return (await fetch(`${origin}/v1/items`, { headers })).status;
      }),
    );
    expect(results).toEqual(Array.from({ length: 200 }, (_, index) => (index % 2 === 0 ? 200 : 403)));
  });

  it('refuses wrong options at registration', async () => {
    const register = async (options: unknown): Promise<void> => {
      const failing = Fastify();
      try {
        await failing.register(constitutionPlugin, options as ConstitutionFastifyOptions);
      } finally {
        await failing.close();
      }
    };
    const constitution = createConstitution({ active: HASH });
    await expect(register({})).rejects.toThrow("option 'constitution' must be made by createConstitution");
    await expect(register({ constitution, exempt: 'health' })).rejects.toThrow("option 'exempt'");
    await expect(register({ constitution, header: false })).rejects.toThrow("option 'field' is needed");
    await expect(register({ constitution, exemt: [] })).rejects.toThrow("unknown option 'exemt'");
  });
});

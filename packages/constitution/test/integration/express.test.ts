import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { afterEach, describe, expect, it } from 'vitest';
import { constitutionMiddleware } from '../../src/express.ts';
import { createConstitution } from '../../src/index.ts';

const HASH = 'cdd01ef066bc6cf2';
const WHOLE = 'sha256:raw:cdd01ef066bc6cf21ad294837e232073d8d1f07aa8a1c36da2aae997a3231a0f';
const constitution = createConstitution({ active: WHOLE });

let server: Server | undefined;
afterEach(() => {
  server?.close();
  server?.closeAllConnections();
});

async function serve(listener: RequestListener): Promise<string> {
  server = createServer(listener);
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const right = { headers: { 'x-constitutional-hash': HASH } };

describe('the Express middleware', () => {
  it('refuses, lets pass and stamps', async () => {
    const app = express();
    app.use(constitutionMiddleware({ constitution, exempt: ['/health'] }));
    app.get('/health', (_, response) => void response.json({ ok: true }));
    app.get('/items', (_, response) => void response.json([]));
    const origin = await serve(app);
    const passed = await fetch(`${origin}/items`, right);
    expect([
      passed.status,
      passed.headers.get('x-constitutional-hash'),
      passed.headers.get('constitution-fingerprint'),
    ]).toEqual([200, HASH, WHOLE]);
    const refused = await fetch(`${origin}/items`);
    expect([refused.status, [...refused.headers].flat().join().includes(HASH)]).toEqual([403, false]);
    const text = await refused.text();
    expect(JSON.parse(text)).toMatchObject({
      error: { code: 'HOTPATH_CONSTITUTION_MISSING', result: 'missing' },
    });
    expect(text).not.toContain(HASH);
    expect(Number(refused.headers.get('content-length'))).toBe(text.length);
    for (const [path, status] of [
      ['/health', 200],
      ['/health?a', 200],
      ['/health/', 403],
      ['/HEALTH', 403],
      ['/health/x', 403],
    ] as const) {
      expect([path, (await fetch(origin + path)).status]).toEqual([path, status]);
    }
  });

  it('compares the whole path under a mounted router', async () => {
    const app = express();
    const router = express.Router();
    router.use(constitutionMiddleware({ constitution, exempt: ['/health'] }));
    router.get('/health', (_, response) => void response.json({ inner: true }));
    app.use('/admin', router);
    const origin = await serve(app);
    expect((await fetch(`${origin}/admin/health`)).status).toBe(403);
    expect((await fetch(`${origin}/admin/health`, right)).status).toBe(200);
  });

  it('reads a place of the parsed body', async () => {
    const app = express();
    app.use(
      express.json(),
      constitutionMiddleware({ constitution, header: false, field: 'constitutional_hash' }),
    );
    app.post('/items', (_, response) => void response.json({}));
    const origin = await serve(app);
    const post = async (body: unknown): Promise<number> => {
      const init = {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      };
      return (await fetch(`${origin}/items`, init)).status;
    };
    expect(await post({ constitutional_hash: HASH })).toBe(200);
    expect(await post({ note: HASH })).toBe(403);
    expect(await post([{ constitutional_hash: HASH }])).toBe(403);
    expect((await fetch(`${origin}/items`, { method: 'POST', ...right })).status).toBe(403);
  });

  it('serves plain Node servers, as connect does, and tells a warning in mode warn', async () => {
    const warning = createConstitution({ active: HASH, mode: 'warn' });
    const middleware = constitutionMiddleware({ constitution: warning });
    const origin = await serve((request, response) =>
      middleware(request, response, () => response.end('in')),
    );
    const response = await fetch(origin);
    expect([response.status, response.headers.get('constitution-warning'), await response.text()]).toEqual([
      200,
      'missing',
      'in',
    ]);
    expect((await fetch(origin, right)).headers.get('constitution-warning')).toBeNull();
    expect(warning.stats()).toMatchObject({ ok: 1, missing: 1 });
  });
});

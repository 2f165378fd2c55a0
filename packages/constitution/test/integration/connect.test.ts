import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect as connectSocket } from 'node:net';
import connect from 'connect';
import { afterEach, expect, it } from 'vitest';
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

async function serve(app: connect.Server): Promise<number> {
  server = createServer(app);
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** The status and text that answer a request written here, byte for byte. */
function raw(port: number, target: string, lines: readonly string[] = []): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    connectSocket(port, '127.0.0.1')
      .setEncoding('utf8')
      .on('data', (text: string) => {
        answer += text;
      })
      .on('end', () => resolve(answer))
      .on('error', reject)
      .end([`GET ${target} HTTP/1.1`, 'Host: a', 'Connection: close', ...lines, '', ''].join('\r\n'));
  });
}

const GOOD = `X-Constitutional-Hash: ${HASH}`;

it('refuses, lets pass and stamps under connect', async () => {
  const app = connect();
  app.use(constitutionMiddleware({ constitution, exempt: ['/health'] }));
  app.use('/items', (_, response) => response.end('items'));
  const port = await serve(app);
  const passed = await raw(port, '/items', [GOOD]);
  expect(passed).toMatch(/^HTTP\/1.1 200 [\s\S]*x-constitutional-hash: cdd01ef066bc6cf2\r\n[\s\S]*items/i);
  expect(passed).toContain(WHOLE);
  const refused = await raw(port, '/items');
  expect(refused).toMatch(/^HTTP\/1.1 403 [\s\S]*"HOTPATH_CONSTITUTION_MISSING"/);
  expect(refused).not.toContain(HASH);
  for (const lines of [[GOOD, GOOD], [GOOD.toUpperCase()], [`${GOOD},`], [`X-Note: ${HASH}`]]) {
    expect(await raw(port, '/items', lines)).toMatch(/^HTTP\/1.1 403 /);
  }
});

it('exempts the exact path alone, however it is written, and under a mounted application', async () => {
  const app = connect();
  const inner = connect();
  inner.use(constitutionMiddleware({ constitution, exempt: ['/health'] }));
  inner.use((_, response) => response.end('inner'));
  app.use('/admin', inner);
  app.use(inner);
  const port = await serve(app);
  const statusOf = async (target: string): Promise<string> => (await raw(port, target)).slice(9, 12);
  expect(await statusOf('/health')).toBe('200');
  expect(await statusOf('/health?x=/items')).toBe('200');
  for (const target of [
    '/health/',
    '//health',
    '/health//',
    '/./health',
    '/%68ealth',
    '/health%2f',
    '/health%00',
    '/health;a',
    '/HEALTH',
    '/health/x',
    '/items?/health',
    '/items/../health',
    'http://a/health',
    '/admin/health',
    '/health#a',
  ]) {
    expect([target, await statusOf(target)]).toEqual([target, '403']);
  }
});

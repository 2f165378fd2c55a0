import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createConstitution } from '@hotpath/constitution';
import { createHttpClient, type HttpClient } from '@hotpath/http';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createApp } from '../../src/app.ts';

const HASH = 'cdd01ef066bc6cf2';
const headers = { 'x-constitutional-hash': HASH };
let supplier: Server;
let service: Server;
let client: HttpClient;
let url: string;
let answer: (path: string) => { status: number; body: unknown } | undefined;
let hashesSeen: unknown[];

function listen(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () =>
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    );
  });
}

beforeAll(async () => {
  supplier = createServer((request, response) => {
    hashesSeen.push(request.headers['x-constitutional-hash']);
    const given = answer(request.url ?? '');
    // A supplier that says nothing keeps its caller waiting.
    if (given !== undefined) {
      response
        .writeHead(given.status, { 'content-type': 'application/json' })
        .end(JSON.stringify(given.body));
    }
  });
  client = createHttpClient({
    baseUrl: await listen(supplier),
    timeoutMs: 1_000,
    retry: false,
    governance: { hash: HASH },
  });
  service = createServer(createApp(createConstitution({ active: HASH }), client));
  url = await listen(service);
});

beforeEach(() => {
  hashesSeen = [];
  answer = (path) => ({ status: 200, body: { path } });
});

afterAll(async () => {
  service?.closeAllConnections();
  service?.close();
  await client?.close();
  supplier?.closeAllConnections();
  supplier?.close();
});

test('offers of all suppliers are gathered, and each is asked under the document in force', async () => {
  const response = await fetch(`${url}/offers/tea`, { headers });
  expect(await response.json()).toEqual({
    offers: ['north', 'south', 'west'].map((name) => ({ path: `/${name}/offers?product=tea` })),
    missing: 0,
  });
  expect(hashesSeen).toEqual([HASH, HASH, HASH]);
});

test.each([
  ['tea/..', 'tea%2F..'],
  ['../../admin', '..%2F..%2Fadmin'],
  ['tea?all=1#x', 'tea%3Fall%3D1%23x'],
])('a product of the name %s asks for nothing else of the suppliers', async (product, encoded) => {
  const response = await fetch(`${url}/offers/${encoded}`, { headers });
  const { offers } = (await response.json()) as { offers: [{ path: string }] };
  const asked = new URL(offers[0].path, 'http://supplier');
  expect([asked.pathname, [...asked.searchParams], asked.hash]).toEqual([
    '/north/offers',
    [['product', product]],
    '',
  ]);
});

test('a supplier that does not answer is left out', async () => {
  answer = (path) => (path.startsWith('/south') ? undefined : { status: 200, body: { path } });
  const response = await fetch(`${url}/offers/tea`, { headers });
  expect(await response.json()).toEqual({
    offers: ['north', 'west'].map((name) => ({ path: `/${name}/offers?product=tea` })),
    missing: 1,
  });
});

test('an error of a supplier is a 502 with its code', async () => {
  answer = () => ({ status: 500, body: {} });
  const response = await fetch(`${url}/stock/tea`, { headers });
  expect(response.status).toBe(502);
  expect(await response.json()).toEqual({ error: 'HOTPATH_HTTP_STATUS' });
});

test('a supplier that hangs is a 504', async () => {
  answer = () => undefined;
  const response = await fetch(`${url}/stock/tea`, { headers });
  expect(response.status).toBe(504);
  expect(await response.json()).toEqual({ error: 'HOTPATH_HTTP_TIMEOUT' });
});

test('a request without the document is refused, health is not', async () => {
  expect((await fetch(`${url}/stock/tea`)).status).toBe(403);
  expect((await fetch(`${url}/health`)).status).toBe(200);
});

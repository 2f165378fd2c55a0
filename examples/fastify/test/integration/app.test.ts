import { readFileSync } from 'node:fs';
import { fingerprint } from '@hotpath/constitution';
import { type RedisServer, startRedis } from '@hotpath/testkit';
import type { FastifyInstance } from 'fastify';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createApp } from '../../src/app.ts';

const hash = fingerprint(readFileSync(new URL('../../constitution.md', import.meta.url))).short;
const headers = { 'x-constitutional-hash': hash };
let server: RedisServer;
let redis: Redis;
let app: FastifyInstance;
let loads = 0;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url);
  app = await createApp(redis, async (id) => {
    loads++;
    return id === 'missing' ? undefined : { id, name: `product ${id}` };
  });
  // It serves at once, and shares what it has as soon as Redis is connected.
  await vi.waitFor(async () => expect((await app.inject('/health')).json()).toEqual({ cache: 'up' }));
});

afterAll(async () => {
  await app?.close();
  redis?.disconnect();
  await server?.[Symbol.asyncDispose]();
});

test('a product is loaded once and answered from the cache', async () => {
  const url = '/products/tea';
  const first = await app.inject({ url, headers });
  const second = await app.inject({ url, headers });
  expect(first.json()).toEqual({ id: 'tea', name: 'product tea' });
  expect(second.json()).toEqual(first.json());
  expect(loads).toBe(1);
});

test('what is invalidated is loaded again', async () => {
  const before = loads;
  const answer = await app.inject({ method: 'DELETE', url: '/products/tea/cached', headers });
  expect(answer.json()).toEqual({ confirmed: true });
  await app.inject({ url: '/products/tea', headers });
  expect(loads).toBe(before + 1);
});

test('what does not exist is remembered too', async () => {
  const before = loads;
  for (let call = 0; call < 3; call++) {
    expect((await app.inject({ url: '/products/missing', headers })).statusCode).toBe(404);
  }
  expect(loads).toBe(before + 1);
});

test('a request under no or another document is refused, and not told which one is meant', async () => {
  for (const given of [{}, { 'x-constitutional-hash': '0000000000000000' }]) {
    const answer = await app.inject({ url: '/products/tea', headers: given });
    expect(answer.statusCode).toBe(403);
    expect(answer.body + JSON.stringify(answer.headers)).not.toContain(hash);
  }
});

test('health needs no document', async () => {
  expect((await app.inject('/health')).statusCode).toBe(200);
});

test('a client above its limit is told when to come back, and others are served', async () => {
  const ask = (remoteAddress: string) => app.inject({ url: '/products/tea', headers, remoteAddress });
  const answers = await Promise.all(Array.from({ length: 80 }, () => ask('10.0.0.7')));
  const refused = answers.filter(({ statusCode }) => statusCode === 429);
  expect(refused.length).toBeGreaterThanOrEqual(20);
  expect(Number(refused[0]?.headers['retry-after'])).toBeGreaterThanOrEqual(0);
  expect((await ask('10.0.0.8')).statusCode).toBe(200);
});

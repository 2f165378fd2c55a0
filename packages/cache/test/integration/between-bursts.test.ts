import { queryObjects } from 'node:v8';
import { type RedisServer, startRedis } from '@hotpath/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Cache } from '../../src/index.ts';
import { Flight } from '../../src/internal/flight.ts';
import { Caches } from '../fixtures/caches.ts';
import { until } from '../fixtures/fleet.ts';

let server: RedisServer;
let caches: Caches;

beforeAll(async () => {
  server = await startRedis();
  caches = new Caches({ port: server.port });
});
afterAll(async () => {
  await caches.close();
  await server[Symbol.asyncDispose]();
});

/** Counts after a full collection. */
function alive(): number {
  return queryObjects(Flight, { format: 'count' });
}

const keys = Array.from({ length: 50 }, (_, index) => `key ${index}`);

async function stored(namespace: string, value: unknown): Promise<Cache> {
  const writer = await caches.openUp({ namespace });
  await writer.setMany(keys.map((key) => [key, value]));
  return caches.openUp({ namespace });
}

function burst(cache: Cache): Promise<unknown> {
  return Promise.all(keys.map((key) => cache.getOrSet(key, () => 'loaded')));
}

test('keeps nothing of a large value', async () => {
  const cache = await stored('large', 'x'.repeat(5_000));
  await burst(cache);
  expect(cache.stats().l2.hits).toBe(keys.length);
  await until(() => alive() === 0);
});

test('keeps one read through a collection, so that optimised code outlives it', async () => {
  const cache = await stored('small', 'value');
  await burst(cache);
  expect(cache.stats().l2.hits).toBe(keys.length);
  expect(alive()).toBeGreaterThanOrEqual(1);
  await until(() => alive() === 1);
  await cache.close();
});

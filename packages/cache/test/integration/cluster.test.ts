import { type RedisCluster, startRedisCluster } from '@hotpath/testkit';
import { Cluster, Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Cache, createCache } from '../../src/index.ts';
import { sleep } from '../fixtures/caches.ts';
import { until } from '../fixtures/fleet.ts';

let servers: RedisCluster;
const opened: { close(): unknown }[] = [];

beforeAll(async () => {
  servers = await startRedisCluster();
});
afterAll(async () => {
  await servers[Symbol.asyncDispose]();
});
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

type Options = NonNullable<ConstructorParameters<typeof Cluster>[1]>;

function connect(options: Options = {}): Cluster {
  const redis = new Cluster(
    servers.nodes.map(({ host, port }) => ({ host, port })),
    options,
  );
  redis.on('error', () => {});
  opened.push({ close: () => redis.disconnect() });
  return redis;
}

function open(options: Options = {}): Cache {
  const cache = createCache({ namespace: 'cluster', redis: connect(options), jitterRatio: 0 });
  opened.push(cache);
  return cache;
}

async function openUp(options: Options = {}): Promise<Cache> {
  const cache = open(options);
  await until(() => cache.state === 'up', 10_000);
  return cache;
}

/** How many connections of caches the nodes have. */
async function connections(): Promise<number> {
  let count = 0;
  for (const { port } of servers.nodes) {
    const redis = new Redis({ port });
    const list = String(await redis.client('LIST'));
    count += list.split('\n').filter((line) => /name=hotpath-cache-/.test(line)).length;
    redis.disconnect();
  }
  return count;
}

test("a client's key prefix keeps caches of one namespace apart, also where it has braces of its own", async () => {
  const prefixes = [
    {},
    { keyPrefix: 'one:' },
    { redisOptions: { keyPrefix: 'two:' } },
    { keyPrefix: '{three}:' },
  ];
  const caches: Cache[] = [];
  for (const options of prefixes) caches.push(await openUp(options));
  for (const [index, cache] of caches.entries()) {
    expect(
      await cache.setMany(
        [
          ['a', index],
          ['b', index],
        ],
        { tags: ['tag'] },
      ),
    ).toEqual({ confirmed: true });
  }
  const again: Cache[] = [];
  for (const options of prefixes) again.push(await openUp(options));
  for (const [index, cache] of again.entries())
    expect(await cache.getMany(['a', 'b'])).toEqual([index, index]);
  expect(await caches[1]?.invalidateTags('tag')).toEqual({ confirmed: true });
  await until(async () => (await again[1]?.get('a')) === undefined);
  for (const index of [0, 2, 3]) expect(await again[index]?.get('a')).toBe(index);
});

test('a cache that is closed before it has found its nodes leaves no connection behind', async () => {
  await until(async () => (await connections()) === 0);
  for (const lazyConnect of [false, true]) {
    const redis = connect({ lazyConnect });
    await until(() => redis.status === (lazyConnect ? 'wait' : 'ready'));
    for (let waitMs = 0; waitMs < 15; waitMs++) {
      const cache = createCache({ namespace: 'cluster', redis });
      await sleep(waitMs);
      await cache.close();
    }
  }
  await sleep(300);
  expect(await connections()).toBe(0);
});

test('what is invalidated while nodes are recovered is repeated on each before anything is read from it', async () => {
  const cache = open();
  let count = 0;
  // In every turn of the event loop, so that one node has repeated what was queued while others have not.
  while (cache.state !== 'up') {
    for (let index = 0; index < 20; index++) void cache.delete(`key ${count++}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(count).toBeGreaterThan(20);
  expect(cache.stats().queuedInvalidations).toBe(0);
});

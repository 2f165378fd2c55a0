import { startRedis, startRedisCluster, startRedisSentinel } from '@hotpath/testkit';
import { Cluster, Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { createCache } from '../../src/index.ts';
import { until } from '../fixtures/fleet.ts';

test('on a three-node Cluster keys, tags, prefixes and clear reach another process-like cache', async () => {
  await using servers = await startRedisCluster();
  const clusters = [0, 1].map(() => {
    const cluster = new Cluster(servers.nodes.map(({ host, port }) => ({ host, port })));
    cluster.on('error', () => {});
    return cluster;
  });
  const [a, b] = clusters.map((redis) => createCache({ namespace: 'topology', redis, jitterRatio: 0 })) as [
    ReturnType<typeof createCache>,
    ReturnType<typeof createCache>,
  ];
  try {
    await until(() => a.state === 'up' && b.state === 'up', 10_000);
    const keys = Array.from({ length: 100 }, (_, index) => `key ${index}`);
    const entries = keys.map((key, index) => [key, index] as const);
    expect(await a.setMany(entries, { tags: ['all'] })).toEqual({ confirmed: true });
    expect(await b.getMany(keys)).toEqual(keys.map((_, index) => index));
    expect(await a.delete('key 1', 'key 2')).toEqual({ confirmed: true });
    await until(async () => (await b.get('key 1')) === undefined && (await b.get('key 2')) === undefined);
    expect(await a.invalidatePrefix('key 3')).toEqual({ confirmed: true });
    await until(async () => (await b.get('key 33')) === undefined && (await b.get('key 3')) === undefined);
    expect(await b.get('key 44')).toBe(44);
    expect(await b.invalidateTags('all')).toEqual({ confirmed: true });
    await until(async () => (await a.getMany(keys)).every((value) => value === undefined));
    await a.setMany(entries);
    expect(await a.clear()).toEqual({ confirmed: true });
    expect((await b.getMany(keys)).every((value) => value === undefined)).toBe(true);
    // One load for both.
    let loads = 0;
    const load = async (): Promise<string> => {
      loads++;
      await new Promise((resolve) => setTimeout(resolve, 20));
      return 'value';
    };
    expect(await Promise.all([a.getOrSet('x', load), b.getOrSet('x', load)])).toEqual(['value', 'value']);
    expect(loads).toBe(1);
  } finally {
    await Promise.all([a.close(), b.close()]);
    for (const cluster of clusters) cluster.disconnect();
  }
});

test('with one node of a Cluster down no call fails, and it is used again when it is back', async () => {
  await using servers = await startRedisCluster();
  const cluster = new Cluster(servers.nodes.map(({ host, port }) => ({ host, port })));
  cluster.on('error', () => {});
  const cache = createCache({ namespace: 'topology', redis: cluster });
  try {
    await until(() => cache.state === 'up', 10_000);
    await servers.nodes[0]?.kill();
    const keys = Array.from({ length: 100 }, (_, index) => `key ${index}`);
    const values = await Promise.all(keys.map((key) => cache.getOrSet(key, () => key)));
    expect(values).toEqual(keys);
    await until(() => cache.state === 'degraded');
    await servers.nodes[0]?.start();
    await until(() => cache.state === 'up', 20_000);
    expect(await cache.delete('key 1')).toEqual({ confirmed: true });
  } finally {
    await cache.close();
    cluster.disconnect();
  }
});

test('behind Sentinel a failover reaches no caller, and the new primary is used', async () => {
  await using group = await startRedisSentinel();
  const redis = new Redis({
    sentinels: [{ host: group.sentinel.host, port: group.sentinel.port }],
    name: group.name,
    lazyConnect: true,
  });
  redis.on('error', () => {});
  const cache = createCache({ namespace: 'topology', redis });
  try {
    await until(() => cache.state === 'up', 10_000);
    expect(await cache.set('a', 1)).toEqual({ confirmed: true });
    await group.primary.kill();
    for (let index = 0; index < 50; index++) {
      expect(await cache.getOrSet(`key ${index}`, () => index)).toBe(index);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await until(() => cache.state === 'up', 20_000);
    expect(await cache.delete('a')).toEqual({ confirmed: true });
  } finally {
    await cache.close();
    redis.disconnect();
  }
});

test('round trips: a hit takes one, a miss two, an invalidation one', async () => {
  await using server = await startRedis();
  const redis = new Redis({ port: server.port, lazyConnect: true });
  const [a, b] = [0, 1].map(() => createCache({ namespace: 'trips', redis })) as [
    ReturnType<typeof createCache>,
    ReturnType<typeof createCache>,
  ];
  try {
    await until(() => a.state === 'up' && b.state === 'up');
    const trips = async (cache: typeof a, run: () => Promise<unknown>): Promise<number> => {
      const before = cache.stats().l2.commands;
      await run();
      await new Promise((resolve) => setTimeout(resolve, 50));
      return cache.stats().l2.commands - before;
    };
    // The subscriptions' own catching-up counts as well: let it end.
    for (const cache of [a, b]) await until(async () => (await trips(cache, async () => {})) === 0);
    expect(await trips(a, () => a.getOrSet('x', () => 1))).toBe(2);
    expect(await trips(b, () => b.getOrSet('x', () => 1))).toBe(1);
    expect(await trips(a, () => a.delete('x'))).toBe(1);
    expect(await trips(a, () => a.invalidateTags('tag', 'other'))).toBe(1);
    expect(await trips(a, () => a.getMany(Array.from({ length: 100 }, (_, index) => `${index}`)))).toBe(1);
  } finally {
    await Promise.all([a.close(), b.close()]);
    redis.disconnect();
  }
});

import { startRedis, startRedisCluster, startRedisSentinel } from '@hotpath/testkit';
import { Cluster as NewestCluster, Redis as NewestRedis } from 'ioredis';
import { Cluster as OldestCluster, Redis as OldestRedis } from 'ioredis-oldest';
import { describe, expect, test } from 'vitest';
import { createCache } from '../../src/index.ts';
import { until } from '../fixtures/fleet.ts';

/** Both ends of the range that the package declares. */
const drivers = {
  'the newest ioredis': { Redis: NewestRedis, Cluster: NewestCluster },
  // They agree in all that the tests call, though not in every type.
  'the oldest ioredis': { Redis: OldestRedis, Cluster: OldestCluster } as unknown as {
    Redis: typeof NewestRedis;
    Cluster: typeof NewestCluster;
  },
};

describe.each(Object.entries(drivers))('with %s', (_name, { Redis, Cluster }) => {
  test('on one server values are shared, invalidations arrive, and a restart is got over', async () => {
    await using server = await startRedis();
    const redis = new Redis({ port: server.port, lazyConnect: true });
    const open = () => createCache({ namespace: 'topology', redis, jitterRatio: 0 });
    const [a, b] = [open(), open()];
    try {
      expect(await Promise.all([a.ready(), b.ready()])).toEqual(['up', 'up']);
      expect(await a.set('a', { list: [1] })).toEqual({ confirmed: true });
      expect(await b.get('a')).toEqual({ list: [1] });
      expect(await b.delete('a')).toEqual({ confirmed: true });
      await until(async () => (await a.get('a')) === undefined);
      await server.kill();
      expect(await a.getOrSet('a', async () => 'alone')).toBe('alone');
      await until(() => a.state === 'degraded');
      expect(await a.ready({ timeoutMs: 10 })).toBe('degraded');
      expect(await a.delete('a')).toEqual({ confirmed: false });
      await server.start();
      await until(() => a.state === 'up' && b.state === 'up');
      expect(await b.set('a', 'again')).toEqual({ confirmed: true });
      expect(await a.get('a')).toBe('again');
    } finally {
      await Promise.all([a.close(), b.close()]);
      redis.disconnect();
    }
  });

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

  test('a Cluster client that is not connected, or closed later, is all that a cache needs', async () => {
    await using servers = await startRedisCluster();
    const cluster = new Cluster(
      servers.nodes.map(({ host, port }) => ({ host, port })),
      { lazyConnect: true },
    );
    const cache = createCache({ namespace: 'topology', redis: cluster });
    try {
      expect(await cache.ready({ timeoutMs: 10_000 })).toBe('up');
      expect(cluster.status).toBe('wait');
      cluster.disconnect();
      await servers.nodes[0]?.restart();
      await until(() => cache.state === 'degraded');
      await until(() => cache.state === 'up', 20_000);
      expect(await cache.set('a', 1)).toEqual({ confirmed: true });
    } finally {
      await cache.close();
    }
  });

  test('while a slot moves to another node no call fails, and afterwards no process reads what was invalidated', async () => {
    await using servers = await startRedisCluster();
    const nodes = servers.nodes.map(({ port }) => new Redis({ port }));
    const cluster = new Cluster(servers.nodes.map(({ host, port }) => ({ host, port })));
    cluster.on('error', () => {});
    const open = () => createCache({ namespace: 'topology', redis: cluster, jitterRatio: 0, shards: 4 });
    const [reader, changer] = [open(), open()];
    try {
      await until(() => reader.state === 'up' && changer.state === 'up', 10_000);
      let current = 'old';
      let lastOldMs = 0;
      let isOver = false;
      const read = () => reader.getOrSet('a', async () => current);
      await changer.set('a', 'old');
      expect(await read()).toBe('old');
      const reading = (async () => {
        while (!isOver) {
          const askedMs = performance.now();
          if ((await read()) === 'old') lastOldMs = askedMs;
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      })();
      await moveSlotOf('k:sa', nodes);
      current = 'new';
      await until(async () => (await changer.delete('a')).confirmed, 10_000);
      const sinceMs = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      isOver = true;
      await reading;
      expect(lastOldMs - sinceMs).toBeLessThan(1_050);
      await until(() => reader.state === 'up' && changer.state === 'up', 10_000);
      expect(await read()).toBe('new');
      await changer.set('a', 'newer');
      await until(async () => (await read()) === 'newer');
      // What lies in the moved slot is shared as before.
      expect(await changer.get('a')).toBe('newer');
    } finally {
      await Promise.all([reader.close(), changer.close()]);
      cluster.disconnect();
      for (const node of nodes) node.disconnect();
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
});

/** Moves the slot of the key that ends so to the next node, as redis-cli does. */
async function moveSlotOf(ending: string, nodes: readonly NewestRedis[]): Promise<void> {
  const keys = await Promise.all(nodes.map((node) => node.keys(`*${ending}`)));
  const from = keys.findIndex((found) => found.length > 0);
  const [source, target] = [nodes[from], nodes[(from + 1) % nodes.length]] as [NewestRedis, NewestRedis];
  const slot = Number(await source.cluster('KEYSLOT', keys[from]?.[0] as string));
  const [sourceId, targetId] = [String(await source.cluster('MYID')), String(await target.cluster('MYID'))];
  await target.cluster('SETSLOT', slot, 'IMPORTING', sourceId);
  await source.cluster('SETSLOT', slot, 'MIGRATING', targetId);
  for (;;) {
    const [key] = await source.cluster('GETKEYSINSLOT', slot, 1);
    if (key === undefined) break;
    await source.migrate('127.0.0.1', target.options.port as number, key, 0, 1_000);
    // Slowly, so that calls come while only a part of it has moved.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  for (const node of [target, source, ...nodes]) await node.cluster('SETSLOT', slot, 'NODE', targetId);
}

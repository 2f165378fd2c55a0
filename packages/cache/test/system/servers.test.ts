import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startRedis, startRedisCluster } from '@hotpath/testkit';
import { Cluster } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { createCache } from '../../src/index.ts';
import { Caches } from '../fixtures/caches.ts';
import { until } from '../fixtures/fleet.ts';

const fetched = (path: string): string =>
  fileURLToPath(new URL(`../../../../.hotpath/servers/${path}`, import.meta.url));

/** Besides the system's own Redis, which all other tests run with. */
const servers = [
  {
    name: 'Valkey',
    command: existsSync('/usr/bin/valkey-server')
      ? '/usr/bin/valkey-server'
      : fetched('valkey/usr/bin/valkey-server'),
    info: /valkey/i,
  },
  // Older than what is promised, so that what is promised is not at its edge.
  { name: 'Redis 6.0', command: fetched('redis-6.0/redis-server'), info: /redis_version:6\.0/ },
  { name: 'Redis 8.0', command: fetched('redis-8.0/redis-server'), info: /redis_version:8\.0/ },
];

describe.each(servers)('on $name', ({ command, info }) => {
  test('values are shared, loaded once, invalidated by key, tag and prefix, and survive an outage', async () => {
    await using server = await startRedis({ command });
    const caches = new Caches({ port: server.port });
    try {
      expect(await caches.client().info('server')).toMatch(info);
      const [a, b] = [await caches.openUp(), await caches.openUp()];
      let loads = 0;
      const load = async (): Promise<number> => {
        await new Promise((resolve) => setTimeout(resolve, 30));
        return ++loads;
      };
      expect(await Promise.all([a.getOrSet('once', load), b.getOrSet('once', load)])).toEqual([1, 1]);
      for (const [key, invalidate] of [
        ['by key', () => a.delete('by key')],
        ['by tag', () => a.invalidateTags('tag')],
        ['by prefix', () => a.invalidatePrefix('by p')],
      ] as const) {
        await a.set(key, 'old', { tags: ['tag'] });
        expect(await b.get(key)).toBe('old');
        expect(await invalidate()).toEqual({ confirmed: true });
        await until(async () => (await b.get(key)) === undefined);
      }
      await server.kill();
      await until(() => a.state === 'degraded');
      expect(await a.getOrSet('alone', () => 'alone')).toBe('alone');
      expect(await a.delete('once')).toEqual({ confirmed: false });
      await server.start();
      await until(() => a.state === 'up' && a.stats().queuedInvalidations === 0);
      expect(await b.ready({ timeoutMs: 5_000 })).toBe('up');
      await until(async () => (await b.get('once')) === undefined);
    } finally {
      await caches.close();
    }
  });

  test('changes reach the others in a Cluster, through sharded channels where there are some', async () => {
    await using nodes = await startRedisCluster({ command });
    const cluster = new Cluster(nodes.nodes.map(({ host, port }) => ({ host, port })));
    cluster.on('error', () => {});
    const [a, b] = [0, 1].map(() => createCache({ namespace: 'system', redis: cluster, jitterRatio: 0 })) as [
      ReturnType<typeof createCache>,
      ReturnType<typeof createCache>,
    ];
    try {
      expect(await Promise.all([a.ready({ timeoutMs: 10_000 }), b.ready({ timeoutMs: 10_000 })])).toEqual([
        'up',
        'up',
      ]);
      const keys = Array.from({ length: 50 }, (_, index) => `key ${index}`);
      expect(await a.setMany(keys.map((key) => [key, key]))).toEqual({ confirmed: true });
      expect(await b.getMany(keys)).toEqual(keys);
      expect(await a.delete(...keys)).toEqual({ confirmed: true });
      await until(async () => (await b.getMany(keys)).every((value) => value === undefined));
    } finally {
      await Promise.all([a.close(), b.close()]);
      cluster.disconnect();
    }
  });
});

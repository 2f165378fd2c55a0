import { startRedisSentinel } from '@hotpath/testkit';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { createCache } from '../../src/index.ts';
import { sleep } from '../fixtures/caches.ts';
import { until } from '../fixtures/fleet.ts';

test('what a failover loses is invalidated again, before anything is read from the new primary', async () => {
  await using group = await startRedisSentinel();
  const { host, port } = group.sentinel;
  const redis = new Redis({ sentinels: [{ host, port }], name: group.name, lazyConnect: true });
  const primary = new Redis({ port: group.primary.port });
  const replica = new Redis({ port: group.replica.port });
  for (const client of [redis, primary, replica]) client.on('error', () => {});
  const open = () => createCache({ namespace: 'failover', redis, jitterRatio: 0, earlyRefreshBeta: 0 });
  const cache = open();
  try {
    expect(await cache.ready({ timeoutMs: 10_000 })).toBe('up');
    let current = 'old';
    const wrap = (on: ReturnType<typeof open>) =>
      on.wrap(async (_id: number) => current, { name: 'load', tags: (id) => [`tag:${id}`] });
    const load = wrap(cache);
    for (const id of [1, 2, 3]) expect(await load(id)).toBe('old');
    await until(() => cache.stats().l2.fills === 3);
    await until(async () => (await replica.keys('*load*')).length === 3);
    // From now on the replica gets nothing any more, as one that lags behind.
    await primary.call('ACL', 'SETUSER', 'default', '-psync', '-sync');
    await primary.call('CLIENT', 'KILL', 'TYPE', 'replica');
    current = 'new';
    expect(await load.invalidate(1)).toEqual({ confirmed: true });
    expect(await cache.invalidateTags('tag:2')).toEqual({ confirmed: true });
    expect((await replica.keys('*load*')).length).toBe(3);
    await group.primary.kill();
    const read = new Set<string>();
    const reading = async (): Promise<void> => {
      for (const id of [1, 2]) read.add(await load(id));
    };
    await until(async () => {
      await reading();
      return cache.state === 'degraded';
    });
    await until(async () => {
      await reading();
      return cache.state === 'up';
    }, 20_000);
    for (let index = 0; index < 50; index++) await reading().then(() => sleep(2));
    expect([...read]).toEqual(['new']);
    const other = open();
    try {
      expect(await other.ready({ timeoutMs: 5_000 })).toBe('up');
      const otherLoad = wrap(other);
      // What was not invalidated is still shared: only what was lost was repeated.
      expect([await otherLoad(1), await otherLoad(2), await otherLoad(3)]).toEqual(['new', 'new', 'old']);
    } finally {
      await other.close();
    }
    expect(cache.stats().replayedInvalidations).toBe(2);
  } finally {
    await cache.close();
    for (const client of [redis, primary, replica]) client.disconnect();
  }
});

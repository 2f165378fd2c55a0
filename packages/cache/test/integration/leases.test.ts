import { type FaultProxy, type RedisServer, startFaultProxy, startRedis } from '@hotpath/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Cache } from '../../src/index.ts';
import { Caches, sleep } from '../fixtures/caches.ts';
import { until } from '../fixtures/fleet.ts';

let server: RedisServer;
let proxy: FaultProxy;
let near: Caches;
let behindProxy: Caches;

beforeAll(async () => {
  server = await startRedis();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});
beforeEach(async () => {
  proxy = await startFaultProxy({ port: server.port });
  near = new Caches({ port: server.port });
  behindProxy = new Caches({ port: proxy.port });
});
afterEach(async () => {
  await behindProxy.close();
  await near.close();
  await proxy.close();
  const redis = near.client();
  await redis.flushall();
  await near.close();
});

/** The lease was given, and the process that asked for it has not heard of it. */
async function loseGrant(
  inject: () => unknown,
): Promise<{ readonly tookMs: number; readonly value: string }> {
  const [cutOff, other] = [
    await behindProxy.openUp({ softDeadlineMs: 50, hardDeadlineMs: 200 }),
    await near.openUp(),
  ];
  await proxy.setFault({ kind: 'blackHole', direction: 'toClient' });
  const redis = near.client();
  const lonely = cutOff.getOrSet('a', async () => 'own');
  await until(async () => (await redis.exists('{tested}k:sa')) + (await redis.dbsize()) > 2);
  await inject();
  const startedMs = performance.now();
  const value = await other.getOrSet('a', async () => 'loaded');
  const tookMs = performance.now() - startedMs;
  expect(await lonely).toBe('own');
  return { tookMs, value };
}

test('a lease whose holder never heard of it holds nobody up for long', async () => {
  const { tookMs, value } = await loseGrant(() => {});
  expect(value).toBe('loaded');
  expect(tookMs).toBeLessThan(900);
});

test('a lease that was given on a connection which then broke is ended as soon as the holder is back', async () => {
  const { tookMs, value } = await loseGrant(async () => {
    await proxy.setFault();
    proxy.reset();
  });
  expect(value).toBe('loaded');
  expect(tookMs).toBeLessThan(400);
});

test('a cache that is closed during a load ends its lease at once', async () => {
  const [leaving, other] = [await near.openUp(), await near.openUp()];
  let finish!: (value: string) => void;
  const loading = leaving.getOrSet('a', () => new Promise<string>((resolve) => (finish = resolve)));
  await until(() => leaving.stats().loadsInFlight === 1);
  const waiting = other.getOrSet('a', async () => 'other');
  await until(() => other.stats().leaseWaits === 1);
  const startedMs = performance.now();
  await leaving.close();
  expect(await waiting).toBe('other');
  expect(performance.now() - startedMs).toBeLessThan(450);
  finish('leaving');
  expect(await loading).toBe('leaving');
});

test('a value that is due for a refresh everywhere is loaded once in the fleet', async () => {
  const caches = [await near.openUp(), await near.openUp(), await near.openUp(), await near.openUp()];
  let loads = 0;
  const load = async (): Promise<number> => ++loads;
  const options = { ttlMs: 300, staleMs: 60_000 };
  for (const cache of caches) expect(await cache.getOrSet('a', load, options)).toBe(1);
  expect(loads).toBe(1);
  await sleep(320);
  for (const cache of caches) {
    await cache.getOrSet('a', load, options);
    await until(async () => (await cache.getOrSet('a', load, options)) === 2, 1_000);
  }
  expect(loads).toBe(2);
});

test('a load that failed leaves the lease to the next at once', async () => {
  const [a, b] = [await near.openUp(), await near.openUp()];
  const failing = a.getOrSet('a', async () => {
    await sleep(50);
    throw new Error('no');
  });
  await until(() => a.stats().loadsInFlight === 1);
  const startedMs = performance.now();
  const waiting = b.getOrSet('a', async () => 'b');
  await expect(failing).rejects.toThrow('no');
  expect(await waiting).toBe('b');
  expect(performance.now() - startedMs).toBeLessThan(450);
});

test('a process that waits longer than leaseWaitMs loads itself and stores nothing in Redis', async () => {
  const [a, b] = [await near.openUp(), await near.openUp({ leaseWaitMs: 100 })];
  let finish!: (value: string) => void;
  const loading = a.getOrSet('a', () => new Promise<string>((resolve) => (finish = resolve)));
  await until(() => a.stats().loadsInFlight === 1);
  expect(await b.getOrSet('a', async () => 'impatient')).toBe('impatient');
  expect(b.stats().leaseTimeouts).toBe(1);
  finish('patient');
  await loading;
  await until(() => a.stats().l2.fills === 1);
  expect(await (await near.openUp()).get('a')).toBe('patient');
});

test('a load that an invalidation overtook does not end the renewal of the lease after it', async () => {
  const [a, b] = [await near.openUp(), await near.openUp()];
  const [first, second] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
  const overtaken = a.getOrSet('a', () => first.promise);
  await until(() => a.stats().loadsInFlight === 1);
  await a.delete('a');
  const renewed = a.getOrSet('a', () => second.promise);
  await until(() => a.stats().loadsInFlight === 2);
  first.resolve('old');
  expect(await overtaken).toBe('old');
  // For longer than a lease stands at first.
  const waiting = b.getOrSet('a', async () => 'impatient');
  await sleep(800);
  second.resolve('new');
  expect(await Promise.all([renewed, waiting])).toEqual(['new', 'new']);
  expect(b.stats().loads).toBe(0);
});

test('a value that processes refresh at the same time is loaded by one of them', async () => {
  const caches = [await near.openUp(), await near.openUp(), await near.openUp()];
  let loads = 0;
  const gate = Promise.withResolvers<void>();
  const load = async (): Promise<string> => {
    if (++loads > 1) await gate.promise;
    return `load ${loads}`;
  };
  const options = { ttlMs: 100, staleMs: 60_000 };
  for (const cache of caches) expect(await cache.getOrSet('a', load, options)).toBe('load 1');
  await sleep(110);
  for (const cache of caches) expect(await cache.getOrSet('a', load, options)).toBe('load 1');
  await until(() => caches.some((cache) => cache.stats().loadsInFlight === 1));
  await sleep(50);
  gate.resolve();
  await until(async () => (await caches[0]?.getOrSet('a', load, options)) === 'load 2');
  expect(loads).toBe(2);
});

test('who joins a refresh waits for a frozen Redis no longer than for a read', async () => {
  const cache = await near.openUp({ softDeadlineMs: 500, hardDeadlineMs: 6_000 });
  const options = { ttlMs: 100, staleMs: 200 };
  // Nothing has been read from Redis yet.
  await cache.set('a', 'old', options);
  await sleep(150);
  server.freeze();
  try {
    expect(await cache.getOrSet('a', () => 'new', options)).toBe('old');
    await sleep(200);
    const startedMs = performance.now();
    expect(await cache.getOrSet('a', () => 'new', options)).toBe('new');
    expect(performance.now() - startedMs).toBeLessThan(2_000);
    expect(cache.stats()).toMatchObject({ joins: 1, loads: 1 });
  } finally {
    server.thaw();
  }
});

test('a load whose value Redis refuses leaves the lease to the next at once', async () => {
  const [a, b] = [await near.openUp(), await near.openUp()];
  const redis = near.client();
  const loaded = Promise.withResolvers<string>();
  const loading = a.getOrSet('a', () => loaded.promise);
  await until(() => a.stats().loadsInFlight === 1);
  const waiting = b.getOrSet('a', async () => 'b');
  await until(() => b.stats().leaseWaits === 1);
  await redis.config('SET', 'maxmemory', '1');
  try {
    const startedMs = performance.now();
    loaded.resolve('a');
    expect(await Promise.all([loading, waiting])).toEqual(['a', 'b']);
    expect(performance.now() - startedMs).toBeLessThan(400);
    expect(a.state).toBe('up');
  } finally {
    await redis.config('SET', 'maxmemory', '0');
  }
});

test('a lease that was given to who waits no longer is given back as soon as that is known', async () => {
  const [late, other] = [
    await near.openUp({ softDeadlineMs: 50, hardDeadlineMs: 6_000 }),
    await near.openUp(),
  ];
  server.freeze();
  try {
    expect(await late.getOrSet('a', () => 'own')).toBe('own');
  } finally {
    server.thaw();
  }
  const startedMs = performance.now();
  expect(await other.getOrSet('a', () => 'other')).toBe('other');
  // Left behind it would stand for 500 ms.
  expect(performance.now() - startedMs).toBeLessThan(400);
});

describe('a value in its grace that only Redis has', () => {
  const GRACE = { ttlMs: 50, graceMs: 60_000 };
  const failure = new Error('no');

  async function expired(): Promise<Cache> {
    await (await near.openUp()).set('a', 'old', GRACE);
    await sleep(70);
    return near.openUp({ maxStalenessMs: 200 });
  }

  test('stands in for a load that fails', async () => {
    const cache = await expired();
    expect(await cache.getOrSet('a', () => Promise.reject(failure), GRACE)).toBe('old');
    expect(cache.stats()).toMatchObject({ stale: 1, loadErrors: 1 });
  });

  test('does not where its key was invalidated meanwhile', async () => {
    const cache = await expired();
    const loading = Promise.withResolvers<string>();
    const value = cache.getOrSet('a', () => loading.promise, GRACE);
    await until(() => cache.stats().loadsInFlight === 1);
    await cache.delete('a');
    loading.reject(failure);
    await expect(value).rejects.toBe(failure);
  });

  test('does not when the load took longer than the bound, as it may have been invalidated since', async () => {
    const cache = await expired();
    const load = () => sleep(300).then(() => Promise.reject(failure));
    await expect(cache.getOrSet('a', load, GRACE)).rejects.toBe(failure);
  });
});

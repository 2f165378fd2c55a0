import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type RedisServer, startRedis } from '@hotpath/testkit';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Cache, type CacheOptions, createCache } from '../../src/index.ts';
import { until } from '../fixtures/fleet.ts';

let server: RedisServer;
const opened: { close(): unknown }[] = [];
const names = 0;

beforeEach(async () => {
  server = await startRedis();
});
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
  await server[Symbol.asyncDispose]();
});

function connect(): Redis {
  const redis = new Redis({ port: server.port, lazyConnect: true, retryStrategy: () => 50 });
  redis.on('error', () => {});
  opened.push({ close: () => redis.disconnect() });
  return redis;
}

function open(options: Partial<CacheOptions> = {}): Cache {
  const cache = createCache({ namespace: `outage${names}`, redis: connect(), jitterRatio: 0, ...options });
  opened.push(cache);
  return cache;
}

async function openUp(options: Partial<CacheOptions> = {}): Promise<Cache> {
  const cache = open(options);
  await until(() => cache.state === 'up');
  return cache;
}

const SOFT_DEADLINE_MS = 50;

interface Stall {
  readonly atMs: number;
  readonly tookMs: number;
  /** How long a timer of the deadline took that was set with the call: later than that is this machine's doing. */
  readonly timerMs: number;
  /** Whether it was answered in the turn of the event loop in which it was made: nothing was waited for. */
  readonly isAtOnce: boolean;
}

/** Calls for `forMs` at a steady rate, and tells what a caller saw. */
async function callFor(forMs: number, call: (index: number) => Promise<unknown>) {
  const endMs = performance.now() + forMs;
  const stalls: Stall[] = [];
  let errors = 0;
  const calls: Promise<unknown>[] = [];
  for (let index = 0; performance.now() < endMs; index++) {
    const atMs = performance.now();
    const lasts = async (promise: Promise<unknown>): Promise<number> => {
      await promise;
      return performance.now() - atMs;
    };
    const timer = new Promise((resolve) => setTimeout(resolve, SOFT_DEADLINE_MS));
    let isOver = false;
    setImmediate(() => {
      isOver = true;
    });
    const called = lasts(call(index)).then((tookMs) => ({ tookMs, isAtOnce: !isOver }));
    calls.push(
      Promise.all([called, lasts(timer)]).then(
        ([{ isAtOnce, tookMs }, timerMs]) => stalls.push({ atMs, tookMs, timerMs, isAtOnce }),
        () => errors++,
      ),
    );
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await Promise.all(calls);
  return { errors, stalls, longestMs: Math.max(...stalls.map(({ tookMs }) => tookMs)) };
}

test('a process whose Redis is down at boot starts, answers, and picks Redis up when it appears', async () => {
  await server.kill();
  const cache = open();
  const load = cache.wrap(async (id: number) => `value ${id}`, { name: 'load' });
  expect(await load(1)).toBe('value 1');
  expect(await load.invalidate(1)).toEqual({ confirmed: false });
  expect(cache.state).toBe('degraded');
  await server.start();
  expect(await until(() => cache.state === 'up')).toBeLessThan(1_000);
  expect(cache.stats().queuedInvalidations).toBe(0);
});

test('no caller sees an error while Redis is killed, and it is in use again within a second', async () => {
  const cache = await openUp({ l1: { maxEntries: 100 } });
  const load = cache.wrap(async (id: number) => id, { name: 'load' });
  const calling = callFor(1_500, (index) => load(index % 1_000));
  await new Promise((resolve) => setTimeout(resolve, 300));
  await server.kill();
  const { errors, longestMs } = await calling;
  expect(errors).toBe(0);
  expect(longestMs).toBeLessThan(250);
  expect(cache.state).toBe('degraded');
  await server.start();
  expect(await until(() => cache.state === 'up')).toBeLessThan(1_000);
});

test('a frozen Redis holds callers up once, for 60 ms at most, and the degraded state clears by itself', async () => {
  const cache = await openUp({ l1: { maxEntries: 100 } });
  const load = cache.wrap(async (id: number) => id, { name: 'load' });
  await load(1);
  server.freeze();
  const { errors, stalls } = await callFor(1_500, (index) => load(index));
  expect(errors).toBe(0);
  const heldUp = stalls.filter(({ isAtOnce }) => !isAtOnce);
  expect(heldUp.length).toBeGreaterThan(0);
  // 10 ms more than a timer of 50 ms takes here: 60 ms, where nothing else is running.
  const longestMs = Math.max(...heldUp.map(({ tookMs, timerMs }) => tookMs - timerMs));
  expect(longestMs).toBeLessThan(60 - SOFT_DEADLINE_MS);
  // From when the first of them was let go, nobody waits.
  const knownMs = Math.min(...heldUp.map(({ atMs, tookMs }) => atMs + tookMs));
  expect(heldUp.filter(({ atMs }) => atMs > knownMs)).toEqual([]);
  expect(cache.state).toBe('degraded');
  server.thaw();
  expect(await until(() => cache.state === 'up', 3_000)).toBeLessThan(2_000);
});

test('a delete during an outage is not undone after recovery: it is replayed before the first read', async () => {
  const redis = connect();
  const cache = await openUp();
  let current = 'old';
  let loads = 0;
  const load = cache.wrap(
    async (_id: number) => {
      loads++;
      return current;
    },
    { name: 'load' },
  );
  expect(await load(1)).toBe('old');
  await redis.config('SET', 'save', '');
  await redis.save();
  await server.kill();
  await until(() => cache.state === 'degraded');
  current = 'new';
  expect(await load.invalidate(1)).toEqual({ confirmed: false });
  expect(cache.stats().queuedInvalidations).toBe(1);
  expect(await load(1)).toBe('new');
  await server.start();
  const values = new Set<string>();
  await until(async () => {
    values.add(await load(1));
    return cache.state === 'up';
  });
  // Another process finds the value gone as well.
  const other = await openUp();
  expect(await other.wrap(async (_id: number) => current, { name: 'load' })(1)).toBe('new');
  expect([...values]).toEqual(['new']);
  expect(cache.stats().replayedInvalidations).toBeGreaterThanOrEqual(1);
  expect(loads).toBeGreaterThan(1);
});

test('after a restart with an older dump, what was invalidated since is invalidated again', async () => {
  const redis = connect();
  const cache = await openUp();
  let current = 'old';
  const load = cache.wrap(async (_id: number) => current, { name: 'load', tags: (id) => [`tag:${id}`] });
  for (const id of [1, 2, 3]) expect(await load(id)).toBe('old');
  await redis.save();
  const dump = join(server.directory, 'dump.rdb');
  await copyFile(dump, `${dump}.old`);
  current = 'new';
  expect(await load.invalidate(1)).toEqual({ confirmed: true });
  expect(await cache.invalidateTags('tag:2')).toEqual({ confirmed: true });
  expect(await load(1)).toBe('new');
  expect(await load(2)).toBe('new');
  await server.kill();
  await copyFile(`${dump}.old`, dump);
  await server.start();
  await until(() => cache.state === 'degraded').catch(() => {});
  await until(() => cache.state === 'up');
  const other = await openUp();
  const otherLoad = other.wrap(async (_id: number) => current, {
    name: 'load',
    tags: (id) => [`tag:${id}`],
  });
  expect(await otherLoad(1)).toBe('new');
  expect(await otherLoad(2)).toBe('new');
  // What was not invalidated is still shared.
  expect(await otherLoad(3)).toBe('old');
});

test('after a restart with nothing, Redis is filled anew', async () => {
  const cache = await openUp();
  const load = cache.wrap(async (id: number) => id, { name: 'load' });
  await load(1);
  await server.kill();
  await until(() => cache.state === 'degraded');
  await server.start();
  await until(() => cache.state === 'up');
  expect(await load.invalidate(1)).toEqual({ confirmed: true });
  await load(1);
  await until(async () => (await cache.stats()).l2.fills >= 2);
  const other = await openUp();
  const second = other.wrap(async (_id: number) => -1, { name: 'load' });
  await until(async () => (await second(1)) === 1);
});

test('what overflows the queue becomes one invalidation of everything', async () => {
  const redis = connect();
  const cache = await openUp({ maxQueuedInvalidations: 5 });
  await cache.set('kept', 'old');
  await redis.save();
  await server.kill();
  await until(() => cache.state === 'degraded');
  for (let index = 0; index < 10; index++) {
    expect(await cache.delete(`key ${index}`)).toEqual({ confirmed: false });
  }
  expect(cache.stats().queuedInvalidations).toBe(1);
  await server.start();
  await until(() => cache.state === 'up');
  const other = await openUp();
  expect(await other.get('kept')).toBeUndefined();
});

test('while Redis is away values in memory are used no longer than the promised time', async () => {
  const cache = await openUp({ maxStalenessMs: 300 });
  let loads = 0;
  const load = cache.wrap(async (id: number) => [id, ++loads], { name: 'load' });
  await load(1);
  await server.kill();
  await until(() => cache.state === 'degraded');
  await load(1);
  const before = loads;
  await new Promise((resolve) => setTimeout(resolve, 350));
  await load(1);
  expect(loads).toBe(before + 1);
});

test('with bypass nothing is kept while Redis is away', async () => {
  await server.kill();
  const cache = open({ whenAway: 'bypass' });
  let loads = 0;
  const load = cache.wrap(async (_id: number) => ++loads, { name: 'load' });
  await load(1);
  await load(1);
  expect(loads).toBe(2);
});

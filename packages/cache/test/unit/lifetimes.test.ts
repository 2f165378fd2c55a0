import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createVirtualClock, type VirtualClock } from '@hotpath/core/testing';
import { afterEach, expect, test } from 'vitest';
import {
  type Cache,
  type CacheOptions,
  constitutionalDataCache,
  createCache,
  databaseQueryCache,
  hotEndpointCache,
} from '../../src/index.ts';

const opened: Cache[] = [];
function open(clock: VirtualClock, options: Partial<CacheOptions> = {}): Cache {
  const cache = createCache({
    namespace: 'lifetimes',
    clock,
    jitterRatio: 0,
    earlyRefreshBeta: 0,
    ...options,
  });
  opened.push(cache);
  return cache;
}
afterEach(async () => {
  await Promise.all(opened.splice(0).map((cache) => cache.close()));
});

/** A loader that counts its calls, and takes `tookMs` of the clock. */
function counting(clock?: VirtualClock, tookMs = 0) {
  const loader = Object.assign(
    async (_id: number): Promise<number> => {
      loader.calls++;
      if (tookMs > 0) await new Promise<void>((resolve) => clock?.setTimeout(resolve, tookMs));
      return loader.calls;
    },
    { calls: 0 },
  );
  return loader;
}

const presets = [
  [hotEndpointCache, 300_000],
  [databaseQueryCache, 600_000],
  [constitutionalDataCache, 1_800_000],
] as const;

test('values of the presets live 300, 600 and 1,800 s, to the millisecond', async () => {
  for (const [preset, ttlMs] of presets) {
    const clock = createVirtualClock();
    const cache = preset({
      constitutionalHash: 'cdd01ef066bc6cf2',
      namespace: undefined,
      ttlMs: undefined,
      clock,
      jitterRatio: 0,
      earlyRefreshBeta: 0,
    });
    opened.push(cache);
    const loader = counting();
    const get = cache.wrap(loader, { name: 'value' });
    await get(1);
    await clock.advance(ttlMs - 1);
    await get(1);
    expect(loader.calls).toBe(1);
    await clock.advance(1);
    await get(1);
    expect(loader.calls).toBe(2);
  }
});

test('jitter shortens a life by up to its share, and never lengthens it', async () => {
  for (const [drawn, lifeMs] of [
    [0, 1_000],
    [0.5, 900],
    [0.999, 800],
  ] as const) {
    const clock = createVirtualClock();
    const cache = open(clock, { ttlMs: 1_000, jitterRatio: 0.2, random: () => drawn });
    const loader = counting();
    const get = cache.wrap(loader, { name: 'value' });
    await get(1);
    await clock.advance(lifeMs - 1);
    await get(1);
    expect(loader.calls).toBe(1);
    await clock.advance(2);
    await get(1);
    expect(loader.calls).toBe(2);
  }
});

test('lives are jittered by default', async () => {
  const clock = createVirtualClock();
  const cache = createCache({
    namespace: 'default',
    clock,
    ttlMs: 1_000,
    earlyRefreshBeta: 0,
    random: () => 0.99,
  });
  opened.push(cache);
  const get = cache.wrap(counting(), { name: 'value' });
  await get(1);
  await clock.advance(950);
  expect(get.peek(1)).toBeUndefined();
});

test('a value that took long to load is refreshed before it expires, behind those who read it', async () => {
  const clock = createVirtualClock();
  // -ln(1 - 0.9) = 2.3 load times before the expiry.
  const cache = open(clock, { ttlMs: 1_000, earlyRefreshBeta: 1, random: () => 0.9 });
  const loader = counting(clock, 100);
  const get = cache.wrap(loader, { name: 'value' });
  const first = get(1);
  await clock.advance(100);
  expect(await first).toBe(1);
  await clock.advance(760);
  expect(await get(1)).toBe(1);
  expect(loader.calls).toBe(1);
  await clock.advance(20);
  expect([await get(1), await get(1)]).toEqual([1, 1]);
  expect(loader.calls).toBe(2);
  await clock.advance(100);
  expect(await get(1)).toBe(2);
  expect(cache.stats().stale).toBe(0);
});

test('a beta of 0 refreshes nothing early', async () => {
  const clock = createVirtualClock();
  const cache = open(clock, { ttlMs: 1_000, earlyRefreshBeta: 0, random: () => 0.999_999 });
  const loader = counting(clock, 100);
  const get = cache.wrap(loader, { name: 'value' });
  void get(1);
  await clock.advance(100);
  await clock.advance(999);
  await get(1);
  expect(loader.calls).toBe(1);
});

test('a stale value is served within staleMs and not after it', async () => {
  const clock = createVirtualClock();
  const cache = open(clock, { ttlMs: 100, staleMs: 50 });
  const loader = counting(clock, 10);
  const get = cache.wrap(loader, { name: 'value' });
  const load = async (): Promise<number> => {
    const waiting = get(1);
    await clock.advance(10);
    return waiting;
  };
  expect(await load()).toBe(1);
  await clock.advance(149);
  expect(await get(1)).toBe(1);
  expect(cache.stats().stale).toBe(1);
  await clock.advance(10);
  expect(await get(1)).toBe(2);
  await clock.advance(151);
  expect(await load()).toBe(3);
});

test('the loader sets the time to live, adds tags, and has a value skipped', async () => {
  const clock = createVirtualClock();
  const cache = open(clock, { ttlMs: 1_000 });
  let calls = 0;
  const short = (): Promise<number> =>
    cache.getOrSet('short', (context) => {
      context.setTtl(10);
      return ++calls;
    });
  await short();
  await clock.advance(9);
  expect(await short()).toBe(1);
  await clock.advance(1);
  expect(await short()).toBe(2);

  await cache.getOrSet('tagged', (context) => {
    context.addTags('late', 'later');
    return 1;
  });
  await cache.invalidateTags('other');
  expect(await cache.get('tagged')).toBe(1);
  await cache.invalidateTags('later');
  expect(await cache.has('tagged')).toBe(false);

  expect(
    await cache.getOrSet('skipped', (context) => {
      context.skip();
      return 1;
    }),
  ).toBe(1);
  expect(await cache.has('skipped')).toBe(false);

  await expect(
    cache.getOrSet('wrong', (context) => {
      context.setTtl(-1);
      return 1;
    }),
  ).rejects.toThrow(/setTtl: ttlMs must be at least 0, got -1/);
});

test('a wrapped function finds its context in the cache, each call its own', async () => {
  const clock = createVirtualClock();
  const cache = open(clock, { ttlMs: 1_000 });
  const get = cache.wrap(
    async (id: number) => {
      await null;
      cache.loadContext()?.setTtl(id);
      return id;
    },
    { name: 'value' },
  );
  await Promise.all([get(10), get(500)]);
  expect(cache.loadContext()).toBeUndefined();
  await clock.advance(10);
  expect([get.peek(10), get.peek(500)]).toEqual([undefined, 500]);
});

test('set takes a life and tags of its own, and a life of 0 removes what was there', async () => {
  const clock = createVirtualClock();
  const cache = open(clock, { ttlMs: 1_000 });
  await cache.set('a', 1, { ttlMs: 10, tags: ['t'] });
  await cache.setMany(
    [
      ['b', 2],
      ['c', null],
    ],
    { negativeTtlMs: 5 },
  );
  expect(await cache.getMany(['a', 'b', 'c'])).toEqual([1, 2, null]);
  await clock.advance(5);
  expect(await cache.has('c')).toBe(false);
  await cache.invalidateTags('t');
  expect(await cache.has('a')).toBe(false);
  await cache.set('b', 3, { ttlMs: 0 });
  expect(await cache.has('b')).toBe(false);
});

test('every load is told: what it took, and how it ended', async () => {
  const clock = createVirtualClock();
  const cache = open(clock);
  const seen: unknown[] = [];
  const listen = (event: unknown): void => void seen.push(event);
  subscribe('hotpath:cache:load', listen);
  const failure = new Error('no');
  const get = cache.wrap(
    async (id: number) => {
      await new Promise<void>((resolve) => clock.setTimeout(resolve, 5));
      if (id === 2) throw failure;
      return id;
    },
    { name: 'value' },
  );
  const done = Promise.allSettled([get(1), get(2)]);
  await clock.advance(5);
  await done;
  await get(1);
  unsubscribe('hotpath:cache:load', listen);
  expect(seen).toEqual([
    { namespace: 'lifetimes', key: 'value:1', durationMs: 5, outcome: 'ok' },
    { namespace: 'lifetimes', key: 'value:2', durationMs: 5, outcome: 'error', error: failure },
  ]);
});

test('more keys than may be loading at once are refused with a typed error, and nothing is lost of the others', async () => {
  const cache = open(createVirtualClock(), { maxConcurrentLoads: 2 });
  let release!: () => void;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const get = cache.wrap(async (id: number) => gate.then(() => id), { name: 'value' });
  const first = [get(1), get(2), get(1)];
  await expect(get(3)).rejects.toMatchObject({ code: 'HOTPATH_CACHE_LOADS_FULL' });
  release();
  expect(await Promise.all(first)).toEqual([1, 2, 1]);
  expect(await get(3)).toBe(3);
});

test('after close() calls reject with a typed error', async () => {
  const cache = open(createVirtualClock());
  const get = cache.wrap(async (id: number) => id, { name: 'value' });
  await get(1);
  await cache.close();
  const closed = { code: 'HOTPATH_CLOSED' };
  await expect(get(1)).rejects.toMatchObject(closed);
  await expect(cache.get('a')).rejects.toMatchObject(closed);
  await expect(cache.getOrSet('a', () => 1)).rejects.toMatchObject(closed);
  await expect(cache.set('a', 1)).rejects.toMatchObject(closed);
  await expect(cache.delete('a')).rejects.toMatchObject(closed);
  await expect(get.invalidate(1)).rejects.toMatchObject(closed);
  await expect(cache.clear()).rejects.toMatchObject(closed);
});

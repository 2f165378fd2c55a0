import { createVirtualClock } from '@hotpath/core/testing';
import { afterEach, expect, test } from 'vitest';
import { type Cache, type CacheOptions, createCache } from '../../src/index.ts';

const opened: Cache[] = [];
function open(options: Partial<CacheOptions> = {}): Cache {
  const cache = createCache({ namespace: 'facts', jitterRatio: 0, earlyRefreshBeta: 0, ...options });
  opened.push(cache);
  return cache;
}
afterEach(async () => {
  await Promise.all(opened.splice(0).map((cache) => cache.close()));
});

test('42 and "42" are two keys', async () => {
  const load = open().wrap(async (id: number | string) => typeof id, { name: 'load' });
  expect([await load(42), await load('42')]).toEqual(['number', 'string']);
});

test('arguments that share a 32-bit hash have keys of their own', async () => {
  const load = open().wrap(async (id: string) => id, { name: 'load' });
  expect([await load('Ez'), await load('FY')]).toEqual(['Ez', 'FY']);
});

test('two Maps, Sets, Dates and byte arrays with other contents are other keys', async () => {
  let loads = 0;
  const load = open().wrap(async (_value: unknown) => ++loads, { name: 'load' });
  const values = [
    new Map([[1, 2]]),
    new Map([[1, 3]]),
    new Map(),
    new Set([1]),
    new Set(),
    new Date(1),
    new Date(2),
    Uint8Array.of(1),
    Uint8Array.of(2),
    1n,
    1,
    '1',
    null,
    undefined,
    'null',
    {},
    [],
    [[]],
    { a: undefined },
    { a: null },
  ];
  for (const [index, value] of values.entries()) expect(await load(value)).toBe(index + 1);
  expect(await load(new Map([[1, 2]]))).toBe(1);
});

test('the order of keys does not matter, the place of arguments does', async () => {
  let loads = 0;
  const load = open().wrap(async (..._args: unknown[]) => ++loads, { name: 'load' });
  expect(await load({ a: 1, b: 2 })).toBe(await load({ b: 2, a: 1 }));
  expect(await load(1, { 9: 1, 10: 2, a: { d: 1, c: 2 } })).toBe(
    await load(1, { a: { c: 2, d: 1 }, 10: 2, 9: 1 }),
  );
  expect(await load('a', 'b')).not.toBe(await load('b', 'a'));
  expect(await load('a', 'bc')).not.toBe(await load('ab', 'c'));
});

test("functions, cycles and class instances are refused by the argument's name", async () => {
  const load = open().wrap(async (..._args: unknown[]) => 1, { name: 'load' });
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  await expect(load(1, () => {})).rejects.toThrow(/load: argument 2 holds a function/);
  await expect(load(cycle)).rejects.toThrow(/argument 1 holds a cycle/);
  await expect(load(new URL('http://a/'))).rejects.toThrow(/an instance of URL/);
});

test('a throwing factory rejects, and nothing is kept of it', async () => {
  const cache = open();
  let calls = 0;
  const fail = (): never => {
    calls++;
    throw new Error('no');
  };
  await expect(cache.getOrSet('a', fail)).rejects.toThrow('no');
  await expect(cache.getOrSet('a', fail)).rejects.toThrow('no');
  expect(calls).toBe(2);
  expect(cache.stats().loadErrors).toBe(2);
});

test('single-flight does not split after a failed load', async () => {
  const cache = open();
  const first = Promise.withResolvers<number>();
  const failing = [1, 2].map(() => cache.getOrSet('a', () => first.promise));
  first.reject(new Error('no'));
  await Promise.allSettled(failing);
  let loads = 0;
  const values = await Promise.all([1, 2, 3].map(() => cache.getOrSet('a', async () => ++loads)));
  expect(values).toEqual([1, 1, 1]);
});

test('a ttl of 0 is a value: nothing is kept', async () => {
  const cache = open({ ttlMs: 1_000 });
  let loads = 0;
  const load = async (): Promise<number> => ++loads;
  await cache.getOrSet('a', load, { ttlMs: 0 });
  await cache.getOrSet('a', load, { ttlMs: 0 });
  expect(loads).toBe(2);
});

test('an invalidation during a load keeps the old value out, and the next caller out of that load', async () => {
  const cache = open();
  const old = Promise.withResolvers<string>();
  const values = [() => old.promise, async () => 'new'];
  const load = cache.wrap((_id: number) => (values.shift() ?? (async () => 'later'))(), { name: 'load' });
  const first = load(1);
  await load.invalidate(1);
  expect(await load(1)).toBe('new');
  old.resolve('old');
  expect(await first).toBe('old');
  expect(load.peek(1)).toBe('new');
});

test('the same holds for tags, prefixes and clear', async () => {
  for (const change of [
    (cache: Cache) => cache.invalidateTags('late'),
    (cache: Cache) => cache.invalidatePrefix('lo'),
    (cache: Cache) => cache.clear(),
  ]) {
    const cache = open();
    const old = Promise.withResolvers<string>();
    let current: () => Promise<string> = () => old.promise;
    const load = cache.wrap(
      async (_id: number) => {
        const context = cache.loadContext();
        const value = await current();
        context?.addTags('late');
        return value;
      },
      { name: 'load' },
    );
    const first = load(1);
    await change(cache);
    current = async () => 'new';
    old.resolve('old');
    await first;
    expect(load.peek(1)).toBeUndefined();
    expect(await load(1)).toBe('new');
  }
});

test('an invalidation during a load keeps the old value out, whatever else was invalidated before it', async () => {
  for (const unrelated of [
    (cache: Cache) => cache.invalidateTags('unrelated'),
    (cache: Cache) => cache.invalidatePrefix('unrelated'),
  ]) {
    const cache = open();
    const old = Promise.withResolvers<string>();
    const first = cache.getOrSet('a', () => old.promise);
    await unrelated(cache);
    await cache.delete('a');
    old.resolve('old');
    expect(await first).toBe('old');
    expect(await cache.getOrSet('a', async () => 'new')).toBe('new');
  }
});

test('each hit is counted once, at its tier', async () => {
  const cache = open();
  await cache.getOrSet('a', () => 1);
  await cache.getOrSet('a', () => 1);
  await cache.get('a');
  const { l1, l2, loads } = cache.stats();
  expect([l1.hits, l1.misses, l2.hits, loads]).toEqual([2, 1, 0, 1]);
  const get = cache.wrap(async (...ids: number[]) => ids.length, { name: 'get' });
  for (const ids of [[1], [1, 2], [1, 2, 3]]) {
    await get(...ids);
    await get(...ids);
    get.peek(...ids);
  }
  expect(cache.stats()).toMatchObject({
    l1: { hits: 5, misses: 4, hitRate: 5 / 9 },
    loads: 4,
    hitRate: 5 / 9,
  });
});

test('null and undefined are values, with a life of their own', async () => {
  const clock = createVirtualClock();
  const cache = open({ clock, ttlMs: 1_000, negativeTtlMs: 100 });
  let loads = 0;
  const load = cache.wrap(
    async (_id: number): Promise<undefined> => {
      loads++;
    },
    { name: 'load' },
  );
  await load(1);
  await load(1);
  expect(loads).toBe(1);
  await clock.advance(101);
  await load(1);
  expect(loads).toBe(2);
});

test('a stale value is served at once while one refresh runs behind', async () => {
  const clock = createVirtualClock();
  const cache = open({ clock, ttlMs: 100, staleMs: 100 });
  let loads = 0;
  const load = cache.wrap(async (_id: number) => ++loads, { name: 'load' });
  expect(await load(1)).toBe(1);
  await clock.advance(150);
  expect([await load(1), await load(1)].sort()).toEqual(expect.arrayContaining([1]));
  await clock.settle();
  expect(await load(1)).toBe(2);
  expect(loads).toBe(2);
});

test('a value in its grace stands in for a load that fails or is slow, and never after an invalidation', async () => {
  const clock = createVirtualClock();
  const cache = open({ clock, ttlMs: 100, graceMs: 1_000, softTimeoutMs: 50 });
  let next: () => Promise<string> = async () => 'first';
  const load = cache.wrap((_id: number) => next(), { name: 'load' });
  await load(1);
  await clock.advance(150);
  next = async () => {
    throw new Error('no');
  };
  expect(await load(1)).toBe('first');
  const slow = Promise.withResolvers<string>();
  next = () => slow.promise;
  const waiting = load(1);
  await clock.advance(51);
  expect(await waiting).toBe('first');
  slow.resolve('second');
  await clock.settle();
  expect(await load(1)).toBe('second');
  await load.invalidate(1);
  next = async () => {
    throw new Error('no');
  };
  await expect(load(1)).rejects.toThrow('no');
});

test('a load that takes too long fails with a typed error and is aborted', async () => {
  const clock = createVirtualClock();
  const cache = open({ clock, timeoutMs: 100 });
  let signal: AbortSignal | undefined;
  const waiting = cache.getOrSet('a', (context) => {
    signal = context.signal;
    return new Promise(() => {});
  });
  const settled = waiting.catch((error: unknown) => error);
  await clock.advance(101);
  expect(await settled).toMatchObject({ code: 'HOTPATH_CACHE_LOAD_TIMEOUT' });
  expect(signal?.aborted).toBe(true);
});

test('the load is aborted only when the last waiter has left', async () => {
  const cache = open();
  let signal: AbortSignal | undefined;
  const [one, two] = [new AbortController(), new AbortController()];
  const load = (context: { signal: AbortSignal }): Promise<never> => {
    signal = context.signal;
    return new Promise(() => {});
  };
  const waiting = [one, two].map(({ signal }) => cache.getOrSet('a', load, { signal }).catch((e) => e));
  one.abort('first');
  expect(await waiting[0]).toBe('first');
  expect(signal?.aborted).toBe(false);
  two.abort('second');
  expect(await waiting[1]).toBe('second');
  expect(signal?.aborted).toBe(true);
});

test('values are frozen by default, and copied where they cannot be', async () => {
  const cache = open();
  const plain = await cache.getOrSet('a', () => ({ list: [1] }));
  expect(() => plain.list.push(2)).toThrow(TypeError);
  const dated = await cache.getOrSet('b', () => ({ at: new Date(1), map: new Map([[1, 2]]) }));
  dated.at.setTime(2);
  dated.map.clear();
  const again = await cache.getOrSet('b', () => dated);
  expect(again).toEqual({ at: new Date(1), map: new Map([[1, 2]]) });
  const given = { list: [1] };
  await cache.set('c', given);
  given.list.push(2);
  expect(await cache.get('c')).toEqual({ list: [1] });
});

test('memory is bounded by bytes', async () => {
  const cache = open({ l1: { maxEntries: 1_000_000, maxBytes: 1_000_000 } });
  for (let index = 0; index < 10_000; index++) await cache.set(`key ${index}`, 'x'.repeat(200));
  const { l1 } = cache.stats();
  expect(l1.bytes).toBeLessThanOrEqual(1_000_000);
  expect(l1.bytes).toBeGreaterThan(950_000);
  expect(l1.evictions).toBeGreaterThan(0);
});

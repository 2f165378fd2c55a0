import { createVirtualClock } from '@hotpath/core/testing';
import { afterEach, expect, test } from 'vitest';
import { type Cache, type CacheOptions, createCache, type LoadContext } from '../../src/index.ts';

const opened: Cache[] = [];
function open(options: Partial<CacheOptions> = {}): Cache {
  const cache = createCache({ namespace: 'flights', jitterRatio: 0, earlyRefreshBeta: 0, ...options });
  opened.push(cache);
  return cache;
}
afterEach(async () => {
  await Promise.all(opened.splice(0).map((cache) => cache.close()));
});

test('a load that is left alone keeps giving the old value while its grace lasts, and then none', async () => {
  const clock = createVirtualClock();
  const cache = open({ clock, ttlMs: 100, graceMs: 1_000, softTimeoutMs: 50, timeoutMs: 10_000 });
  let next = (): Promise<string> => Promise.resolve('first');
  const load = cache.wrap((_id: number) => next(), { name: 'load' });
  await load(1);
  await clock.advance(150);
  const slow = Promise.withResolvers<string>();
  let loads = 0;
  next = () => {
    loads++;
    return slow.promise;
  };
  const early = [load(1), load(1)];
  await clock.advance(50);
  expect(await Promise.all(early)).toEqual(['first', 'first']);
  // It is known to be slow: nobody waits for it again.
  await clock.advance(500);
  expect(await load(1)).toBe('first');
  expect(cache.stats().stale).toBe(3);
  await clock.advance(500);
  const late = [load(1), load(1)];
  await clock.advance(100);
  slow.resolve('second');
  expect(await Promise.all(late)).toEqual(['second', 'second']);
  expect(loads).toBe(1);
  expect(await load(1)).toBe('second');
});

test('a load that is left alone and then fails rejects only those who still wait for it', async () => {
  const clock = createVirtualClock();
  const cache = open({ clock, ttlMs: 100, graceMs: 100, softTimeoutMs: 50 });
  let next = (): Promise<string> => Promise.resolve('first');
  const load = cache.wrap((_id: number) => next(), { name: 'load' });
  await load(1);
  await clock.advance(120);
  const slow = Promise.withResolvers<string>();
  next = () => slow.promise;
  const early = load(1);
  await clock.advance(50);
  expect(await early).toBe('first');
  await clock.advance(50);
  const late = load(1);
  slow.reject(new Error('no'));
  await expect(late).rejects.toThrow('no');
});

test('a load that everybody has left still fills the cache, but not with what was dropped since', async () => {
  for (const drop of [
    (cache: Cache) => cache.delete('a'),
    (cache: Cache) => cache.invalidateTags('tag'),
    (cache: Cache) => cache.invalidatePrefix('a'),
    (cache: Cache) => cache.clear(),
    undefined,
  ]) {
    const cache = open();
    const controller = new AbortController();
    const old = Promise.withResolvers<string>();
    const options = { signal: controller.signal, tags: ['tag'] };
    const waiting = cache.getOrSet('a', () => old.promise, options).catch((error: unknown) => error);
    controller.abort('left');
    expect(await waiting).toBe('left');
    await drop?.(cache);
    old.resolve('old');
    await old.promise;
    await new Promise((resolve) => setImmediate(resolve));
    expect(await cache.get('a')).toBe(drop === undefined ? 'old' : undefined);
  }
});

test('a value that can not be copied for its readers rejects, is not kept, and holds nobody up', async () => {
  const cache = open();
  class Broken {
    constructor() {
      const get = (): never => {
        throw new Error('broken');
      };
      Object.defineProperty(this, 'field', { enumerable: true, get });
    }
  }
  for (let round = 0; round < 2; round++) {
    const both = [1, 2].map(() => cache.getOrSet('a', async () => new Broken()));
    const settled = await Promise.allSettled(both);
    expect(settled.map((result) => String((result as PromiseRejectedResult).reason))).toEqual([
      'Error: broken',
      'Error: broken',
    ]);
  }
  expect(await cache.getOrSet('a', () => 1)).toBe(1);
  expect(cache.stats()).toMatchObject({ loadErrors: 2, loadsInFlight: 0 });
});

test('what a loader says wrongly about its value is refused by name, and the value is not kept', async () => {
  const cache = open();
  const says = async (say: (context: LoadContext) => void): Promise<string> => {
    const call = cache.getOrSet('a', (context) => {
      say(context);
      return 1;
    });
    return call.then(
      () => 'accepted',
      (error: Error) => `${error.name} ${error.message}`,
    );
  };
  expect(await says((context) => context.setTtl(-1))).toBe(
    'RangeError setTtl: ttlMs must be at least 0, got -1',
  );
  expect(await says((context) => context.setTtl(Number.POSITIVE_INFINITY))).toBe(
    'RangeError setTtl: ttlMs must be finite, got Infinity',
  );
  expect(await says((context) => context.setTtl('5' as never))).toBe(
    'TypeError setTtl: ttlMs must be a number, got "5"',
  );
  expect(await says((context) => context.addTags('a', 5 as never))).toBe(
    "TypeError addTags: 'tags' must be an array of strings, got 5 among them",
  );
  expect(await cache.has('a')).toBe(false);
});

test('a load that ends after close() keeps nothing, and later calls reject', async () => {
  const cache = open();
  const slow = Promise.withResolvers<number>();
  const load = cache.wrap((_id: number) => slow.promise, { name: 'load' });
  const waiting = load(1);
  await cache.close();
  slow.resolve(1);
  expect(await waiting).toBe(1);
  expect(load.peek(1)).toBeUndefined();
  await expect(load(1)).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
  expect(cache.stats().l1.entries).toBe(0);
});

test('who leaves at the moment when the old value is there does not end the load that goes on', async () => {
  const clock = createVirtualClock();
  const cache = open({ clock, ttlMs: 100, graceMs: 10_000, softTimeoutMs: 50 });
  let next = (_signal?: AbortSignal): Promise<string> => Promise.resolve('first');
  const load = cache.wrap((_id: number) => next(cache.loadContext()?.signal), { name: 'load' });
  await load(1);
  await clock.advance(150);
  const slow = Promise.withResolvers<string>();
  let signal: AbortSignal | undefined;
  next = (given) => {
    signal = given;
    return slow.promise;
  };
  const early = load(1);
  await clock.advance(50);
  expect(await early).toBe('first');
  const controller = new AbortController();
  // The load is known to be slow: the old value is there at once, and its turn has not ended yet.
  const leaving = load.with({ signal: controller.signal }, 1);
  controller.abort('left');
  await leaving.catch(() => {});
  expect(signal?.aborted).toBe(false);
  slow.resolve('second');
  await slow.promise;
  await new Promise((resolve) => setImmediate(resolve));
  expect(await load(1)).toBe('second');
});

test('a load that an invalidation took off its key does not replace what was loaded since', async () => {
  const cache = open();
  for (const invalidate of [
    () => cache.invalidateTags('tag'),
    () => cache.invalidatePrefix('a'),
    () => cache.clear(),
  ]) {
    await cache.delete('a');
    const old = Promise.withResolvers<string>();
    const waiting = cache.getOrSet('a', () => old.promise, { tags: ['tag'] });
    await invalidate();
    expect(await cache.getOrSet('a', () => 'new', { tags: ['tag'] })).toBe('new');
    old.resolve('old');
    expect(await waiting).toBe('old');
    expect(await cache.getOrSet('a', () => 'again')).toBe('new');
  }
});

test('an invalidation of no tags leaves loads together', async () => {
  const cache = open();
  let loads = 0;
  const gate = Promise.withResolvers<void>();
  const load = () => cache.getOrSet('a', () => gate.promise.then(() => ++loads));
  const first = load();
  expect(await cache.invalidateTags()).toEqual({ confirmed: true });
  const second = load();
  gate.resolve();
  expect(await Promise.all([first, second])).toEqual([1, 1]);
});

test('loads that invalidations took off their keys count as loading until they have ended', async () => {
  const cache = open({ maxConcurrentLoads: 2 });
  const gate = Promise.withResolvers<void>();
  const load = cache.wrap((_id: number) => gate.promise, { name: 'load' });
  const first = load(1);
  await cache.clear();
  const second = load(1);
  await load.invalidate(1);
  await expect(load(1)).rejects.toMatchObject({ code: 'HOTPATH_CACHE_LOADS_FULL' });
  gate.resolve();
  await Promise.all([first, second]);
  await load(1);
});

import { type RedisServer, startRedis } from '@hotpath/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Cache } from '../../src/index.ts';
import { Caches, sleep } from '../fixtures/caches.ts';
import { until } from '../fixtures/fleet.ts';

let server: RedisServer;
let caches: Caches;

beforeAll(async () => {
  server = await startRedis();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});
beforeEach(() => {
  caches = new Caches({ port: server.port });
});
afterEach(async () => {
  server.thaw();
  await caches.client().flushall();
  await caches.close();
});

const TAGGED = { tags: ['tag'] };
const changes: Record<string, (cache: Cache) => Promise<{ readonly confirmed: boolean }>> = {
  'by its key': (cache) => cache.delete('a'),
  'by a tag': (cache) => cache.invalidateTags('tag'),
  'by a prefix': (cache) => cache.invalidatePrefix('a'),
  'with everything': (cache) => cache.clear(),
};

/** Loads what is current when it is called, once it is let. */
class SlowSource {
  current = 'old';
  readonly #gate = Promise.withResolvers<void>();

  readonly load = async (): Promise<string> => {
    const value = this.current;
    await this.#gate.promise;
    return value;
  };

  change(): void {
    this.current = 'new';
  }

  release(): void {
    this.#gate.resolve();
  }
}

/** Longer than it takes to hear of a change; a value that was stored would be there for a minute. */
const HEARD_MS = 60;

/** Nobody has the old value: neither those who were there, nor a process that starts now. */
async function expectGone(...present: readonly Cache[]): Promise<void> {
  for (const cache of [...present, await caches.openUp()])
    expect(['old', 'older']).not.toContain(await cache.get('a'));
}

describe.each([
  ['that it hears of before it ends', HEARD_MS, 0],
  ['that it hears of after it has ended', 0, HEARD_MS],
])(
  'a load under way stores its old value in no tier of no process, by a change %s',
  (_when, beforeMs, afterMs) => {
    for (const [how, change] of Object.entries(changes)) {
      test(`when another process invalidates it ${how}`, async () => {
        const [loading, waiting, changing] = [
          await caches.openUp(),
          await caches.openUp(),
          await caches.openUp(),
        ];
        const source = new SlowSource();
        const first = loading.getOrSet('a', source.load, TAGGED);
        await until(() => loading.stats().loadsInFlight === 1);
        const second = waiting.getOrSet('a', source.load, TAGGED);
        await until(() => waiting.stats().leaseWaits === 1);
        source.change();
        expect(await change(changing)).toEqual({ confirmed: true });
        await sleep(beforeMs);
        source.release();
        expect(await first).toBe('old');
        expect(await second).toBe('new');
        await sleep(afterMs);
        await expectGone(loading, waiting, changing);
      });

      test(`when another process invalidates it ${how} while it is refreshed behind its readers`, async () => {
        const [refreshing, changing] = [await caches.openUp(), await caches.openUp()];
        const options = { ...TAGGED, ttlMs: 50, staleMs: 60_000 };
        await refreshing.getOrSet('a', () => 'older', options);
        await sleep(60);
        const source = new SlowSource();
        expect(await refreshing.getOrSet('a', source.load, options)).toBe('older');
        await until(() => refreshing.stats().loadsInFlight === 1);
        source.change();
        expect(await change(changing)).toEqual({ confirmed: true });
        await sleep(beforeMs);
        source.release();
        await sleep(afterMs);
        await expectGone(refreshing, changing);
      });

      test(`when another process invalidates it ${how} while it is loaded without a lease`, async () => {
        const [holder, impatient, changing] = [
          await caches.openUp(),
          await caches.openUp({ leaseWaitMs: 20 }),
          await caches.openUp(),
        ];
        const source = new SlowSource();
        const first = holder.getOrSet('a', source.load, TAGGED);
        await until(() => holder.stats().loadsInFlight === 1);
        const second = impatient.getOrSet('a', source.load, TAGGED);
        await until(() => impatient.stats().leaseTimeouts === 1);
        source.change();
        expect(await change(changing)).toEqual({ confirmed: true });
        await sleep(beforeMs);
        source.release();
        expect([await first, await second]).toEqual(['old', 'old']);
        await sleep(afterMs);
        await expectGone(holder, impatient, changing);
      });
    }

    test('when another process has set a newer one', async () => {
      const [loading, setting] = [await caches.openUp(), await caches.openUp()];
      const source = new SlowSource();
      const first = loading.getOrSet('a', source.load);
      await until(() => loading.stats().loadsInFlight === 1);
      expect(await setting.set('a', 'newer')).toEqual({ confirmed: true });
      await sleep(beforeMs);
      source.release();
      expect(await first).toBe('old');
      await sleep(afterMs);
      for (const cache of [loading, setting, await caches.openUp()])
        expect(await cache.get('a')).toBe('newer');
    });
  },
);

test('who asks later than the bound allows does not wait for a load that began before', async () => {
  const [deaf, changing] = [
    await caches.openUp({ maxStalenessMs: 100, softDeadlineMs: 50, hardDeadlineMs: 200 }),
    await caches.openUp(),
  ];
  let current = 'old';
  const answers = new Map<string, () => void>();
  const load = deaf.wrap(
    (_id: number) => {
      const value = current;
      return new Promise<string>((resolve) => answers.set(value, () => resolve(value)));
    },
    { name: 'load' },
  );
  await sleep(50);
  const before = load(1);
  await until(() => answers.has('old'));
  // From now on it hears of nothing.
  server.freeze();
  await until(() => deaf.state === 'degraded');
  current = 'new';
  void changing.invalidatePrefix('load:');
  await sleep(150);
  const after = load(1);
  await until(() => answers.has('new'));
  answers.get('old')?.();
  expect(await before).toBe('old');
  expect(load.peek(1)).toBeUndefined();
  const joined = load(1);
  answers.get('new')?.();
  expect(await Promise.all([after, joined])).toEqual(['new', 'new']);
});

test('a load that everybody has left before it was begun is not begun, and its lease is free', async () => {
  const [leaving, other] = [await caches.openUp(), await caches.openUp()];
  const controller = new AbortController();
  let loads = 0;
  const load = async (): Promise<number> => ++loads;
  const left = leaving.getOrSet('a', load, { signal: controller.signal });
  // Redis has been asked, and has not answered.
  setImmediate(() => controller.abort('left'));
  expect(await left.catch((error: unknown) => error)).toBe('left');
  await sleep(50);
  expect(loads).toBe(0);
  const startedMs = performance.now();
  expect(await other.getOrSet('a', load)).toBe(1);
  // A lease left behind would stand for 500 ms.
  expect(performance.now() - startedMs).toBeLessThan(400);
});

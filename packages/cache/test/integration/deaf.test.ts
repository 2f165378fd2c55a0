import { type RedisServer, startRedis } from '@hotpath/testkit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Cache } from '../../src/index.ts';
import { Caches, sleep } from '../fixtures/caches.ts';
import { until } from '../fixtures/fleet.ts';
import { ForgetfulPath } from '../fixtures/forgetful-path.ts';

/*
 * Processes that load, and hear of no change meanwhile: only what is asked of Redis itself keeps their old values out.
 */

let server: RedisServer;
let path: ForgetfulPath;
let near: Caches;
let far: Caches;

beforeEach(async () => {
  server = await startRedis();
  path = await ForgetfulPath.open(server.port);
  near = new Caches({ port: server.port });
  far = new Caches({ port: path.port });
});
afterEach(async () => {
  await far.close();
  await near.close();
  path.close();
  await server[Symbol.asyncDispose]();
});

const TAGGED = { tags: ['tag'] };

/** A load of 'a' that has begun in a process which hears of nothing from then on, and how it ends. */
async function loadDeaf(): Promise<{
  readonly deaf: Cache;
  readonly loading: Promise<unknown>;
  readonly ending: PromiseWithResolvers<string>;
}> {
  const deaf = await far.openUp();
  const ending = Promise.withResolvers<string>();
  const loading = deaf.getOrSet('a', () => ending.promise, TAGGED);
  await until(() => deaf.stats().loadsInFlight === 1);
  path.forget('hotpath-cache-changes');
  return { deaf, loading, ending };
}

describe('a load whose process hears of no change', () => {
  const changes: Record<string, [change: (cache: Cache) => Promise<unknown>, after: unknown]> = {
    'its key was invalidated': [(cache) => cache.delete('a'), undefined],
    'a newer value was set': [(cache) => cache.set('a', 'newer'), 'newer'],
  };
  for (const [what, [change, after]] of Object.entries(changes)) {
    test(`stores its old value neither in Redis nor in memory when ${what} meanwhile`, async () => {
      const { deaf, loading, ending } = await loadDeaf();
      const changing = await near.openUp();
      expect(await change(changing)).toEqual({ confirmed: true });
      ending.resolve('old');
      expect(await loading).toBe('old');
      await until(() => deaf.stats().l2.refusedFills === 1);
      for (const cache of [deaf, changing, await near.openUp()]) expect(await cache.get('a')).toBe(after);
    });
  }

  const marks: Record<string, (cache: Cache) => Promise<unknown>> = {
    'a tag': (cache) => cache.invalidateTags('tag'),
    'a prefix': (cache) => cache.invalidatePrefix('a'),
    everything: (cache) => cache.clear(),
  };
  for (const [what, change] of Object.entries(marks)) {
    test(`leaves in Redis nothing that others would read when ${what} was invalidated meanwhile`, async () => {
      const { deaf, loading, ending } = await loadDeaf();
      const changing = await near.openUp();
      expect(await change(changing)).toEqual({ confirmed: true });
      ending.resolve('old');
      expect(await loading).toBe('old');
      await until(() => deaf.stats().l2.fills === 1);
      for (const cache of [changing, await near.openUp()]) expect(await cache.get('a')).toBeUndefined();
    });
  }

  test('leaves the lease of the load after it alone when it fails', async () => {
    const { loading, ending } = await loadDeaf();
    const [next, waiting] = [await near.openUp(), await near.openUp()];
    await next.delete('a');
    let loads = 0;
    const gate = Promise.withResolvers<void>();
    const load = async (): Promise<string> => {
      loads++;
      await gate.promise;
      return 'new';
    };
    const both = [next.getOrSet('a', load)];
    await until(() => next.stats().loadsInFlight === 1);
    both.push(waiting.getOrSet('a', load));
    await until(() => waiting.stats().leaseWaits === 1);
    ending.reject(new Error('no'));
    await expect(loading).rejects.toThrow('no');
    // Others look whether there is a lease every 50 ms.
    await sleep(150);
    gate.resolve();
    expect(await Promise.all(both)).toEqual(['new', 'new']);
    expect(loads).toBe(1);
  });
});

test('what is read while its key is dropped is given to who asked before, and not kept', async () => {
  const [cache, writer] = [await near.openUp(), await near.openUp()];
  await writer.set('a', 'old');
  const asked = cache.get('a');
  // Behind the read, before its answer.
  const dropped = new Promise<unknown>((resolve) => setImmediate(() => resolve(cache.delete('a'))));
  expect(await asked).toBe('old');
  expect(await dropped).toEqual({ confirmed: true });
  expect(await cache.get('a')).toBeUndefined();
});

test('messages on the channel that are none of a cache change nothing, and the next one is heard', async () => {
  const [cache, other] = [await near.openUp(), await near.openUp()];
  const redis = near.client();
  const lists = ['null', '5', '{}', '"a"', '[5]', '[null]', '["k:sa",{}]', '[', ''];
  const kinds = ['k', 'm', 'c', 'x', ''];
  const numbers = ['1 0', 'NaN 0', '1e300 1e300', ''];
  for (const kind of kinds) {
    for (const number of numbers) {
      for (const list of lists) await redis.publish('{tested}!changes', `${kind} ${number} x ${list}`);
    }
  }
  await until(() => cache.state === 'up' && other.state === 'up');
  expect(await other.set('a', 'old')).toEqual({ confirmed: true });
  expect(await cache.get('a')).toBe('old');
  const before = cache.stats().l1.hits;
  await until(async () => (await cache.get('a')) === 'old' && cache.stats().l1.hits > before);
  expect(await other.delete('a')).toEqual({ confirmed: true });
  await until(async () => (await cache.get('a')) === undefined, 200);
});

import { fileURLToPath } from 'node:url';
import { type FaultProxy, type RedisServer, spawnNode, startFaultProxy, startRedis } from '@hotpath/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Caches, sleep } from '../fixtures/caches.ts';

const worker = fileURLToPath(new URL('../fixtures/closing-worker.ts', import.meta.url));

let server: RedisServer;
let proxy: FaultProxy;

beforeEach(async () => {
  server = await startRedis();
  proxy = await startFaultProxy({ port: server.port });
});
afterEach(async () => {
  await proxy.close();
  await server[Symbol.asyncDispose]();
});

/** What Redis is like, and when the cache is closed: at once, or after waiting so long for it. */
const situations: Record<string, readonly [prepare: () => unknown, whenToClose: string]> = {
  'while Redis is in use': [() => {}, '2000'],
  'before it has connected': [() => {}, 'at once'],
  'while Redis is down': [() => server.kill(), '300'],
  'while Redis is frozen': [() => server.freeze(), '300'],
  'while nothing comes through': [() => proxy.setFault({ kind: 'blackHole' }), '300'],
  'while connections are accepted and closed': [() => proxy.setFault({ kind: 'dropNew' }), '300'],
  'while answers are garbage': [() => proxy.setFault({ kind: 'garbage', direction: 'toClient' }), '300'],
  'while Redis is slow': [() => proxy.setFault({ kind: 'delay', delayMs: 100 }), '300'],
};

for (const [when, [prepare, whenToClose]] of Object.entries(situations)) {
  test(`a process that closes its cache ${when} ends by itself, and no call is left without an answer`, async () => {
    await prepare();
    await using child = spawnNode(worker, [String(proxy.port), whenToClose]);
    expect(await child.receive({ timeoutMs: 20_000 })).toBe('HOTPATH_CLOSED');
    const startedMs = performance.now();
    expect(await child.exited).toEqual({ code: 0, signal: null });
    // Nothing but the process itself has to end: timers of seconds are none.
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    expect(child.stderr).toBe('');
  });
}

test('a cache that is closed settles what it was asked for, at whatever point it is', async () => {
  const caches = new Caches({ port: proxy.port });
  try {
    for (let waitMs = 0; waitMs < 30; waitMs += 1.5) {
      const cache = waitMs % 2 === 0 ? caches.open() : await caches.openUp();
      const calls = Array.from({ length: 20 }, (_, index) => [
        cache.getOrSet(`key ${index % 5}`, () => sleep(index)),
        cache.get(`key ${index}`),
        cache.set(`key ${index}`, index, { tags: ['tag'] }),
        cache.delete(`key ${index}`),
        cache.invalidateTags('tag'),
        cache.invalidatePrefix('key'),
        cache.clear(),
        cache.warm(['a', 'b'], (key) => key),
      ]).flat();
      const settled = Promise.allSettled(calls);
      await sleep(waitMs);
      await cache.close();
      for (const result of await settled) {
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'HOTPATH_CLOSED' });
      }
      expect(cache.stats()).toMatchObject({ loadsInFlight: 0 });
      expect(await cache.ready({ timeoutMs: 60_000 })).toBe('degraded');
    }
  } finally {
    await caches.close();
  }
});

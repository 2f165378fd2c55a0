import { type FaultProxy, type RedisServer, startFaultProxy, startRedis } from '@hotpath/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Source, startFleet, stopFleet, until, untilState, type Worker } from '../fixtures/fleet.ts';

let redis: RedisServer;
let source: Source;
let workers: Worker[] = [];
let proxies: FaultProxy[] = [];
let runs = 0;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});
beforeEach(async () => {
  source = await Source.start();
});
afterEach(async () => {
  await stopFleet(workers);
  await Promise.all(proxies.map((proxy) => proxy.close()));
  workers = [];
  proxies = [];
  source.close();
});

async function start(processes: number, settings?: object, behindProxies = false): Promise<void> {
  if (behindProxies) {
    proxies = await Promise.all(
      Array.from({ length: processes }, () => startFaultProxy({ port: redis.port })),
    );
  }
  const ports = Array.from({ length: processes }, (_, index) => proxies[index]?.port ?? redis.port);
  workers = await startFleet(ports, `fleet${++runs}`, source, settings);
}

const MAX_STALENESS_MS = 1_000;
/** The watcher's own clock reads and its turn of the event loop, on a busy machine. */
const MEASURING_MS = 100;

interface Watched {
  readonly seen: readonly { readonly value: string; readonly firstMs: number; readonly lastMs: number }[];
  readonly longestMs: number;
  readonly errors: number;
}

/** How long after `sinceMs` the old value was still read, at most, over all processes. */
function stalenessMs(watched: readonly Watched[], old: string, sinceMs: number): number {
  const last = watched.flatMap(({ seen }) => seen.filter(({ value }) => value === old));
  return Math.max(0, ...last.map(({ lastMs }) => lastMs - sinceMs));
}

test('4 processes with 1,000 concurrent misses each of one key load it once', async () => {
  source.values.set('a', 'one');
  source.delayMs = 50;
  await start(4);
  const values = await Promise.all(workers.map((worker) => worker.call<string[]>('burst', 'a', 1_000)));
  expect(values).toEqual([['one'], ['one'], ['one'], ['one']]);
  expect(source.reads).toBe(1);
});

test('a process that is killed during its load is replaced by another one', async () => {
  source.values.set('a', 'one');
  source.delayMs = 60_000;
  await start(2, { leaseMs: 300 });
  void workers[0]?.call('get', 'a').catch(() => {});
  await until(() => source.reads === 1);
  await workers[0]?.process.kill();
  source.delayMs = 0;
  expect(await workers[1]?.call('get', 'a')).toBe('one');
  expect(source.reads).toBe(2);
});

test('a load longer than its lease still counts as the one load', async () => {
  source.values.set('a', 'one');
  source.delayMs = 1_000;
  await start(3, { leaseMs: 300 });
  const values = await Promise.all(workers.map((worker) => worker.call('get', 'a')));
  expect(values).toEqual(['one', 'one', 'one']);
  expect(source.reads).toBe(1);
});

test('an invalidation reaches every process within the bound', async () => {
  source.values.set('a', 'old');
  await start(4);
  const watching = workers.map((worker) => worker.call<Watched>('watch', 'a', 1_500));
  await new Promise((resolve) => setTimeout(resolve, 500));
  source.values.set('a', 'new');
  expect(await workers[0]?.call('invalidate', 'a')).toEqual({ confirmed: true });
  const sinceMs = Date.now();
  const watched = await Promise.all(watching);
  expect(stalenessMs(watched, 'old', sinceMs)).toBeLessThan(100);
  expect(watched.every(({ seen }) => seen.at(-1)?.value === 'new')).toBe(true);
});

const faults = {
  'a delay of 300 ms': (proxy: FaultProxy) => proxy.setFault({ kind: 'delay', delayMs: 300 }),
  'a delay of 3 s': (proxy: FaultProxy) => proxy.setFault({ kind: 'delay', delayMs: 3_000 }),
  'a black hole in both directions': (proxy: FaultProxy) => proxy.setFault({ kind: 'blackHole' }),
  'a half-open connection': (proxy: FaultProxy) =>
    proxy.setFault({ kind: 'blackHole', direction: 'toClient' }),
  'a reset connection, then refusal': async (proxy: FaultProxy) => {
    await proxy.setFault({ kind: 'refuse' });
    proxy.reset();
  },
  'a reset connection': async (proxy: FaultProxy) => proxy.reset(),
  'answers cut off': (proxy: FaultProxy) =>
    proxy.setFault({ kind: 'truncate', afterBytes: 7, direction: 'toClient' }),
  'garbage for answers': (proxy: FaultProxy) => proxy.setFault({ kind: 'garbage', direction: 'toClient' }),
};

describe('no process reads the old value for longer than the bound after a confirmed invalidation', () => {
  for (const [name, inject] of Object.entries(faults)) {
    test(`with ${name} in front of three of four processes`, async () => {
      source.values.set('a', 'old');
      await start(4, { maxStalenessMs: MAX_STALENESS_MS }, true);
      await Promise.all(workers.map((worker) => worker.call('get', 'a')));
      const watching = workers.map((worker) => worker.call<Watched>('watch', 'a', 3_500));
      await new Promise((resolve) => setTimeout(resolve, 300));
      await Promise.all(proxies.slice(1).map(inject));
      await new Promise((resolve) => setTimeout(resolve, 20));
      source.values.set('a', 'new');
      expect(await workers[0]?.call('invalidate', 'a')).toEqual({ confirmed: true });
      const sinceMs = Date.now();
      const watched = await Promise.all(watching);
      expect(stalenessMs(watched, 'old', sinceMs)).toBeLessThan(MAX_STALENESS_MS + MEASURING_MS);
      expect(watched.map(({ errors }) => errors)).toEqual([0, 0, 0, 0]);
      expect(Math.max(...watched.map(({ longestMs }) => longestMs))).toBeLessThan(250);
      await Promise.all(proxies.map((proxy) => proxy.setFault()));
      await Promise.all(workers.map((worker) => untilState(worker, 'up')));
      expect(await Promise.all(workers.map((worker) => worker.call('get', 'a')))).toEqual(
        Array(4).fill('new'),
      );
    });
  }
});

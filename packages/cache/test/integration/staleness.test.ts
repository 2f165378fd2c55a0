import { type FaultProxy, type RedisServer, startFaultProxy, startRedis } from '@hotpath/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sleep } from '../fixtures/caches.ts';
import { Source, startFleet, stopFleet, untilState, type Worker } from '../fixtures/fleet.ts';

const MAX_STALENESS_MS = 1_000;
/** The watcher's own clock reads and its turn of the event loop, on a busy machine. */
const MEASURING_MS = 100;

let redis: RedisServer;
let source: Source;
let proxies: FaultProxy[];
let workers: Worker[];
let keys = 0;

beforeAll(async () => {
  redis = await startRedis();
  source = await Source.start();
  proxies = await Promise.all([0, 1, 2, 3].map(() => startFaultProxy({ port: redis.port })));
  const ports = proxies.map(({ port }) => port);
  workers = await startFleet(ports, 'staleness', source, { maxStalenessMs: MAX_STALENESS_MS });
});
afterAll(async () => {
  await stopFleet(workers);
  await Promise.all(proxies.map((proxy) => proxy.close()));
  source.close();
  await redis[Symbol.asyncDispose]();
});

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

/** A key that every process has in memory. */
async function sharedKey(): Promise<string> {
  const key = `key${++keys}`;
  source.values.set(key, 'old');
  await Promise.all(workers.map((worker) => untilState(worker, 'up')));
  const values = await Promise.all(workers.map((worker) => worker.call('get', key)));
  expect(values).toEqual(['old', 'old', 'old', 'old']);
  return key;
}

/** Changes the value at its source, and invalidates it through the first process. */
async function change(key: string): Promise<void> {
  source.values.set(key, 'new');
  expect(await workers[0]?.call('invalidate', key)).toEqual({ confirmed: true });
}

test('an invalidation reaches every process within the bound, and at once where nothing is amiss', async () => {
  const key = await sharedKey();
  const watching = workers.map((worker) => worker.call<Watched>('watch', key, 1_000));
  await sleep(300);
  await change(key);
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
      const key = await sharedKey();
      const watching = workers.map((worker) => worker.call<Watched>('watch', key, 2_200));
      await sleep(200);
      await Promise.all(proxies.slice(1).map(inject));
      await sleep(20);
      await change(key);
      const sinceMs = Date.now();
      const watched = await Promise.all(watching);
      expect(stalenessMs(watched, 'old', sinceMs)).toBeLessThan(MAX_STALENESS_MS + MEASURING_MS);
      expect(watched.map(({ errors }) => errors)).toEqual([0, 0, 0, 0]);
      expect(Math.max(...watched.map(({ longestMs }) => longestMs))).toBeLessThan(250);
      await Promise.all(proxies.map((proxy) => proxy.setFault()));
      await Promise.all(workers.map((worker) => untilState(worker, 'up')));
      expect(await Promise.all(workers.map((worker) => worker.call('get', key)))).toEqual(
        Array(4).fill('new'),
      );
    });
  }

  test('with processes that are cut off and blocked, or stopped by the system, meanwhile', async () => {
    const key = await sharedKey();
    await Promise.all(proxies.slice(1).map((proxy) => proxy.setFault({ kind: 'blackHole' })));
    const [, blocked, stopped] = workers as [Worker, Worker, Worker, Worker];
    const afterBlocking = blocked.call('block', key, 1_500);
    await stopped.process.kill('SIGSTOP');
    await change(key);
    await sleep(1_300);
    await stopped.process.kill('SIGCONT');
    expect(await stopped.call('get', key)).toBe('new');
    expect(await afterBlocking).toBe('new');
    await Promise.all(proxies.map((proxy) => proxy.setFault()));
  });
});

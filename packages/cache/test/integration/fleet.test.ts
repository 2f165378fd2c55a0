import { type RedisServer, startRedis } from '@hotpath/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Source, startFleet, stopFleet, until, type Worker } from '../fixtures/fleet.ts';

let redis: RedisServer;
let source: Source;
let workers: Worker[] = [];
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
  workers = [];
  source.close();
});

async function start(processes: number, settings?: object): Promise<void> {
  const ports = Array.from({ length: processes }, () => redis.port);
  workers = await startFleet(ports, `fleet${++runs}`, source, settings);
}

/** What a busy machine does to a process must not look like a Redis that is away: then each loads for itself. */
const PATIENT = { softDeadlineMs: 2_000, hardDeadlineMs: 4_000 };

test('4 processes with 1,000 concurrent misses each of one key load it once', async () => {
  source.values.set('a', 'one');
  source.delayMs = 50;
  await start(4, PATIENT);
  const values = await Promise.all(workers.map((worker) => worker.call<string[]>('burst', 'a', 1_000)));
  expect(values).toEqual([['one'], ['one'], ['one'], ['one']]);
  expect(source.reads).toBe(1);
});

test('a process that is killed during its load is replaced by another one', async () => {
  source.values.set('a', 'one');
  source.delayMs = 60_000;
  await start(2, { ...PATIENT, leaseMs: 300 });
  void workers[0]?.call('get', 'a').catch(() => {});
  await until(() => source.reads === 1);
  await workers[0]?.process.kill();
  source.delayMs = 0;
  expect(await workers[1]?.call('get', 'a')).toBe('one');
  expect(source.reads).toBe(2);
});

test('a load longer than its lease still counts as the one load', async () => {
  source.values.set('a', 'one');
  source.delayMs = 1_500;
  await start(3, { ...PATIENT, leaseMs: 500 });
  const values = await Promise.all(workers.map((worker) => worker.call('get', 'a')));
  expect(values).toEqual(['one', 'one', 'one']);
  expect(source.reads).toBe(1);
});

for (const [how, invalidate] of [
  ['its key', (worker: Worker) => worker.call('invalidate', 'a')],
  ['a tag', (worker: Worker) => worker.call('invalidateTags', 'tag:a')],
] as const) {
  test(`four processes that load, or wait, while a fifth invalidates by ${how} keep nothing of the old value`, async () => {
    source.values.set('a', 'old');
    source.delayMs = 300;
    await start(5, PATIENT);
    const loading = workers.slice(0, 4).map((worker) => worker.call<string>('get', 'a'));
    await until(() => source.reads === 1);
    source.values.set('a', 'new');
    expect(await invalidate(workers[4] as Worker)).toEqual({ confirmed: true });
    await Promise.all(loading);
    // The one that was loading has its old answer now, and so has nobody else from here on.
    const values = await Promise.all(workers.map((worker) => worker.call<string>('get', 'a')));
    expect(values).toEqual(Array(5).fill('new'));
    for (let round = 0; round < 20; round++) {
      expect(await workers[round % 5]?.call('get', 'a')).toBe('new');
    }
  });
}

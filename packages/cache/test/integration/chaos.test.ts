import { type RedisServer, startRedis } from '@hotpath/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sleep } from '../fixtures/caches.ts';
import { Source, startFleet, stopFleet, untilState, type Worker } from '../fixtures/fleet.ts';

const PROCESSES = 10;
const KEYS = ['a', 'b', 'c'];
const RUN_MS = 8_000;
const MAX_STALENESS_MS = 1_000;
/** What ten processes, their parent and Redis make each other wait on a small machine. */
const MEASURING_MS = 250;

let redis: RedisServer;
let source: Source;
let workers: Worker[] = [];

beforeAll(async () => {
  redis = await startRedis();
  source = await Source.start();
  source.delayMs = 15;
  for (const key of KEYS) source.values.set(key, '0');
  const ports = Array.from({ length: PROCESSES }, () => redis.port);
  workers = await startFleet(ports, 'chaos', source, { maxStalenessMs: MAX_STALENESS_MS });
});
afterAll(async () => {
  await stopFleet(workers);
  source.close();
  await redis[Symbol.asyncDispose]();
});

interface Watched {
  readonly seen: readonly { readonly value: string; readonly firstMs: number; readonly lastMs: number }[];
  readonly errors: number;
}

/** An invalidation that Redis confirmed, when it did, and from which version on nobody may be behind. */
interface Confirmed {
  readonly key: string;
  readonly version: number;
  readonly atMs: number;
}

async function changeForAWhile(endMs: number, confirmed: Confirmed[]): Promise<void> {
  for (let version = 1; Date.now() < endMs; version++) {
    const key = KEYS[version % KEYS.length] as string;
    const worker = workers[(version * 7) % PROCESSES] as Worker;
    source.values.set(key, String(version));
    const ways = [
      ['invalidate', key],
      ['invalidateTags', `tag:${key}`, 'unrelated'],
      ['invalidatePrefix', `value:${key}`],
      ['clear'],
    ] as const;
    const [name, ...args] = ways[Math.floor(version / KEYS.length) % ways.length] as (typeof ways)[number];
    if ((await worker.call<{ confirmed: boolean }>(name, ...args)).confirmed)
      confirmed.push({ key, version, atMs: Date.now() });
    await sleep(30);
  }
}

test('ten processes that invalidate while Redis is killed, restarted and stopped never read too old a value', async () => {
  const endMs = Date.now() + RUN_MS;
  const watching = KEYS.map((key) =>
    Promise.all(workers.map((worker) => worker.call<Watched>('watch', key, RUN_MS + 1_500))),
  );
  const confirmed: Confirmed[] = [];
  const changing = changeForAWhile(endMs, confirmed);
  await sleep(1_500);
  await redis.kill();
  await sleep(500);
  await redis.start();
  await sleep(2_000);
  redis.freeze();
  await sleep(500);
  redis.thaw();
  await changing;
  const watched = await Promise.all(watching);
  expect(confirmed.length).toBeGreaterThan(20);
  let worstMs = 0;
  for (const [index, key] of KEYS.entries()) {
    const changes = confirmed.filter((change) => change.key === key);
    for (const { seen, errors } of watched[index] ?? []) {
      expect(errors).toBe(0);
      for (const { value, lastMs } of seen) {
        const next = changes.find(({ version }) => version > Number(value));
        if (next !== undefined) worstMs = Math.max(worstMs, lastMs - next.atMs);
      }
    }
  }
  expect(worstMs).toBeLessThan(MAX_STALENESS_MS + MEASURING_MS);
  await Promise.all(workers.map((worker) => untilState(worker, 'up')));
  for (const key of KEYS) {
    const values = await Promise.all(workers.map((worker) => worker.call('get', key)));
    expect(new Set(values)).toEqual(new Set([source.values.get(key)]));
  }
});

import { type RedisServer, startFaultProxy, startRedis } from '@hotpath/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Caches, sleep } from '../fixtures/caches.ts';
import { until } from '../fixtures/fleet.ts';

const MAX_MARKS = 5;

let server: RedisServer;
let caches: Caches;

beforeEach(async () => {
  server = await startRedis();
  caches = new Caches({ port: server.port });
});
afterEach(async () => {
  await caches.close();
  await server[Symbol.asyncDispose]();
});

const openUp = () => caches.openUp({ maxMarks: MAX_MARKS });
const marksInRedis = async (): Promise<number> => (await caches.client().zcard('{tested}!marks')) - 1;

test('when more tags were invalidated than are remembered, what they had invalidated stays so, and what came later is kept', async () => {
  const [a, b] = [await openUp(), await openUp()];
  await a.set('invalidated', 1, { tags: ['first'] });
  await a.set('older', 1, { tags: ['never'] });
  expect(await b.getMany(['invalidated', 'older'])).toEqual([1, 1]);
  expect(await a.invalidateTags('first')).toEqual({ confirmed: true });
  for (let index = 0; index < MAX_MARKS - 1; index++) await a.invalidateTags(`other ${index}`);
  expect(await marksInRedis()).toBe(MAX_MARKS);
  // All are known still: nothing else has been touched.
  await until(async () => (await b.get('invalidated')) === undefined);
  expect(await (await openUp()).getMany(['invalidated', 'older'])).toEqual([undefined, 1]);

  await a.invalidateTags('one too many');
  await a.set('younger', 1, { tags: ['first'] });
  expect(await marksInRedis()).toBe(MAX_MARKS);
  // The oldest mark is gone; it takes with it all that is as old.
  const late = await openUp();
  expect(await late.getMany(['invalidated', 'older', 'younger'])).toEqual([undefined, undefined, 1]);
  await until(async () => (await b.get('older')) === undefined);
  expect(await b.getMany(['invalidated', 'younger'])).toEqual([undefined, 1]);
  expect(await a.getMany(['invalidated', 'younger'])).toEqual([undefined, 1]);
});

test('one call that names more tags than are remembered invalidates them all', async () => {
  const [a, b] = [await openUp(), await openUp()];
  const tags = Array.from({ length: MAX_MARKS * 3 }, (_, index) => `tag ${index}`);
  for (const tag of tags) await a.set(tag, 1, { tags: [tag] });
  expect(await b.getMany(tags)).toEqual(tags.map(() => 1));
  expect(await a.invalidateTags(...tags)).toEqual({ confirmed: true });
  await a.set('younger', 1, { tags: ['tag 0'] });
  await until(async () => (await b.getMany(tags)).every((value) => value === undefined));
  for (const cache of [a, b, await openUp()]) {
    expect(await cache.getMany(tags)).toEqual(tags.map(() => undefined));
    expect(await cache.get('younger')).toBe(1);
  }
  expect(await marksInRedis()).toBeLessThanOrEqual(MAX_MARKS);
});

test('a process that was cut off while marks overflowed serves nothing of what they invalidated', async () => {
  await using proxy = await startFaultProxy({ port: server.port });
  const near = await openUp();
  const deadlines = { softDeadlineMs: 50, hardDeadlineMs: 200 };
  const far = await caches.openUp({ maxMarks: MAX_MARKS, ...deadlines }, { port: proxy.port });
  await near.set('a', 'old', { tags: ['first'] });
  await near.set('p:b', 'old');
  expect(await far.getMany(['a', 'p:b'])).toEqual(['old', 'old']);
  await proxy.setFault({ kind: 'blackHole' });
  await until(async () => {
    await far.get('elsewhere');
    return far.state === 'degraded';
  });
  await near.invalidateTags('first');
  await near.invalidatePrefix('p:');
  for (let index = 0; index < MAX_MARKS * 2; index++) await near.invalidateTags(`other ${index}`);
  await near.set('younger', 'new');
  await sleep(1_000);
  await proxy.setFault();
  await until(() => far.state === 'up');
  expect(await far.getMany(['a', 'p:b', 'younger'])).toEqual([undefined, undefined, 'new']);
});

test('a load under way while marks overflow keeps nothing of what they invalidate', async () => {
  const [loading, changing] = [await openUp(), await openUp()];
  let finish!: (value: string) => void;
  const tagged = { tags: ['first'] };
  const first = loading.getOrSet('a', () => new Promise<string>((resolve) => (finish = resolve)), tagged);
  await until(() => loading.stats().loadsInFlight === 1);
  await changing.invalidateTags('first');
  for (let index = 0; index < MAX_MARKS * 2; index++) await changing.invalidateTags(`other ${index}`);
  finish('old');
  expect(await first).toBe('old');
  await sleep(50);
  for (const cache of [loading, changing, await openUp()]) expect(await cache.get('a')).toBeUndefined();
});

test('while the oldest marks are forgotten one by one, memory keeps what they do not concern', async () => {
  // The other one remembers more than it hears of.
  const [a, b] = [await openUp(), await caches.openUp({ maxMarks: 1_000 })];
  for (let index = 0; index <= MAX_MARKS; index++) await a.invalidateTags(`first ${index}`);
  await a.set('a', 'kept', { tags: ['mine'] });
  await until(async () => (await b.get('a')) === 'kept' && b.stats().l1.hits > 0);
  const before = b.stats();
  const changes = 20;
  for (let index = 0; index < changes; index++) {
    expect(await a.invalidateTags(`other ${index}`)).toEqual({ confirmed: true });
    await sleep(5);
    expect(await b.get('a')).toBe('kept');
    // What is read from Redis tells of what was forgotten there.
    await b.get('elsewhere');
  }
  expect(b.stats().l1.misses - before.l1.misses).toBe(changes);
  expect(await a.invalidateTags('mine')).toEqual({ confirmed: true });
  await until(async () => (await b.get('a')) === undefined);
});

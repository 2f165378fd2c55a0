import { randomBytes } from 'node:crypto';
import { type RedisServer, startRedis } from '@hotpath/testkit';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Cache } from '../../src/index.ts';
import { scripts } from '../../src/internal/scripts.ts';
import { Caches, sleep } from '../fixtures/caches.ts';

let server: RedisServer;
let caches: Caches;
let a: Cache;
let b: Cache;
/** What the server was asked, but for what is asked at fixed intervals anyhow. */
let asked: string[][] = [];
let monitor: Redis;

beforeAll(async () => {
  server = await startRedis();
  caches = new Caches({ port: server.port });
  [a, b] = [await caches.openUp(), await caches.openUp()];
  const client = caches.client();
  await client.connect();
  monitor = await client.monitor();
  monitor.on('monitor', (_time: string, args: string[], source: string) => {
    // A process whose regular question is answered before the message arrives catches up on its own.
    const isRegular = args[0] === 'ping' || args[1] === scripts.verify.sha || args[1] === scripts.sync.sha;
    if (source !== 'lua' && !isRegular) asked.push(args);
  });
  // What begins the subscriptions ends.
  await sleep(300);
});
afterAll(async () => {
  monitor.disconnect();
  await caches.close();
  await server[Symbol.asyncDispose]();
});

async function tripsOf(run: () => Promise<unknown>): Promise<number> {
  // What went before has been reported by then, and what comes of this.
  await sleep(60);
  asked = [];
  await run();
  await sleep(60);
  return asked.length;
}

const many = Array.from({ length: 100 }, (_, index) => `key ${index}`);

test('a miss takes two round trips, a hit in Redis one, a hit in memory none', async () => {
  expect(await tripsOf(() => a.getOrSet('x', () => 1))).toBe(2);
  expect(await tripsOf(() => b.getOrSet('x', () => 1))).toBe(1);
  expect(await tripsOf(() => b.getOrSet('x', () => 1))).toBe(0);
});

test('a change takes one round trip, however many keys or tags it names', async () => {
  expect(await tripsOf(() => a.delete('x'))).toBe(1);
  expect(await tripsOf(() => a.delete('x', 'y', 'z'))).toBe(1);
  expect(await tripsOf(() => a.invalidateTags('tag', 'other'))).toBe(1);
  expect(await tripsOf(() => a.invalidatePrefix('x'))).toBe(1);
  expect(await tripsOf(() => a.clear())).toBe(1);
  const entries = [
    ['x', 1],
    ['y', 2],
  ] as const;
  expect(await tripsOf(() => a.setMany(entries))).toBe(1);
});

test('very many keys, and very large values, are written in several round trips, so that none takes long', async () => {
  const keys = Array.from({ length: 2_500 }, (_, index) => `very many ${index}`);
  expect(await tripsOf(() => a.setMany(keys.map((key) => [key, key.length])))).toBe(3);
  expect(await b.getMany(keys)).toEqual(keys.map((key) => key.length));
  expect(await tripsOf(() => a.delete(...keys))).toBe(3);
  expect(await b.getMany(keys)).toEqual(keys.map(() => undefined));
  const large = ['p', 'q', 'r'].map((key) => [key, randomBytes(450_000).toString('hex')] as const);
  const trips = await tripsOf(() => a.setMany([...large, ['gone', () => {}], ['s', 1]]));
  expect(trips).toBe(2);
  expect(await b.getMany(['p', 'q', 'r', 's', 'gone'])).toEqual([
    ...large.map(([, text]) => text),
    1,
    undefined,
  ]);
});

test('a change that overtakes a part of a larger one leaves all processes with the same value', async () => {
  const keys = Array.from({ length: 2_500 }, (_, index) => `overtaken ${index}`);
  const [first, last] = [keys[0] as string, keys.at(-1) as string];
  const all = a.setMany(keys.map((key) => [key, 'of all']));
  const one = a.setMany([first, last].map((key) => [key, 'of one']));
  expect([await all, await one]).toEqual([{ confirmed: true }, { confirmed: true }]);
  await sleep(50);
  expect(await a.getMany([first, last])).toEqual(await b.getMany([first, last]));
});

test('the reads of one turn go out together, whoever makes them, and in two halves when there are many', async () => {
  await a.setMany(many.map((key, index) => [key, index]));
  const reads = (keys: readonly string[]) => () =>
    Promise.all([...keys.map((key) => b.get(key)), b.getOrSet('key 0', () => -1)]);
  expect(await tripsOf(reads(many.slice(61)))).toBe(1);
  expect(await tripsOf(reads(many.slice(0, 60)))).toBe(2);
  expect(await tripsOf(() => a.getMany(many.slice(0, 40).map((key) => `no ${key}`)))).toBe(1);
  expect(await tripsOf(() => a.getMany(many.map((key) => `no ${key}`)))).toBe(2);
  // Few: leases come with the answer. Many: they take a second trip, and each fill one.
  const few = Array.from({ length: 10 }, (_, index) => `few ${index}`);
  expect(await tripsOf(() => Promise.all(few.map((key) => a.getOrSet(key, () => 1))))).toBe(1 + 10);
  const lots = Array.from({ length: 20 }, (_, index) => `lots ${index}`);
  expect(await tripsOf(() => Promise.all(lots.map((key) => a.getOrSet(key, () => 1))))).toBe(2 + 20);
});

test('an invalidation makes nobody ask again: the others drop what they have, and refills tell nobody', async () => {
  await a.set('told', 1);
  await b.get('told');
  expect(await tripsOf(() => a.delete('told'))).toBe(1);
  expect(await tripsOf(() => a.getOrSet('told', () => 2))).toBe(2);
  expect(await tripsOf(() => b.get('told'))).toBe(1);
});

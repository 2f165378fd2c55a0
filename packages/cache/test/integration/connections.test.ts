import { type RedisServer, startRedis } from '@hotpath/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Cache } from '../../src/index.ts';
import { Caches, sleep } from '../fixtures/caches.ts';
import { until } from '../fixtures/fleet.ts';
import { ForgetfulPath } from '../fixtures/forgetful-path.ts';

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

/** When, within so long, the old value was asked for and given the last time. */
async function lastAskedForOld(cache: Cache, sinceMs: number, withinMs: number): Promise<number> {
  let lastOldMs = sinceMs;
  await until(async () => {
    const askedMs = performance.now();
    if ((await cache.get('a')) === 'old') lastOldMs = askedMs;
    return askedMs - sinceMs > withinMs;
  });
  return lastOldMs;
}

const DEADLINES = { softDeadlineMs: 50, hardDeadlineMs: 200 };

test('connections that died without a word are made anew, and memory is used again', async () => {
  const [other, cache] = [await near.openUp(), await far.openUp(DEADLINES)];
  for (let round = 1; round <= 2; round++) {
    path.forget();
    await until(async () => {
      await cache.getOrSet('a', () => 'own');
      return cache.state === 'degraded';
    });
    await until(() => cache.state === 'up');
    await other.set('a', `value ${round}`);
    expect(await cache.get('a')).toBe(`value ${round}`);
    const before = cache.stats().l1.hits;
    await until(async () => {
      expect(await cache.get('a')).toBe(`value ${round}`);
      await sleep(20);
      return cache.stats().l1.hits > before + 3;
    });
    // The subscription is a new one as well.
    await other.delete('a');
    await until(async () => (await cache.get('a')) === undefined, 1_100);
  }
});

test('an answer in another form than was asked for ends the connection, and nothing else', async () => {
  const cache = await far.openUp(DEADLINES);
  await cache.set('a', 'value');
  let altered = 0;
  path.alter = (bytes) => {
    const text = bytes.toString('latin1');
    // What a read that gets a lease is answered with, perhaps behind other answers: the state, 1 and the time.
    const start = text.search(/\*3\r\n\$\d+\r\n[^\r]+\r\n:1\r\n/);
    if (start < 0) return bytes;
    altered++;
    path.alter = (unchanged) => unchanged;
    return Buffer.from(`${text.slice(0, start)}*0\r\n`, 'latin1');
  };
  expect(await cache.getOrSet('b', () => 'own')).toBe('own');
  expect(altered).toBe(1);
  await until(() => cache.state === 'up');
  expect(await cache.get('a')).toBe('value');
});

test("answers that nobody asked for are nobody's value: the connection is made anew", async () => {
  const cache = await far.openUp({ ...DEADLINES, l1: { maxEntries: 0 } });
  await cache.set('a', 'value');
  let answers = 0;
  path.alter = (bytes) => {
    // What a read is answered with, perhaps behind other answers: the state, the value and the time.
    const start = bytes.toString('latin1').search(/\*3\r\n\$\d+\r\n\S+ [\d ]+\r\n\$\d/);
    if (start < 0) return bytes;
    answers++;
    // Twice: from here on each would answer one question too early.
    path.alter = (unchanged) => unchanged;
    return Buffer.concat([bytes, bytes.subarray(start)]);
  };
  expect(await cache.getOrSet('a', () => 'own')).toBe('value');
  expect(answers).toBe(1);
  await until(() => cache.state === 'degraded');
  await until(() => cache.state === 'up');
  expect(await cache.getOrSet('a', () => 'own')).toBe('value');
});

test('closing sends what was invalidated before Redis was first reached', async () => {
  const other = await near.openUp();
  await other.set('a', 'old', { tags: ['tag'] });
  const brief = far.open();
  expect(await brief.invalidateTags('tag')).toEqual({ confirmed: false });
  await brief.close();
  await until(async () => (await other.get('a')) === undefined, 1_100);
});

test('closing waits for a Redis that is away no longer than its deadline', async () => {
  path.close();
  const cache = far.open(DEADLINES);
  await cache.invalidateTags('tag');
  const startedMs = performance.now();
  await cache.close();
  expect(performance.now() - startedMs).toBeLessThan(DEADLINES.hardDeadlineMs + 150);
});

const SUBSCRIBER = 'hotpath-cache-changes';

test('a process whose subscriber alone was lost without a word serves no old value beyond the bound', async () => {
  const options = { ...DEADLINES, maxStalenessMs: 300 };
  const [other, cache] = [await near.openUp(), await far.openUp(options)];
  await other.set('a', 'old');
  const before = cache.stats().l1.hits;
  await until(async () => (await cache.get('a')) === 'old' && cache.stats().l1.hits > before);
  expect(path.named(SUBSCRIBER)).toBe(1);
  path.forget(SUBSCRIBER);
  expect(await other.set('a', 'new')).toEqual({ confirmed: true });
  const sinceMs = performance.now();
  const lastOldMs = await lastAskedForOld(cache, sinceMs, 700);
  expect(lastOldMs - sinceMs).toBeLessThan(300 + 50);
  // All the while Redis itself was in use.
  expect(cache.state).toBe('up');
  expect(cache.stats().l2.errors).toBe(0);
});

test('a process whose subscriber is cut off again and again serves no old value beyond the bound', async () => {
  const options = { ...DEADLINES, maxStalenessMs: 300 };
  const [other, cache] = [await near.openUp(), await far.openUp(options)];
  const redis = near.client();
  let version = 0;
  let worstMs = 0;
  for (let round = 0; round < 8; round++) {
    await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    expect(await other.set('a', ++version)).toEqual({ confirmed: true });
    const sinceMs = performance.now();
    await until(async () => {
      const askedMs = performance.now();
      const isOld = (await cache.get('a')) !== version;
      if (isOld) worstMs = Math.max(worstMs, askedMs - sinceMs);
      return !isOld && askedMs - sinceMs > 60;
    });
  }
  expect(worstMs).toBeLessThan(300 + 50);
});

/** Reads until `forMs` after the value was changed, and tells for how long the old one was still read. */
async function stalenessMs(cache: Cache, other: Cache, forMs: number): Promise<number> {
  await other.set('a', 'old');
  await until(async () => (await cache.get('a')) === 'old');
  expect(await other.set('a', 'new')).toEqual({ confirmed: true });
  const sinceMs = performance.now();
  let lastOldMs = sinceMs;
  await until(async () => {
    const askedMs = performance.now();
    if ((await cache.get('a')) === 'old') lastOldMs = askedMs;
    return askedMs - sinceMs > forMs;
  });
  return lastOldMs - sinceMs;
}

test('a subscriber that another server than the one asked has proves nothing, and follows it', async () => {
  await using moved = await startRedis();
  const there = new Caches({ port: moved.port });
  try {
    const [cache, other] = [await far.openUp({ maxStalenessMs: 300 }), await there.openUp()];
    const isHeard = async (): Promise<boolean> => {
      await cache.get('a');
      return cache.stats().l1.hits > 0;
    };
    await cache.set('a', 'elsewhere');
    await until(isHeard);
    // As with a name that leads to another server now, where the subscriber has noticed nothing.
    path.target = moved.port;
    path.cut('hotpath-cache-commands');
    await until(() => cache.state === 'degraded');
    await until(() => cache.state === 'up');
    expect(await stalenessMs(cache, other, 700)).toBeLessThan(300 + 50);
    // And where it comes back to the former one.
    path.target = server.port;
    path.cut(SUBSCRIBER);
    await until(() => path.named(SUBSCRIBER) === 1);
    expect(await stalenessMs(cache, other, 700)).toBeLessThan(300 + 50);
    path.target = moved.port;
  } finally {
    await there.close();
  }
});

test('what proves that a subscriber is alive is when it asked, not when it was answered', async () => {
  const [other, cache] = [await near.openUp(), await far.openUp({ maxStalenessMs: 400 })];
  await other.set('a', 'old');
  // By then the subscriber has proved itself, and what is read is kept for as long as it does.
  await sleep(500);
  await until(async () => (await cache.get('a')) === 'old' && cache.stats().l1.hits > 0);
  const answered = Promise.withResolvers<void>();
  path.alter = (bytes) => {
    // The answer to a PING is on its way; what Redis publishes from now on is lost.
    if (path.delayMs > 0 && /pong\r\n/i.test(bytes.toString('latin1'))) {
      path.forget(SUBSCRIBER);
      answered.resolve();
    }
    return bytes;
  };
  path.delayMs = 100;
  await answered.promise;
  expect(await other.set('a', 'new')).toEqual({ confirmed: true });
  const sinceMs = performance.now();
  const lastOldMs = await lastAskedForOld(cache, sinceMs, 800);
  // It was asked 100 ms before that at the least, and its answer took as long again.
  expect(lastOldMs - sinceMs).toBeLessThan(400 - 50);
});

test('a server that is a replica now is left for the one that the name leads to', async () => {
  await using replica = await startRedis();
  const there = new Caches({ port: replica.port });
  await there.client().replicaof('127.0.0.1', 1);
  await there.close();
  path.target = replica.port;
  const cache = far.open();
  await until(() => /READONLY/.test(cache.stats().stateReason));
  path.target = server.port;
  await until(() => cache.state === 'up');
  expect(await cache.set('a', 1)).toEqual({ confirmed: true });
});

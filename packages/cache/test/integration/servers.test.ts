import diagnostics from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type RedisServer, startFaultProxy, startRedis } from '@hotpath/testkit';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCache } from '../../src/index.ts';
import { Caches, sleep } from '../fixtures/caches.ts';
import { until } from '../fixtures/fleet.ts';

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

const pass = (index: number): string => `filler ${index}`;

test('when Redis has forgotten the scripts, a read that overtakes an invalidation keeps nothing', async () => {
  const redis = caches.client();
  const cache = await caches.openUp();
  let current = 'old';
  const load = cache.wrap(async (_id: number) => current, { name: 'load', l1: { maxEntries: 1 } });
  await load(1);
  await until(() => cache.stats().l2.fills === 1);
  await load(2);
  await redis.script('FLUSH');
  current = 'new';
  const gone = load.invalidate(1);
  // So many that they go as an MGET, which needs no script.
  const others = Array.from({ length: 30 }, (_, index) => cache.get(pass(index)));
  await Promise.all([load(1), ...others]);
  expect(await gone).toEqual({ confirmed: true });
  expect(await load(1)).toBe('new');
});

test('when Redis has evicted the marks, what they invalidated stays invalid', async () => {
  const redis = caches.client();
  const cache = await caches.openUp();
  await cache.set('a', 'old', { tags: ['tag'] });
  expect(await cache.invalidateTags('tag')).toEqual({ confirmed: true });
  await redis.del('{tested}!marks');
  const other = await caches.openUp();
  expect(await other.get('a')).toBeUndefined();
  // The same for a process that was there already, and had not heard of them yet.
  await cache.set('a', 'old', { tags: ['tag'] });
  await other.get('fill the mirror');
  const [history, head, floor, , adopted] = String(await redis.get('{tested}!state')).split(' ');
  const unheard = Number(head) + 1;
  await redis.set('{tested}!state', [history, unheard, floor, unheard, adopted].join(' '));
  await redis.del('{tested}!marks');
  expect(await other.get('a')).toBeUndefined();
  await until(() => other.state === 'up');
  expect(await other.get('a')).toBeUndefined();
});

test('when Redis has evicted the state, or all of it, nothing old is served', async () => {
  const redis = caches.client();
  const [a, b] = [await caches.openUp(), await caches.openUp()];
  for (const lose of [() => redis.del('{tested}!state'), () => redis.flushall()]) {
    await until(async () => (await a.set('a', 'old')).confirmed);
    await until(async () => (await b.get('a')) === 'old');
    await lose();
    await until(async () => (await a.set('a', 'new')).confirmed);
    await sleep(20);
    await until(async () => (await b.getOrSet('a', async () => 'loaded')) !== 'old', 1_100);
  }
});

test('when what Redis knows of invalidations goes back, they are repeated before anything is read', async () => {
  const redis = caches.client();
  const cache = await caches.openUp({ l1: { maxEntries: 0 } });
  await cache.setMany(
    [
      ['a', 'old'],
      ['b', 'old'],
    ],
    { tags: ['tag'] },
  );
  await cache.set('c', 'kept');
  const names = ['{tested}!state', '{tested}!marks', '{tested}k:sa', '{tested}k:sb'];
  const before = await Promise.all(names.map((name) => redis.dumpBuffer(name)));
  expect(await cache.delete('a')).toEqual({ confirmed: true });
  expect(await cache.invalidateTags('tag')).toEqual({ confirmed: true });
  // As on a replica that lagged behind, under the same name.
  for (const [index, name] of names.entries())
    await redis.restore(name, 0, before[index] as Buffer, 'REPLACE');
  expect(await cache.getMany(['a', 'b'])).toEqual([undefined, undefined]);
  await until(() => cache.state === 'up');
  expect(await (await caches.openUp()).getMany(['a', 'b', 'c'])).toEqual([undefined, undefined, 'kept']);
});

test('the same namespace in two databases of one server is two caches', async () => {
  const [zero, one] = [await caches.openUp(), await caches.openUp({}, { db: 1 })];
  const states: unknown[] = [];
  const note = (message: unknown): void => void states.push(message);
  diagnostics.subscribe('hotpath:cache:state-change', note);
  await zero.set('a', 0);
  await one.set('a', 1);
  await sleep(50);
  const misses = (): number => one.stats().l1.misses;
  const before = misses();
  for (let index = 0; index < 20; index++) {
    await zero.delete('a');
    await zero.clear();
    expect(await one.get('a')).toBe(1);
  }
  await sleep(600);
  expect(await one.get('a')).toBe(1);
  expect(misses()).toBe(before);
  expect(await zero.get('a')).toBeUndefined();
  diagnostics.unsubscribe('hotpath:cache:state-change', note);
  expect(states).toEqual([]);
});

test('with its memory full, Redis still serves what it has and still invalidates', async () => {
  const redis = caches.client();
  const [a, b] = [await caches.openUp(), await caches.openUp()];
  await a.set('kept', 'value');
  await a.set('old', 'value');
  await a.set('tagged', 'value', { tags: ['tag'] });
  await redis.config('SET', 'maxmemory-policy', 'noeviction');
  await redis.config('SET', 'maxmemory', '1');
  await expect(redis.set('x', 'y')).rejects.toThrow('OOM');
  expect(await b.get('kept')).toBe('value');
  expect(await b.get('old')).toBe('value');
  expect(await b.get('tagged')).toBe('value');
  expect(await a.getOrSet('new', async () => 'loaded')).toBe('loaded');
  // There is no memory for it, but what was there before is gone.
  expect(await a.set('old', 'newer')).toEqual({ confirmed: true });
  await until(async () => (await b.get('old')) === undefined);
  expect(await redis.exists('{tested}k:sold')).toBe(0);
  expect(await a.delete('kept')).toEqual({ confirmed: true });
  expect(await a.invalidateTags('tag')).toEqual({ confirmed: true });
  await until(async () => (await b.get('kept')) === undefined && (await b.get('tagged')) === undefined);
  expect(await a.clear()).toEqual({ confirmed: true });
  // A process that starts now can use it as well.
  const late = await caches.openUp();
  expect(await late.getOrSet('late', async () => 'loaded')).toBe('loaded');
});

describe('a primary that has been replaced without its clients being told', () => {
  test('is left, and no process reads what was invalidated on the new one for longer than the bound', async () => {
    // With a diskless one the replica would wait for others to come.
    await caches.client().config('SET', 'repl-diskless-sync', 'no');
    await using replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(server.port)] });
    const [onOld, onNew] = [caches.client(), new Caches({ port: replica.port })];
    try {
      let current = 'old';
      const behind = await caches.openUp();
      const load = behind.wrap(async (_id: number) => current, { name: 'load' });
      await load(1);
      await until(() => behind.stats().l2.fills === 1);
      await until(async () => (await onNew.client().dbsize()) > 0 && (await onOld.wait(1, 100)) === 1);
      // A dead end to follow: it keeps its data, and hears of nothing any more.
      await using nowhere = await startFaultProxy({ port: server.port });
      await nowhere.setFault({ kind: 'refuse' });
      await onNew.client().replicaof('NO', 'ONE');
      await onOld.replicaof('127.0.0.1', nowhere.port);
      const ahead = await onNew.openUp();
      const loadAhead = ahead.wrap(async (_id: number) => current, { name: 'load' });
      expect(await loadAhead(1)).toBe('old');
      current = 'new';
      expect(await loadAhead.invalidate(1)).toEqual({ confirmed: true });
      const sinceMs = performance.now();
      let lastOldMs = sinceMs;
      while (performance.now() - sinceMs < 1_500) {
        const askedMs = performance.now();
        if ((await load(1)) === 'old') lastOldMs = askedMs;
        await sleep(2);
      }
      expect(lastOldMs - sinceMs).toBeLessThan(1_050);
      expect(behind.state).toBe('degraded');
    } finally {
      await onNew.close();
    }
  });
});

describe('a user who may not do all that the cache needs', () => {
  const rights = {
    'publish on its channels': ['+@all', '~*', 'resetchannels', '-subscribe'],
    'run scripts': ['+@all', '~*', '&*', '-evalsha', '-eval', '-script'],
    'use its keys': ['+@all', '~elsewhere:*', '&*'],
    'ask for information': ['+@all', '~*', '&*', '-info'],
  };
  for (const [lack, rules] of Object.entries(rights)) {
    test(`and lacks the right to ${lack} gets a cache in memory, no error, and the reason`, async () => {
      await caches.client().call('ACL', 'SETUSER', 'limited', 'on', '>secret', ...rules);
      const cache = caches.open({ awayTtlMs: 60_000 }, { username: 'limited', password: 'secret' });
      let loads = 0;
      for (let index = 0; index < 20; index++) {
        expect(await cache.getOrSet('a', async () => ++loads)).toBe(1);
        await sleep(20);
      }
      expect(cache.state).toBe('degraded');
      expect(cache.stats().stateReason).toMatch(/NOPERM|ACL failure|can't (publish|run)/);
      expect(await cache.delete('a')).toEqual({ confirmed: false });
      await caches.client().call('ACL', 'SETUSER', 'limited', '+@all', '~*', '&*');
      await until(() => cache.state === 'up');
      expect(cache.stats().queuedInvalidations).toBe(0);
      expect(cache.stats().stateReason).toBe('recovered');
    });
  }

  test('but all that the README names lacks nothing', async () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const [, block] = /needs these rights[^`]*`[^`]*`[^`]*```\n([^`]*)```/.exec(readme) ?? [];
    const rules = (block ?? '').replaceAll('namespace', 'tested').trim().split(/\s+/);
    expect(rules.length).toBeGreaterThan(20);
    await caches.client().call('ACL', 'SETUSER', 'frugal', 'reset', 'on', '>secret', ...rules);
    const [a, b] = [
      await caches.openUp({}, { username: 'frugal', password: 'secret' }),
      await caches.openUp({}, { username: 'frugal', password: 'secret' }),
    ];
    expect(await a.getOrSet('a', () => 1)).toBe(1);
    await until(() => a.stats().l2.fills === 1);
    expect(await b.get('a')).toBe(1);
    expect(await a.set('b', 1, { tags: ['tag'], ttlMs: 300, staleMs: 10_000 })).toEqual({ confirmed: true });
    await sleep(310);
    expect(await b.getOrSet('b', () => 2)).toBe(1);
    await until(async () => (await b.get('b')) === 2);
    for (const change of [() => a.delete('a'), () => a.invalidateTags('tag'), () => a.clear()]) {
      expect(await change()).toEqual({ confirmed: true });
    }
    await sleep(300);
    expect([a.state, b.state]).toEqual(['up', 'up']);
    expect(a.stats().l2.errors + b.stats().l2.errors).toBe(0);
  });

  test('and may delete nothing keeps what it has invalidated until it may', async () => {
    const rules = ['+@all', '~*', '&*', '-unlink'];
    await caches.client().call('ACL', 'SETUSER', 'keeping', 'on', '>secret', ...rules);
    const [other, cache] = [
      await caches.openUp(),
      await caches.openUp({}, { username: 'keeping', password: 'secret' }),
    ];
    await other.set('a', 'old');
    expect(await cache.delete('a')).toEqual({ confirmed: false });
    // It has been tried again, and again in vain.
    await sleep(300);
    expect(cache.state).toBe('degraded');
    await until(() => cache.stats().queuedInvalidations === 1);
    await caches.client().call('ACL', 'SETUSER', 'keeping', '+unlink');
    await until(() => cache.state === 'up');
    await until(async () => (await other.get('a')) === undefined);
    expect(await (await caches.openUp()).get('a')).toBeUndefined();
  });

  test('and is refused a change while those before it are repeated does not use Redis before it is done', async () => {
    const keys = ['~{tested}!*', '~{tested}k:sgood*'];
    await caches.client().call('ACL', 'SETUSER', 'picky', 'on', '>secret', '+@all', '&*', ...keys);
    await using proxy = await startFaultProxy({ port: server.port });
    await proxy.setFault({ kind: 'refuse' });
    const user = { port: proxy.port, username: 'picky', password: 'secret' };
    const [other, cache] = [await caches.openUp(), caches.open({}, user)];
    await other.setMany([
      ['good 0', 1],
      ['bad', 'old'],
    ]);
    await cache.delete(...Array.from({ length: 5_000 }, (_, index) => `good ${index}`));
    await proxy.setFault({ kind: 'delay', delayMs: 10 });
    // The first of them are repeated, the others are not yet.
    await until(async () => (await caches.client().exists('{tested}k:sgood 0')) === 0);
    expect(cache.state).toBe('degraded');
    expect(await cache.delete('bad')).toEqual({ confirmed: false });
    const endMs = performance.now() + 600;
    while (performance.now() < endMs) {
      expect(cache.state).toBe('degraded');
      await sleep(1);
    }
    await caches.client().call('ACL', 'SETUSER', 'picky', '~*');
    await until(() => cache.state === 'up');
    expect(await (await caches.openUp()).get('bad')).toBeUndefined();
  });

  test('and may not subscribe shares values, keeps none longer than the bound, and sees no error', async () => {
    const rules = ['+@all', '~*', '&*', '-subscribe'];
    await caches.client().call('ACL', 'SETUSER', 'deaf', 'on', '>secret', ...rules);
    const deaf = await caches.openUp({ maxStalenessMs: 200 }, { username: 'deaf', password: 'secret' });
    const other = await caches.openUp();
    await deaf.set('a', 'old');
    expect(await deaf.get('a')).toBe('old');
    await other.set('a', 'new');
    await sleep(250);
    expect(await deaf.get('a')).toBe('new');
  });

  test('with a wrong password gets a cache in memory until it is the right one', async () => {
    await caches.client().call('ACL', 'SETUSER', 'changed', 'on', '>before', '+@all', '~*', '&*');
    const cache = caches.open({}, { username: 'changed', password: 'after' });
    expect(await cache.getOrSet('a', async () => 1)).toBe(1);
    await sleep(300);
    expect(cache.state).toBe('degraded');
    expect(cache.stats().stateReason).toMatch(/WRONGPASS/);
    await caches.client().call('ACL', 'SETUSER', 'changed', '>after');
    await until(() => cache.state === 'up');
  });
});

test('the connections of the cache are encrypted where the client is, and refuse a server they do not trust', async () => {
  const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
  const free = await startFaultProxy({ port: server.port });
  await free.close();
  const redis = caches.client();
  const files = ['tls-cert-file', 'cert.pem', 'tls-key-file', 'key.pem', 'tls-ca-cert-file', 'cert.pem'];
  const settings = files.map((word) => (word.endsWith('.pem') ? fixture(word) : word));
  await redis.call('CONFIG', 'SET', ...settings, 'tls-auth-clients', 'no', 'tls-port', String(free.port));
  const encrypted = {
    port: free.port,
    tls: { ca: readFileSync(fixture('cert.pem')), servername: 'localhost' },
  };
  const [a, b] = [await caches.openUp({}, encrypted), await caches.openUp()];
  expect(await a.set('a', 1)).toEqual({ confirmed: true });
  expect(await b.get('a')).toBe(1);
  await b.delete('a');
  await until(async () => (await a.get('a')) === undefined);
  const distrustful = caches.open({}, { port: free.port, tls: { servername: 'localhost' } });
  expect(await distrustful.ready({ timeoutMs: 300 })).toBe('degraded');
  expect(distrustful.stats().stateReason).toMatch(/certificate/);
  expect(await distrustful.getOrSet('a', async () => 'alone')).toBe('alone');
});

test('a client that its owner closes does not take the cache with it', async () => {
  const redis = new Redis({ port: server.port });
  const cache = createCache({ namespace: 'tested', redis });
  try {
    await until(() => cache.state === 'up');
    await redis.quit();
    await sleep(100);
    expect(await cache.set('a', 1)).toEqual({ confirmed: true });
    await caches.client().call('CLIENT', 'KILL', 'TYPE', 'normal');
    await until(() => cache.state === 'degraded').catch(() => {});
    await until(() => cache.state === 'up');
    expect(await cache.get('a')).toBe(1);
  } finally {
    await cache.close();
  }
});

test('a Redis that is still loading its data holds nobody up and gives nobody an error', async () => {
  const redis = caches.client();
  const cache = await caches.openUp();
  for (let index = 0; index < 3_000; index += 500) {
    const pairs = Array.from({ length: 500 }, (_, item) => [`populated ${index + item}`, 'x']).flat();
    await redis.mset(...pairs);
  }
  await redis.save();
  await server.kill();
  await using slow = await startRedis({
    port: server.port,
    directory: server.directory,
    args: ['--key-load-delay', '300', '--loading-process-events-interval-bytes', '1024'],
  });
  expect(slow.port).toBe(server.port);
  expect(await cache.getOrSet('a', async () => 1)).toBe(1);
  await until(() => cache.state === 'up');
});

test('a cache that is closed with loads and changes under way settles all of them', async () => {
  const cache = await caches.openUp();
  const values = Array.from({ length: 50 }, (_, index) =>
    cache.getOrSet(`key ${index}`, async () => {
      await sleep(30);
      return index;
    }),
  );
  const changes = Array.from({ length: 50 }, (_, index) => cache.delete(`other ${index}`));
  const closings = [cache.close(), cache.close(), cache.close()];
  await Promise.all(closings);
  expect(await Promise.all(values)).toEqual(Array.from({ length: 50 }, (_, index) => index));
  expect((await Promise.all(changes)).every(({ confirmed }) => confirmed)).toBe(true);
});

test('a clock of the server that goes back leaves the order of invalidations as it was', async () => {
  const redis = caches.client();
  const [a, b] = [await caches.openUp(), await caches.openUp()];
  const [history, head, ...rest] = String(await redis.get('{tested}!state')).split(' ');
  // As if the latest invalidation had been done at a time that is yet to come.
  await redis.set('{tested}!state', [history, Number(head) + 3_600_000_000, ...rest].join(' '));
  await a.set('a', 'old', { tags: ['tag'] });
  expect(await b.get('a')).toBe('old');
  expect(await a.invalidateTags('tag')).toEqual({ confirmed: true });
  await until(async () => (await b.get('a')) === undefined);
  await a.set('a', 'new', { tags: ['tag'] });
  await sleep(20);
  expect(await b.get('a')).toBe('new');
  expect(await (await caches.openUp()).get('a')).toBe('new');
});

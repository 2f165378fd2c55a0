import {
  type FaultProxy,
  type RedisServer,
  startFaultProxy,
  startRedis,
  startRedisSentinel,
} from '@hotpath/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RedisRateLimiterOptions, redisRateLimiter } from '../../src/redis.ts';

let server: RedisServer;
let proxy: FaultProxy;
let redis: Redis;
let direct: Redis;

beforeAll(async () => {
  // After a diskless sync a replica gets nothing for seconds.
  server = await startRedis({ args: ['--repl-diskless-sync', 'no'] });
  proxy = await startFaultProxy(server);
  redis = new Redis(proxy.port, proxy.host, { retryStrategy: () => 20 });
  redis.on('error', () => {});
  direct = new Redis(server.url);
});

afterAll(async () => {
  redis.disconnect();
  direct.disconnect();
  await proxy.close();
  await server[Symbol.asyncDispose]();
});

beforeEach(async () => {
  await proxy.setFault();
  await direct.flushall();
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + 20_000;
  while (!(await condition())) {
    if (Date.now() > endMs) throw new Error('it did not become true within 20 s');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function make(options: Partial<RedisRateLimiterOptions> = {}) {
  return redisRateLimiter({ redis, limit: 100, burst: 20, strict: true, timeoutMs: 5_000, ...options });
}

describe('a Redis that answers', () => {
  it('slowly is waited for within the deadline, and beyond it the rule answers', async () => {
    await using patient = make({ name: 'patient' });
    await using hasty = make({ name: 'hasty', timeoutMs: 20, onLost: 'open' });
    await patient.tryAcquire();
    await proxy.setFault({ kind: 'delay', delayMs: 150 });
    expect(await patient.tryAcquire()).toMatchObject({ allowed: true, decidedBy: 'redis' });
    expect(await hasty.tryAcquire()).toMatchObject({ allowed: true, decidedBy: 'open' });
  });

  it.each([
    ['resets every connection', { kind: 'reset', afterBytes: 0 }],
    ['cuts its answers off', { kind: 'truncate', afterBytes: 5, direction: 'toClient' }],
    ['is not there', { kind: 'blackHole' }],
  ] as const)(
    'not at all, for it %s: each call gets its answer, and Redis is asked again',
    async (_, fault) => {
      await using limiter = make({
        name: `fault-${fault.kind}`,
        timeoutMs: 200,
        retryLostMs: 50,
        onLost: 'share',
        nodes: 2,
      });
      await until(async () => (await limiter.tryAcquire()).decidedBy === 'redis');
      await proxy.setFault(fault);
      if (fault.kind === 'reset') proxy.reset();
      await until(async () => (await limiter.tryAcquire()).decidedBy === 'share');
      const answers = await Promise.all(Array.from({ length: 50 }, () => limiter.tryAcquire()));
      expect(answers.every(({ decidedBy }) => decidedBy !== 'lease')).toBe(true);
      await proxy.setFault();
      proxy.reset();
      await until(async () => (await limiter.tryAcquire(1, 'fresh')).decidedBy === 'redis');
      expect(limiter.stats()).toMatchObject({ lost: false, waiting: 0 });
    },
  );

  it('only to reads, being a replica: the rule answers until it is a primary', async () => {
    await using replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(server.port)] });
    const client = new Redis(replica.url);
    await until(async () => (await client.info('replication')).includes('master_link_status:up'));
    await using limiter = make({ redis: client, name: 'replica', onLost: 'open', retryLostMs: 50 });
    expect(await limiter.tryAcquire()).toMatchObject({ allowed: true, decidedBy: 'open' });
    expect(limiter.stats()).toMatchObject({ lost: true, scriptFailuresTotal: 1 });
    await client.replicaof('NO', 'ONE');
    await until(async () => (await limiter.tryAcquire()).decidedBy === 'redis');
    expect(limiter.stats().lost).toBe(false);
    client.disconnect();
  });

  it('from another machine after a failover is used at once, without its script', async () => {
    await using group = await startRedisSentinel();
    const client = new Redis({
      sentinels: [{ host: group.sentinel.host, port: group.sentinel.port }],
      name: group.name,
      sentinelRetryStrategy: () => 50,
      retryStrategy: () => 50,
    });
    client.on('error', () => {});
    await using limiter = make({ redis: client, name: 'failover', timeoutMs: 500, retryLostMs: 50 });
    await until(async () => (await limiter.tryAcquire(1, 'before')).decidedBy === 'redis');
    await group.primary.kill();
    await until(async () => (await limiter.tryAcquire(1, 'during')).decidedBy === 'closed');
    await until(async () => (await limiter.tryAcquire(1, 'after')).decidedBy === 'redis');
    expect(client.options.port ?? 0).not.toBe(group.primary.port);
    client.disconnect();
  });
});

describe('a connection that is lost', () => {
  it('while units go back does not bring them back twice, although the driver sends them again', async () => {
    const key = 'hotpath:rl:resent:';
    const level = async (): Promise<number> => Number.parseFloat((await direct.get(key)) ?? '0');
    const runs = async (): Promise<number> =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await direct.info('commandstats'))?.[1]);
    // From here on the server knows the script, so that each run of it is one call.
    await make({ name: 'first' }).tryAcquire();
    const began = await runs();
    const limiter = make({ limit: 0.001, burst: 1_000, strict: false, maxLease: 100, name: 'resent' });
    for (let call = 0; call < 100; call++) expect((await limiter.tryAcquire()).allowed).toBe(true);
    // None may be under way.
    await until(async () => (await runs()) - began === limiter.stats().scriptsTotal);
    const before = await runs();
    expect(await level()).toBeGreaterThan(100.5);
    await proxy.setFault({ kind: 'blackHole', direction: 'toClient' });
    const closing = limiter.close();
    await until(async () => (await runs()) === before + 1);
    expect(await level()).toBeCloseTo(100, 1);
    // Before the fault is lifted, which would let the answer through.
    proxy.reset();
    await proxy.setFault();
    await until(async () => (await runs()) === before + 2);
    await closing;
    expect(await level()).toBeCloseTo(100, 1);
    expect(limiter.stats()).toMatchObject({ scriptFailuresTotal: 0 });
  });

  it('remembers a bounded number of returns, and forgets them with the bucket', async () => {
    const options = { limit: 0.001, burst: 1_000, strict: false, maxLease: 100, name: 'bounded' };
    for (let node = 0; node < 40; node++) {
      const limiter = make(options);
      for (let call = 0; call < 5; call++) await limiter.tryAcquire();
      await limiter.close();
    }
    const stored = (await direct.get('hotpath:rl:bounded:')) ?? '';
    expect(stored.length).toBeLessThan(260);
    expect(Number.parseFloat(stored)).toBeCloseTo(200, 1);
  });
});

describe('the clock of the server', () => {
  it('that goes back gives nobody anything, and keeps the pace from then on', async () => {
    await using limiter = make({ limit: 20, burst: 5, name: 'back' });
    const [seconds] = await direct.time();
    // As if all of the burst had been spent by a clock that was an hour ahead.
    await direct.set('hotpath:rl:back:k', `5 ${(Number(seconds) + 3_600) * 1e6}`);
    expect(await limiter.tryAcquire(1, 'k')).toMatchObject({
      allowed: false,
      retryAfterMs: expect.closeTo(50, 0),
    });
    await until(async () => (await limiter.tryAcquire(1, 'k')).allowed);
    expect(await limiter.tryAcquire(5, 'k')).toMatchObject({ allowed: false });
  });

  it('that goes forward gives at most one burst', async () => {
    await using limiter = make({ limit: 0.001, burst: 5, name: 'forward' });
    const [seconds] = await direct.time();
    await direct.set('hotpath:rl:forward:k', `5 ${(Number(seconds) - 3_600_000) * 1e6}`);
    let allowed = 0;
    while ((await limiter.tryAcquire(1, 'k')).allowed) allowed++;
    expect(allowed).toBe(5);
  });

  it('is all that counts: two nodes whose own clocks are hours apart share one limit', async () => {
    const apart = { now: () => performance.now() + 7_200_000, wallTime: () => 0 };
    const { systemClock } = await import('@hotpath/core');
    const options = { limit: 0.001, burst: 10, name: 'apart' };
    await using first = make(options);
    await using second = make({ ...options, clock: { ...systemClock, ...apart } });
    let allowed = 0;
    for (let call = 0; call < 10; call++) {
      for (const node of [first, second]) if ((await node.tryAcquire()).allowed) allowed++;
    }
    expect(allowed).toBe(10);
  });
});

describe('the bucket', () => {
  it.each([
    ['a key of a megabyte', { key: 'k'.repeat(1 << 20) }],
    ['a key of every kind of character', { key: 'a {b} \r\n\0 é 🙂 \u{d800}' }],
    ['the slowest limit and the largest burst', { limit: 1e-9, burst: 1e12, perMs: Number.MAX_SAFE_INTEGER }],
    ['the fastest limit', { limit: 1e12, burst: 1e12, perMs: 1e-3 }],
    ['fractions', { limit: 0.3, burst: 1.5, cost: 0.7 }],
  ])(
    'takes %s',
    async (_, {
      key = 'k',
      cost = 1,
      ...options
    }: { key?: string; cost?: number } & Partial<RedisRateLimiterOptions>) => {
      await using limiter = make({ name: 'extreme', ...options });
      expect(await limiter.tryAcquire(cost, key)).toMatchObject({ allowed: true, decidedBy: 'redis' });
      expect(await limiter.tryAcquire(cost, key)).toMatchObject({ decidedBy: 'redis' });
      expect(await direct.dbsize()).toBeLessThanOrEqual(1);
    },
  );

  it('is begun anew where something else was stored under its key', async () => {
    await using limiter = make({ name: 'garbage' });
    for (const stored of [
      '',
      'nonsense',
      '1',
      'x y',
      '-5 0',
      'nan nan',
      'inf 0',
      '1e999 0',
      '1e 0',
      '1.1.1 0',
      '5 -1',
    ]) {
      await direct.set('hotpath:rl:garbage:k', stored);
      const admission = await limiter.tryAcquire(1, 'k');
      expect(admission, `stored: ${stored}`).toMatchObject({ allowed: true, decidedBy: 'redis' });
      expect(admission.remaining, `stored: ${stored}`).toBe(19);
    }
  });

  it('of another type is an error of Redis: the rule answers', async () => {
    await using limiter = make({ name: 'list', onLost: 'open' });
    await direct.lpush('hotpath:rl:list:k', 'x');
    expect(await limiter.tryAcquire(1, 'k')).toMatchObject({ allowed: true, decidedBy: 'open' });
  });
});

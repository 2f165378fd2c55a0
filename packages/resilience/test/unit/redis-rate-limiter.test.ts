import { createVirtualClock } from '@hotpath/core/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RedisRateLimiterOptions, redisRateLimiter } from '../../src/redis.ts';
import { modelServer } from './fixtures/model-server.ts';

function setUp(options: Partial<RedisRateLimiterOptions> = {}) {
  const clock = createVirtualClock();
  const server = modelServer(clock);
  const make = (more: Partial<RedisRateLimiterOptions> = {}) =>
    redisRateLimiter({
      redis: server.port,
      limit: 100,
      burst: 20,
      name: 'fleet',
      clock,
      ...options,
      ...more,
    });
  return { clock, server, make };
}

describe('a fleet of limiters', () => {
  it('never spends more than burst + rate * T + nodes * maxLease in any interval, whatever happens', async () => {
    const step = fc.record({
      node: fc.nat({ max: 3 }),
      calls: fc.integer({ min: 1, max: 12 }),
      cost: fc.integer({ min: 1, max: 3 }),
      pauseMs: fc.integer({ min: 0, max: 120 }),
      restart: fc.boolean(),
      key: fc.constantFrom('a', 'b', 'c'),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 12 }),
        fc.constantFrom(1, 2, 10),
        fc.array(step, { maxLength: 60, size: 'max' }),
        async (maxLease, maxKeys, steps) => {
          const { clock, make } = setUp({ maxLease, maxKeys });
          const nodes = Array.from({ length: 4 }, () => make());
          const spentBy = { a: [], b: [], c: [] } as Record<string, { atMs: number; cost: number }[]>;
          for (const { node, calls, cost, pauseMs, restart, key } of steps) {
            if (restart) {
              await nodes[node]?.close();
              nodes[node] = make();
            }
            const admissions = await Promise.all(
              Array.from({ length: calls }, () => nodes[node]?.tryAcquire(cost, key)),
            );
            for (const admission of admissions)
              if (admission?.allowed) spentBy[key]?.push({ atMs: clock.now(), cost });
            await clock.advance(pauseMs);
          }
          for (const spent of Object.values(spentBy)) {
            for (const [from, { atMs: fromMs }] of spent.entries()) {
              let total = 0;
              for (const { atMs, cost } of spent.slice(from)) {
                total += cost;
                expect(total).toBeLessThanOrEqual(20 + (atMs - fromMs) * 0.1 + 4 * maxLease + 1e-6);
              }
            }
          }
        },
      ),
      { numRuns: 40 },
    );
  }, 30_000);

  it('spends every unit: what nodes give back is there for the others', async () => {
    const { make } = setUp({ limit: 1e-6, burst: 1_000, maxLease: 50 });
    const first = make();
    const second = make();
    let spent = 0;
    for (let call = 0; call < 300; call++) {
      for (const node of [first, second]) if ((await node.tryAcquire()).allowed) spent++;
    }
    await first.close();
    await second.close();
    const last = make({ strict: true, maxLease: undefined as never });
    while ((await last.tryAcquire()).allowed) spent++;
    expect(spent).toBe(1_000);
  });

  it('asks once for all the calls of a turn, and not again while a refusal holds', async () => {
    const { clock, server, make } = setUp({ strict: true });
    const limiter = make();
    const admissions = await Promise.all(Array.from({ length: 64 }, () => limiter.tryAcquire()));
    expect(admissions.filter(({ allowed }) => allowed)).toHaveLength(20);
    expect(server.runs()).toBe(1);
    expect(await limiter.tryAcquire()).toMatchObject({
      allowed: false,
      decidedBy: 'refusal',
      retryAfterMs: 10,
    });
    expect(server.runs()).toBe(1);
    await clock.advance(10);
    expect(await limiter.tryAcquire()).toMatchObject({ allowed: true, decidedBy: 'redis' });
    expect(await limiter.tryAcquire(21)).toMatchObject({
      allowed: false,
      retryAfterMs: Number.POSITIVE_INFINITY,
    });
  });

  it('does not look at the wall clock of its own machine', async () => {
    const { clock, make } = setUp({ strict: true });
    const limiter = make();
    for (let call = 0; call < 20; call++) await limiter.tryAcquire();
    clock.shiftWallTime(3_600_000);
    expect((await limiter.tryAcquire()).allowed).toBe(false);
    clock.shiftWallTime(-7_200_000);
    await clock.advance(10);
    expect((await limiter.tryAcquire()).allowed).toBe(true);
  });
});

describe('what a server or driver may do', () => {
  it.each(['NOSCRIPT No matching script.', 'ERR NOSCRIPT No matching script.', 'ReplyError: NOSCRIPT'])(
    'is to forget the script, in the words %j',
    async (message) => {
      const { server, make } = setUp();
      const evalsha = () => Promise.reject(new Error(message));
      const limiter = make({ redis: { evalsha, eval: server.port.eval } });
      expect(await limiter.tryAcquire()).toMatchObject({ allowed: true, decidedBy: 'redis' });
    },
  );

  it.each([[null], ['OK'], [['1', 0]], [['11', 0, '1']], [['1', 'x', '1']], [{}]])(
    'is to answer nonsense, such as %j: the rule answers instead',
    async (reply) => {
      const answer = async () => reply;
      const limiter = setUp().make({ redis: { evalsha: answer, eval: answer }, onLost: 'open' });
      expect(await limiter.tryAcquire()).toMatchObject({ allowed: true, decidedBy: 'open' });
    },
  );

  it('is never to answer: each call waits for the deadline at most, and then not at all', async () => {
    const clock = createVirtualClock();
    let asked = 0;
    const never = () => {
      asked++;
      return new Promise(() => {});
    };
    const redis = { evalsha: never, eval: never };
    const limiter = redisRateLimiter({
      redis,
      limit: 100,
      maxLease: 0,
      clock,
      timeoutMs: 50,
      retryLostMs: 500,
    });
    for (let failure = 0; failure < 3; failure++) {
      const answer = limiter.tryAcquire();
      await clock.advance(55);
      expect(await answer).toMatchObject({ allowed: false, decidedBy: 'closed' });
    }
    for (let call = 0; call < 100; call++) await limiter.tryAcquire();
    expect(asked).toBe(3);
    const { retryAfterMs } = await limiter.tryAcquire();
    expect(retryAfterMs).toBeGreaterThan(400);
    await clock.advance(500);
    void limiter.tryAcquire();
    await clock.settle();
    expect(asked).toBe(4);
  });

  it('is to throw synchronously', async () => {
    const broken = () => {
      throw new Error('Connection is closed.');
    };
    const limiter = setUp().make({ redis: { evalsha: broken, eval: broken } });
    expect(await limiter.tryAcquire()).toMatchObject({ allowed: false, decidedBy: 'closed' });
  });
});

describe('who waits', () => {
  it('is told at once when its turn will never come, however patient it is', async () => {
    const limiter = setUp().make();
    const never = { code: 'HOTPATH_RATE_LIMITED', retryAfterMs: Number.POSITIVE_INFINITY };
    await expect(limiter.acquire({ cost: 21 })).rejects.toMatchObject(never);
    expect(limiter.stats().waiting).toBe(0);
  });

  it.each([
    [{ deadlineMs: '5' as never }, "'deadlineMs'"],
    [{ deadlineMs: Number.NaN }, "'deadlineMs'"],
    [{ priority: 10 }, "'priority'"],
    [{ cost: 0 }, "'cost'"],
    [{ signal: {} as never }, "'signal'"],
  ])('is refused %o by name, and spends nothing', async (options, named) => {
    const { server, make } = setUp();
    const limiter = make();
    await expect(limiter.acquire(options)).rejects.toThrow(named);
    expect(server.runs()).toBe(0);
    expect(limiter.stats()).toMatchObject({ allowedTotal: 0, refusedTotal: 0, waiting: 0 });
  });

  it('is one of a bounded number', async () => {
    const { clock, make } = setUp({ strict: true, maxWaiting: 2 });
    const limiter = make();
    await Promise.all(Array.from({ length: 20 }, () => limiter.tryAcquire()).slice(0, 2));
    while ((await limiter.tryAcquire()).allowed) {}
    const waiting = [limiter.acquire(), limiter.acquire()];
    await clock.settle();
    expect(limiter.stats().waiting).toBe(2);
    await expect(limiter.acquire()).rejects.toMatchObject({ code: 'HOTPATH_RATE_QUEUE_FULL' });
    await clock.advance(100);
    await Promise.all(waiting);
    await limiter.close();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('leases', () => {
  it('of keys that were dropped for want of room are back before close() ends', async () => {
    const { clock, server, make } = setUp({ maxLease: 5, maxKeys: 1, limit: 1e-6 });
    let held: (() => void) | undefined;
    const redis = {
      evalsha: async (...given: (string | number)[]) => {
        if (Number(given[5]) > 0 && String(given[2]).endsWith('dropped'))
          await new Promise<void>((resolve) => (held = resolve));
        return server.port.evalsha(given[0] as string, given[1] as number, ...given.slice(2));
      },
      eval: server.port.eval,
    };
    const limiter = make({ redis });
    for (let call = 0; call < 3; call++) await limiter.tryAcquire(1, 'dropped');
    await clock.settle();
    expect(limiter.stats().leasedTotal).toBeGreaterThan(0);
    void limiter.tryAcquire(1, 'newcomer');
    await clock.settle();
    let closed = false;
    const closing = limiter.close().then(() => {
      closed = true;
    });
    await clock.settle();
    expect(closed).toBe(false);
    held?.();
    await closing;
    expect(server.levelOf('hotpath:rl:fleet:dropped')).toBeCloseTo(3, 3);
  });

  it('are not needed to share a lost limit: keys without room have one share between them', async () => {
    const clock = createVirtualClock();
    const hang = () => new Promise(() => {});
    const limiter = redisRateLimiter({
      redis: { evalsha: hang, eval: hang },
      limit: 100,
      burst: 20,
      nodes: 4,
      onLost: 'share',
      maxKeys: 1,
      maxWaiting: 1,
      maxLease: 0,
      clock,
    });
    void limiter.tryAcquire(1, 'busy');
    let allowed = 0;
    for (let key = 0; key < 100; key++) {
      const { allowed: fits, decidedBy } = await limiter.tryAcquire(1, `key-${key}`);
      expect(decidedBy).toBe('share');
      if (fits) allowed++;
    }
    expect(allowed).toBe(5);
  });
});

describe('a caller', () => {
  it('leaves at once by its signal, also while Redis is asked', async () => {
    const { make } = setUp();
    const hang = () => new Promise(() => {});
    const limiter = make({ redis: { evalsha: hang, eval: hang } });
    const controller = new AbortController();
    const call = limiter.tryAcquire(1, 'key', controller.signal);
    const reason = new Error('left');
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    await expect(limiter.tryAcquire(1, 'key', controller.signal)).rejects.toBe(reason);
  });

  it('is one of a bounded number', async () => {
    const hang = () => new Promise(() => {});
    const limiter = setUp().make({ redis: { evalsha: hang, eval: hang }, maxWaiting: 3, onLost: 'open' });
    void limiter.tryAcquire();
    void limiter.tryAcquire();
    void limiter.tryAcquire();
    expect(await limiter.tryAcquire()).toMatchObject({ decidedBy: 'open' });
    expect(limiter.stats().waiting).toBe(3);
  });

  it.each([
    [{ limit: undefined as never }, "'limit'"],
    [{ redis: {} as never }, "'redis'"],
    [{ redis: undefined as never }, "'redis'"],
    [{ onLost: 'share' as const }, "'nodes'"],
    [{ strict: true, maxLease: 5 }, "'maxLease'"],
    [{ burst: 0 }, "'burst'"],
    [{ timeoutMs: 0 }, "'timeoutMs'"],
  ])('is told what is wrong with %o', (options, named) => {
    expect(() => setUp().make(options)).toThrow(named);
  });

  it.each([0, -1, Number.NaN, '1' as never])('may not spend %s', async (cost) => {
    await expect(setUp().make().tryAcquire(cost)).rejects.toThrow("'cost'");
  });
});

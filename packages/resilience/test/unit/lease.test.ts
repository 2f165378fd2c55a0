import { createVirtualClock } from '@hotpath/core/testing';
import { describe, expect, it } from 'vitest';
import { type RedisRateLimiterOptions, redisRateLimiter } from '../../src/redis.ts';
import { modelServer } from './fixtures/model-server.ts';

/** A bucket that practically does not refill, so that every unit can be counted. */
function setUp(options: Partial<RedisRateLimiterOptions> = {}) {
  const clock = createVirtualClock();
  const server = modelServer(clock);
  const limiter = redisRateLimiter({
    redis: server.port,
    limit: 1e-6,
    burst: 100,
    maxLease: 20,
    name: 'fleet',
    clock,
    ...options,
  });
  const level = (key = '') => server.levelOf(`hotpath:rl:fleet:${key}`);
  return { clock, server, limiter, level };
}

/** Longer than a deadline's bookkeeping stays, and shorter than a lease. */
const SHORTLY_MS = 200;

/** Two calls at once are pace enough to be given a whole lease of 20. */
async function fillLease({ clock, limiter }: ReturnType<typeof setUp>, key = ''): Promise<void> {
  for (let call = 0; call < 2; call++) {
    await limiter.tryAcquire(1, key);
    await clock.settle();
  }
}

describe('a lease', () => {
  it('is asked for anew when a quarter is left, before anybody has to wait, and only as far as it is spent', async () => {
    const given = setUp();
    await fillLease(given);
    const { clock, server, limiter } = given;
    expect(server.asked).toEqual([
      { key: '', returned: 0, wanted: 1, costs: [1] },
      { key: '', returned: 0, wanted: 20, costs: [] },
    ]);
    for (let call = 0; call < 15; call++) await limiter.tryAcquire();
    await clock.settle();
    expect(server.runs()).toBe(2);
    expect(await limiter.tryAcquire()).toMatchObject({ allowed: true, decidedBy: 'lease' });
    await clock.settle();
    expect(server.asked.slice(2)).toEqual([{ key: '', returned: 0, wanted: 16, costs: [] }]);
  });

  it('goes back when it was not used for `idleMs`, once, and is then no longer there to be spent', async () => {
    const given = setUp({ idleMs: 1_000 });
    await fillLease(given);
    const { clock, server, limiter, level } = given;
    await clock.advance(600);
    expect(await limiter.tryAcquire()).toMatchObject({ decidedBy: 'lease' });
    await clock.advance(900);
    expect(limiter.stats().returnedTotal).toBe(0);
    await clock.advance(1_100);
    expect(limiter.stats().returnedTotal).toBe(19);
    expect(level()).toBeCloseTo(3, 3);
    expect(clock.pendingTimers).toBe(0);
    const runs = server.runs();
    expect(await limiter.tryAcquire()).toMatchObject({ allowed: true, decidedBy: 'redis' });
    expect(server.runs()).toBe(runs + 1);
    await limiter.close();
    expect(level()).toBeCloseTo(4, 3);
    await clock.advance(SHORTLY_MS);
    expect(clock.pendingTimers).toBe(0);
  });

  it('that went back is forgotten: its key, used again without one, is not looked after', async () => {
    const given = setUp({ idleMs: 1_000 });
    const { clock, limiter } = given;
    await fillLease(given, 'a');
    await clock.advance(1_100);
    await fillLease(given, 'b');
    await clock.advance(900);
    expect(await limiter.tryAcquire(101, 'a')).toMatchObject({ decidedBy: 'refusal' });
    await clock.advance(100 + SHORTLY_MS);
    expect(limiter.stats()).toMatchObject({ leasedTotal: 42, returnedTotal: 40 });
    expect(clock.pendingTimers).toBe(0);
  });

  it('is not given to a key that there is no room to remember', async () => {
    const { clock, server, limiter } = setUp({ maxKeys: 1 });
    server.hold();
    void limiter.tryAcquire(1, 'busy');
    await clock.settle();
    void limiter.tryAcquire(1, 'roomless');
    await clock.settle();
    expect(server.asked).toEqual([
      { key: 'busy', returned: 0, wanted: 1, costs: [1] },
      { key: 'roomless', returned: 0, wanted: 0, costs: [1] },
    ]);
  });

  it.each(['evicted', 'closed'])('is not asked for by a key that was %s in the same turn', async (how) => {
    const given = setUp({ maxKeys: 1 });
    await given.limiter.tryAcquire(1, 'a');
    const { clock, server, limiter, level } = given;
    const last = limiter.tryAcquire(1, 'a');
    const after = how === 'evicted' ? limiter.tryAcquire(1, 'b') : limiter.close();
    expect(await last).toMatchObject({ decidedBy: 'lease' });
    await after;
    await clock.settle();
    expect(server.asked.filter(({ key }) => key === 'a')).toHaveLength(1);
    expect(level('a')).toBeCloseTo(2, 3);
  });

  it('that is brought after close() has begun goes back, and keeps no timer', async () => {
    const { clock, server, limiter, level } = setUp();
    server.hold();
    const call = limiter.tryAcquire();
    await clock.settle();
    const closing = limiter.close();
    server.goOn();
    expect(await call).toMatchObject({ allowed: true });
    await closing;
    expect(level()).toBeCloseTo(1, 3);
    expect(limiter.stats()).toMatchObject({ leasedTotal: 1, returnedTotal: 1, waiting: 0 });
    await clock.advance(SHORTLY_MS);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('calls that come while Redis is asked', () => {
  it('wait for that answer where it may bring units, and ask on their own where nothing is leased', async () => {
    for (const [maxLease, runs] of [
      [20, 1],
      [0, 2],
    ] as const) {
      const { clock, server, limiter } = setUp({ maxLease });
      server.hold();
      const first = limiter.tryAcquire();
      await clock.settle();
      const second = limiter.tryAcquire();
      await clock.settle();
      expect(server.runs()).toBe(runs);
      server.goOn();
      expect(await first).toMatchObject({ decidedBy: 'redis' });
      expect(await second).toMatchObject({ decidedBy: maxLease === 0 ? 'redis' : 'lease' });
      expect(limiter.stats()).toMatchObject({ waiting: 0, allowedTotal: 2 });
    }
  });

  it('are answered in their order: a cheap one does not overtake a dear one', async () => {
    const { clock, server, limiter } = setUp();
    await limiter.tryAcquire();
    await Promise.all([limiter.tryAcquire(5), limiter.tryAcquire(1)]);
    expect(server.asked[1]).toMatchObject({ costs: [5, 1] });

    const other = setUp();
    other.server.hold();
    void other.limiter.tryAcquire();
    await clock.settle();
    await other.clock.settle();
    const behind = [other.limiter.tryAcquire(5), other.limiter.tryAcquire(1)];
    other.server.goOn();
    await Promise.all(behind);
    expect(other.server.asked[1]).toMatchObject({ costs: [5, 1] });
    expect(other.limiter.stats().waiting).toBe(0);
  });

  it('are asked for in runs of 256, and all of them are answered', async () => {
    const strict = { strict: true, maxLease: undefined as never, burst: 1_000 };
    const { clock, server, limiter } = setUp(strict);
    server.hold();
    const calls = Array.from({ length: 600 }, () => limiter.tryAcquire());
    await clock.settle();
    expect(server.asked.map(({ costs }) => costs.length)).toEqual([256, 256, 88]);
    server.goOn();
    for (const call of calls) expect(await call).toMatchObject({ allowed: true });

    const other = setUp(strict);
    const controller = new AbortController();
    const leavers = Array.from({ length: 256 }, () => other.limiter.tryAcquire(1, '', controller.signal));
    const stayer = other.limiter.tryAcquire();
    controller.abort();
    await Promise.allSettled(leavers);
    expect(await stayer).toMatchObject({ allowed: true });
    expect(other.server.asked.map(({ costs }) => costs.length)).toEqual([1]);
  });

  it('are not asked for once they have left, and wait no longer', async () => {
    const { clock, server, limiter } = setUp();
    const controller = new AbortController();
    const { signal } = controller;
    const leaver = limiter.tryAcquire(1, 'left', signal);
    controller.abort();
    await expect(leaver).rejects.toBe(signal.reason);
    await clock.settle();
    expect(server.asked.flatMap(({ costs }) => costs)).toEqual([]);
    expect(limiter.stats()).toMatchObject({ waiting: 0, allowedTotal: 0 });

    server.hold();
    const first = limiter.tryAcquire(1, 'key');
    await clock.settle();
    const second = new AbortController();
    const behind = limiter.tryAcquire(1, 'key', second.signal);
    second.abort();
    await expect(behind).rejects.toBe(second.signal.reason);
    server.goOn();
    await first;
    await clock.settle();
    expect(limiter.stats()).toMatchObject({ waiting: 0, allowedTotal: 1 });
  });

  it('end with close(), apart from the one that Redis is asked for', async () => {
    const { clock, server, limiter } = setUp();
    server.hold();
    const asked = limiter.tryAcquire();
    await clock.settle();
    const behind = [limiter.tryAcquire(), limiter.tryAcquire()];
    const closing = limiter.close();
    for (const call of behind) await expect(call).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
    expect(limiter.stats().waiting).toBe(1);
    server.goOn();
    expect(await asked).toMatchObject({ allowed: true });
    await closing;
    expect(limiter.stats().waiting).toBe(0);
  });
});

describe('a refusal', () => {
  it('of a dear call says nothing about a cheap one; that of a cheap one holds for all', async () => {
    const { server, limiter } = setUp({ strict: true, maxLease: undefined as never, burst: 20 });
    await limiter.tryAcquire(18);
    expect(await limiter.tryAcquire(5)).toMatchObject({ allowed: false, decidedBy: 'redis' });
    expect(await limiter.tryAcquire(2)).toMatchObject({ allowed: true, decidedBy: 'redis' });
    expect(await limiter.tryAcquire(1)).toMatchObject({ allowed: false, decidedBy: 'redis' });
    expect(await limiter.tryAcquire(5)).toMatchObject({ allowed: false, decidedBy: 'refusal' });
    expect(server.runs()).toBe(4);
  });
});

describe('who waits for a turn', () => {
  const strict = { strict: true, maxLease: undefined as never, limit: 10 };

  it('goes in the order of priority behind the one who asks', async () => {
    const { clock, limiter } = setUp({ ...strict, burst: 1 });
    await limiter.tryAcquire();
    const order: string[] = [];
    const calls = (['first', 9, 5, 0] as const).map((who) =>
      limiter.acquire({ priority: who === 'first' ? 9 : who }).then(() => order.push(String(who))),
    );
    await clock.advance(500);
    await Promise.all(calls);
    expect(order).toEqual(['first', '0', '5', '9']);
  });

  it('is not overtaken by a newcomer that wants less', async () => {
    const { clock, limiter } = setUp({ ...strict, burst: 5 });
    await limiter.tryAcquire(5);
    const order: number[] = [];
    const dear = limiter.acquire({ cost: 5 }).then(() => order.push(5));
    await clock.advance(250);
    const cheap = limiter.acquire({ cost: 1 }).then(() => order.push(1));
    await clock.advance(1_000);
    await Promise.all([dear, cheap]);
    expect(order).toEqual([5, 1]);
  });

  it('ends at once with close()', async () => {
    const { clock, limiter } = setUp({ ...strict, limit: 1, burst: 1 });
    await limiter.tryAcquire();
    const calls = [limiter.acquire(), limiter.acquire()];
    const ended = calls.map((call) => expect(call).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' }));
    await clock.settle();
    expect(limiter.stats().waiting).toBe(2);
    await limiter.close();
    await Promise.all(ended);
    expect(limiter.stats().waiting).toBe(0);
    await clock.advance(SHORTLY_MS);
    expect(clock.pendingTimers).toBe(0);
  });

  it('leaves no line behind that others would have to join', async () => {
    const { clock, limiter } = setUp({ ...strict, burst: 1, maxWaiting: 1 });
    await limiter.tryAcquire(1, 'a');
    const waiter = limiter.acquire({ key: 'a' });
    await clock.advance(200);
    await waiter;
    await limiter.tryAcquire(1, 'b');
    const other = limiter.acquire({ key: 'b' });
    await clock.settle();
    expect(limiter.stats().waiting).toBe(1);
    expect(await limiter.acquire({ key: 'a' })).toMatchObject({ allowed: true });
    await clock.advance(200);
    await other;
  });
});

import { createVirtualClock } from '@hotpath/core/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RateLimiterOptions, rateLimiter } from '../../src/index.ts';

function setUp(options: Partial<RateLimiterOptions> = {}) {
  const clock = createVirtualClock();
  return { clock, limiter: rateLimiter({ limit: 10, clock, ...options }) };
}

describe('tryAcquire', () => {
  it('follows the rule of 1 per second with a burst of 5', async () => {
    const { clock, limiter } = setUp({ limit: 1, burst: 5 });
    expect(limiter.tryAcquire(6)).toMatchObject({ allowed: false, retryAfterMs: Number.POSITIVE_INFINITY });
    expect([4, 3, 2, 1, 0].map(() => limiter.tryAcquire().remaining)).toEqual([4, 3, 2, 1, 0]);
    expect(limiter.tryAcquire()).toEqual({
      allowed: false,
      remaining: 0,
      retryAfterMs: 1_000,
      resetMs: 5_000,
    });
    await clock.advance(3_000);
    expect(limiter.tryAcquire()).toEqual({ allowed: true, remaining: 2, retryAfterMs: 0, resetMs: 3_000 });
  });

  it('admits what a slow, obvious token bucket admits', async () => {
    const step = fc.record({
      pauseMs: fc.integer({ min: 0, max: 500 }),
      cost: fc.integer({ min: 1, max: 4 }),
      key: fc.constantFrom('a', 'b'),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(1, 3, 7, 10, 100),
        fc.integer({ min: 1, max: 9 }),
        fc.array(step, { maxLength: 50, size: 'max' }),
        async (limit, burst, steps) => {
          const { clock, limiter } = setUp({ limit, burst });
          // In thousandths of a unit, so that the model has no fractions: 1 ms brings `limit` of them.
          const full = burst * 1_000;
          const tokens: Record<string, number> = { a: full, b: full };
          for (const { pauseMs, cost, key } of steps) {
            await clock.advance(pauseMs);
            for (const each of ['a', 'b'])
              tokens[each] = Math.min(full, (tokens[each] as number) + pauseMs * limit);
            const expected = (tokens[key] as number) >= cost * 1_000;
            if (expected) (tokens[key] as number) -= cost * 1_000;
            const admission = limiter.tryAcquire(cost, key);
            expect(admission.allowed).toBe(expected);
            expect(admission.remaining).toBe(Math.floor((tokens[key] as number) / 1_000));
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('says exactly when a refused request is allowed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 900 }),
        fc.integer({ min: 1, max: 5 }),
        async (limit, cost) => {
          const { clock, limiter } = setUp({ limit, burst: 5 });
          while (limiter.tryAcquire().allowed) {}
          const { retryAfterMs } = limiter.tryAcquire(cost);
          await clock.advance(retryAfterMs * 0.999);
          expect(limiter.tryAcquire(cost).allowed).toBe(false);
          await clock.advance(retryAfterMs * 0.001);
          expect(limiter.tryAcquire(cost).allowed).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('spends nothing where others wait, and says what is there and when', async () => {
    const { clock, limiter } = setUp({ limit: 10, burst: 4 });
    limiter.tryAcquire(3);
    const waiting = limiter.acquire({ cost: 2 });
    await clock.advance(50);
    // 1.5 of 4 are there, and somebody waits for 2.
    expect(limiter.tryAcquire(1)).toEqual({ allowed: false, remaining: 1, retryAfterMs: 150, resetMs: 250 });
    expect(limiter.tryAcquire(3)).toEqual({ allowed: false, remaining: 1, retryAfterMs: 350, resetMs: 250 });
    expect(limiter.tryAcquire(5)).toMatchObject({ retryAfterMs: Number.POSITIVE_INFINITY });
    await clock.advance(50);
    expect(await waiting).toMatchObject({ allowed: true, remaining: 0 });
  });

  it('counts each key by itself, and the limiter as a whole apart from them', () => {
    const { limiter } = setUp();
    expect(limiter.tryAcquire(1, 'a').allowed).toBe(true);
    expect(limiter.tryAcquire(1, 'a').allowed).toBe(false);
    expect(limiter.tryAcquire(1, 'b').allowed).toBe(true);
    expect(limiter.tryAcquire().allowed).toBe(true);
  });

  it('keeps a bounded number of keys, and lets idle ones go first', async () => {
    const { clock, limiter } = setUp({ maxKeys: 4, limit: 1 });
    for (const key of ['a', 'b']) limiter.tryAcquire(1, key);
    await clock.advance(1_000);
    for (const key of ['c', 'd', 'e', 'f']) limiter.tryAcquire(1, key);
    expect(limiter.stats()).toMatchObject({ keys: 4, evictedActiveTotal: 0 });
    for (const key of ['c', 'd', 'e', 'f']) expect(limiter.tryAcquire(1, key).allowed).toBe(false);
    for (let key = 0; key < 10_000; key++) limiter.tryAcquire(1, `flood-${key}`);
    expect(limiter.stats().keys).toBe(4);
    expect(limiter.stats().evictedActiveTotal).toBeGreaterThan(0);
  });

  it.each([0, -1, Number.NaN])('refuses a cost of %s by name', (cost) => {
    const { limiter } = setUp();
    expect(() => limiter.tryAcquire(cost)).toThrow("'cost'");
  });
});

describe('acquire', () => {
  it('spreads 50 acquisitions at 10/s over 4.8 to 5.1 s', async () => {
    const { clock, limiter } = setUp();
    let doneMs = 0;
    const all = Promise.all(Array.from({ length: 50 }, () => limiter.acquire())).then(() => {
      doneMs = clock.now();
    });
    await clock.advance(6_000);
    await all;
    expect(doneMs).toBeGreaterThanOrEqual(4_800);
    expect(doneMs).toBeLessThanOrEqual(5_100);
    expect(clock.pendingTimers).toBe(0);
  });

  it('serves by priority, then by arrival', async () => {
    const { clock, limiter } = setUp();
    const order: string[] = [];
    for (const [name, priority] of [
      ['now', 9],
      ['c', 5],
      ['d', 5],
      ['e', 9],
      ['a', 0],
      ['b', 1],
    ] as const) {
      void limiter.acquire({ priority }).then(() => order.push(name));
    }
    await clock.advance(1_000);
    expect(order).toEqual(['now', 'a', 'b', 'c', 'd', 'e']);
  });

  it('is not overtaken by tryAcquire, nor by a cheaper one behind an expensive one', async () => {
    const { clock, limiter } = setUp({ burst: 5 });
    limiter.tryAcquire(5);
    const order: number[] = [];
    void limiter.acquire({ cost: 4 }).then(() => order.push(4));
    void limiter.acquire({ cost: 1 }).then(() => order.push(1));
    await clock.advance(200);
    expect(limiter.tryAcquire(1).allowed).toBe(false);
    await clock.advance(300);
    expect(order).toEqual([4, 1]);
  });

  it('takes the place of a dearer one that has left, and its time', async () => {
    const clock = createVirtualClock();
    const limiter = rateLimiter({ limit: 10, burst: 5, clock });
    limiter.tryAcquire(5);
    const controller = new AbortController();
    const dear = limiter.acquire({ cost: 4, signal: controller.signal });
    let servedMs = -1;
    const cheap = limiter.acquire({ cost: 1 }).then(() => (servedMs = clock.now()));
    controller.abort();
    await expect(dear).rejects.toBe(controller.signal.reason);
    await clock.advance(1_000);
    await cheap;
    expect(servedMs).toBe(100);
    expect(clock.pendingTimers).toBe(0);
  });

  it('is told at once when it can never be, or not in time', async () => {
    const { limiter } = setUp();
    limiter.tryAcquire();
    await expect(limiter.acquire({ cost: 2 })).rejects.toMatchObject({
      code: 'HOTPATH_RATE_LIMITED',
      retryAfterMs: Number.POSITIVE_INFINITY,
    });
    await expect(limiter.acquire({ deadlineMs: 99 })).rejects.toMatchObject({
      code: 'HOTPATH_RATE_LIMITED',
      retryAfterMs: 100,
    });
    expect(limiter.stats().waiting).toBe(0);
  });

  it('leaves the room at its deadline, by its signal, and at close, and holds up nobody', async () => {
    const { clock, limiter } = setUp();
    limiter.tryAcquire();
    const controller = new AbortController();
    const reason = new Error('gone');
    const first = limiter.acquire({ signal: controller.signal });
    const second = limiter.acquire({ deadlineMs: 200 });
    const last = limiter.acquire();
    const later = limiter.acquire({ deadlineMs: 400 });
    expect(limiter.stats().waiting).toBe(4);
    controller.abort(reason);
    await expect(first).rejects.toBe(reason);
    await clock.advance(100);
    expect(await second).toMatchObject({ allowed: true });
    await clock.advance(100);
    expect(await last).toMatchObject({ allowed: true });
    const closed = limiter.acquire();
    const outcome = expect(later).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
    const other = expect(closed).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
    await limiter.close();
    await Promise.all([outcome, other]);
    expect(limiter.stats()).toMatchObject({ waiting: 0, leftTotal: 3 });
    expect(limiter.tryAcquire()).toMatchObject({ allowed: false, retryAfterMs: Number.POSITIVE_INFINITY });
    await expect(limiter.acquire()).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
  });

  it('is refused at once when those before it leave too little time, and told when its turn would come', async () => {
    const { clock, limiter } = setUp();
    limiter.tryAcquire();
    const order: string[] = [];
    void limiter.acquire({ priority: 3, cost: 1 }).then(() => order.push('first'));
    void limiter.acquire({ priority: 7 }).then(() => order.push('last'));
    const refused = { code: 'HOTPATH_RATE_LIMITED', retryAfterMs: 200 };
    await expect(limiter.acquire({ priority: 5, deadlineMs: 199 })).rejects.toMatchObject(refused);
    // More urgent than who waits: nobody is before it.
    void limiter.acquire({ priority: 0, deadlineMs: 100 }).then(() => order.push('urgent'));
    expect(limiter.stats().waiting).toBe(3);
    await clock.advance(300);
    expect(order).toEqual(['urgent', 'first', 'last']);
  });

  it('reckons only with those who still wait', async () => {
    const { clock, limiter } = setUp();
    limiter.tryAcquire();
    const controller = new AbortController();
    const left = limiter.acquire({ signal: controller.signal });
    const first = limiter.acquire();
    controller.abort('gone');
    await expect(left).rejects.toBe('gone');
    const second = limiter.acquire({ deadlineMs: 200 });
    await clock.advance(200);
    expect(await first).toMatchObject({ allowed: true });
    expect(await second).toMatchObject({ allowed: true });
  });

  it('admits whom a slow, obvious queue admits, at the same times', async () => {
    const request = fc.record({
      cost: fc.integer({ min: 1, max: 4 }),
      priority: fc.integer({ min: 0, max: 9 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(1, 10, 1_000),
        fc.integer({ min: 4, max: 6 }),
        fc.array(request, { maxLength: 20, size: 'max' }),
        async (limit, burst, requests) => {
          const { clock, limiter } = setUp({ limit, burst });
          const seen: (readonly [number, number])[] = [];
          for (const [index, each] of requests.entries()) {
            void limiter.acquire(each).then(() => seen.push([index, clock.now()]));
          }
          // Who finds room and nobody waiting goes at once; the others by priority, then by arrival.
          let tokens = burst;
          const waiting: number[] = [];
          const expected: [number, number][] = [];
          for (const [index, { cost }] of requests.entries()) {
            if (waiting.length > 0 || cost > tokens) {
              waiting.push(index);
              continue;
            }
            tokens -= cost;
            expected.push([index, 0]);
          }
          const priorityOf = (index: number): number => requests[index]?.priority ?? 0;
          waiting.sort((a, b) => priorityOf(a) - priorityOf(b) || a - b);
          let units = -tokens;
          for (const index of waiting) {
            units += requests[index]?.cost ?? 0;
            expected.push([index, Math.max(0, (units * 1_000) / limit)]);
          }
          await clock.advance(100_000);
          expect(seen.map(([index]) => index)).toEqual(expected.map(([index]) => index));
          for (const [place, [, atMs]] of seen.entries())
            expect(atMs).toBeCloseTo(expected[place]?.[1] ?? -1, 5);
          expect(clock.pendingTimers).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
  });

  it.each([
    [null as never, 'an object of options'],
    ['key' as never, 'an object of options'],
    [{ deadlineMs: '5' as never }, "'deadlineMs'"],
    [{ deadlineMs: Number.NaN }, "'deadlineMs'"],
    [{ deadlineMs: -1 }, "'deadlineMs'"],
    [{ priority: 10 }, "'priority'"],
    [{ priority: '1' as never }, "'priority'"],
    [{ cost: 0 }, "'cost'"],
    [{ cost: '1' as never }, "'cost'"],
    [{ signal: {} as never }, "'signal'"],
  ])('refuses %o by name, and spends nothing', async (options, named) => {
    const { limiter } = setUp();
    await expect(limiter.acquire(options)).rejects.toThrow(named);
    expect(limiter.stats()).toMatchObject({ allowedTotal: 0, refusedTotal: 0, waiting: 0 });
  });

  it('rejects at the deadline when higher priorities kept coming', async () => {
    const { clock, limiter } = setUp();
    limiter.tryAcquire();
    const low = limiter.acquire({ priority: 9, deadlineMs: 250 });
    const rejected = expect(low).rejects.toMatchObject({ code: 'HOTPATH_RATE_LIMITED' });
    for (let urgent = 0; urgent < 5; urgent++) void limiter.acquire({ priority: 0 });
    await clock.advance(251);
    await rejected;
  });

  it('bounds who waits over all keys', async () => {
    const { limiter } = setUp({ maxWaiting: 2 });
    for (const key of ['a', 'b', 'c']) limiter.tryAcquire(1, key);
    const waiting = [limiter.acquire({ key: 'a' }), limiter.acquire({ key: 'b' })];
    await expect(limiter.acquire({ key: 'c' })).rejects.toMatchObject({ code: 'HOTPATH_RATE_QUEUE_FULL' });
    const closed = Promise.allSettled(waiting);
    await limiter.close();
    await closed;
  });

  it('leaves no listener on the signal', async () => {
    const { clock, limiter } = setUp();
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...given: Parameters<typeof add>) => {
      listeners++;
      add(...given);
    };
    signal.removeEventListener = (...given: Parameters<typeof remove>) => {
      listeners--;
      remove(...given);
    };
    const all = Promise.all(Array.from({ length: 5 }, () => limiter.acquire({ signal })));
    await clock.advance(1_000);
    await all;
    expect(listeners).toBe(0);
  });
});

describe('its counters', () => {
  it('tell what became of every request', async () => {
    const { clock, limiter } = setUp({ maxWaiting: 1, maxKeys: 1 });
    limiter.tryAcquire(1, 'a');
    limiter.tryAcquire(1, 'a');
    limiter.tryAcquire(1, 'b');
    expect(limiter.stats()).toEqual({
      kind: 'rate-limiter',
      name: 'rate-limiter',
      allowedTotal: 2,
      refusedTotal: 1,
      waitedTotal: 0,
      leftTotal: 0,
      waiting: 0,
      keys: 1,
      evictedActiveTotal: 1,
    });
    const waited = limiter.acquire({ key: 'b' });
    await expect(limiter.acquire({ key: 'b' })).rejects.toMatchObject({ code: 'HOTPATH_RATE_QUEUE_FULL' });
    expect(limiter.stats()).toMatchObject({ waiting: 1, refusedTotal: 2 });
    await clock.advance(100);
    await waited;
    const controller = new AbortController();
    const left = limiter.acquire({ key: 'b', signal: controller.signal });
    controller.abort('gone');
    await expect(left).rejects.toBe('gone');
    expect(limiter.stats()).toMatchObject({ allowedTotal: 3, waitedTotal: 1, leftTotal: 1, waiting: 0 });
  });

  it('hold still for a closed limiter', async () => {
    const { limiter } = setUp();
    await limiter.close();
    await limiter.executeOutcome(() => 1);
    expect(limiter.stats()).toMatchObject({ allowedTotal: 0, refusedTotal: 0 });
  });
});

describe('as a policy', () => {
  it('refuses at once by default and waits up to maxWaitMs where asked to', async () => {
    const strict = setUp().limiter;
    expect(await strict.execute(() => 1)).toBe(1);
    expect(await strict.executeOutcome(() => 1)).toMatchObject({
      status: 'rejected',
      error: { code: 'HOTPATH_RATE_LIMITED', retryAfterMs: expect.any(Number) },
    });
    const { clock, limiter } = setUp({ maxWaitMs: 150 });
    await limiter.execute(() => 1, { key: 'k' });
    const waited = limiter.execute(() => clock.now(), { key: 'k' });
    await expect(limiter.execute(() => 2, { key: 'k' })).rejects.toMatchObject({
      code: 'HOTPATH_RATE_LIMITED',
      retryAfterMs: 200,
    });
    expect(clock.now()).toBe(0);
    await clock.advance(200);
    expect(await waited).toBe(100);
  });
});

import { GovernanceError } from '@hotpath/core';
import { createVirtualClock } from '@hotpath/core/testing';
import { describe, expect, it } from 'vitest';
import {
  type ChaosOptions,
  chaos,
  fallback,
  loadShed,
  pipeline,
  rateLimitHeaders,
  registry,
  retry,
  timeout,
} from '../../src/index.ts';

const failure = new Error('failed');

describe('fallback', () => {
  it('stands in for what it handles, and only for that', async () => {
    const policy = fallback((error) => `instead of ${(error as Error).message}`, {
      handleIf: (error) => error === failure,
    });
    expect(await policy.execute(() => Promise.reject(failure))).toBe('instead of failed');
    expect(await policy.execute(() => 'value')).toBe('value');
    await expect(policy.execute(() => Promise.reject(new Error('other')))).rejects.toThrow('other');
    expect(policy.stats()).toMatchObject({ usedTotal: 1, failedTotal: 0 });
  });

  it('never stands in for governance, nor for a caller who has left', async () => {
    const policy = fallback(() => 'instead');
    const refused = new GovernanceError('HOTPATH_GOVERNANCE', 'not bound');
    await expect(policy.execute(() => Promise.reject(refused))).rejects.toBe(refused);
    const controller = new AbortController();
    const call = policy.execute(() => Promise.reject(failure), { signal: controller.signal });
    controller.abort();
    await expect(call).rejects.toBe(failure);
  });

  it('throws what it throws itself', async () => {
    const policy = fallback(() => {
      throw new Error('worse');
    });
    await expect(policy.execute(() => Promise.reject(failure))).rejects.toThrow('worse');
    expect(policy.stats().failedTotal).toBe(1);
  });
});

describe('loadShed', () => {
  async function lateBy(lateMs: number) {
    const clock = createVirtualClock();
    let nowMs = 0;
    // A loop that is late: its timers fire when they are due, and time has moved on further.
    const lateClock = { ...clock, now: () => clock.now() + nowMs };
    const policy = loadShed({ startMs: 50, fullMs: 140, sampleMs: 20, clock: lateClock });
    await policy.execute(() => 1, { priority: 0 });
    nowMs = lateMs;
    return { policy, clock };
  }

  it.each([
    [0, []],
    [55, [9]],
    [95, [5, 6, 7, 8, 9]],
    [160, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
  ])('sheds the least urgent first: at %i ms of delay', async (delayMs, shed) => {
    // The sample is due 20 ms after the first call.
    const { policy } = await lateBy(delayMs + 20);
    const refused: number[] = [];
    for (let priority = 0; priority < 10; priority++) {
      const outcome = await policy.executeOutcome(() => 1, { priority });
      if (outcome.status === 'rejected') refused.push(priority);
    }
    expect(refused).toEqual(shed);
    expect(policy.stats().shedTotal).toBe(shed.length);
  });

  it('stops measuring when nobody calls, and stops at close', async () => {
    const clock = createVirtualClock();
    const policy = loadShed({ sampleMs: 20, clock });
    await policy.execute(() => 1);
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(20 * 60);
    expect(clock.pendingTimers).toBe(0);
    await policy.execute(() => 1);
    await policy.close();
    expect(clock.pendingTimers).toBe(0);
    await expect(policy.execute(() => 1)).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
  });

  it('goes on measuring while calls come, and knows nothing of a loop that it did not watch', async () => {
    const clock = createVirtualClock();
    // Every timer of 20 ms fires 100 ms late.
    const lateClock = { ...clock, now: () => 6 * clock.now() };
    const policy = loadShed({ sampleMs: 20, clock: lateClock });
    for (let call = 0; call < 5; call++) {
      await policy.executeOutcome(() => 1, { priority: 0 });
      await clock.advance(20 * 40);
      expect(clock.pendingTimers).toBe(1);
    }
    expect(policy.delayMs).toBeCloseTo(100);
    await clock.advance(20 * 60);
    expect(clock.pendingTimers).toBe(0);
    expect(policy.delayMs).toBe(0);
    expect(await policy.execute(() => 1, { priority: 9 })).toBe(1);
  });

  it('sheds on a loop that is really blocked', async () => {
    const policy = loadShed({ startMs: 20, fullMs: 30, sampleMs: 1 });
    await policy.execute(() => 1);
    const endMs = performance.now() + 60;
    while (performance.now() < endMs);
    await expect(policy.execute(() => 1)).rejects.toMatchObject({ code: 'HOTPATH_LOAD_SHED' });
    await policy.close();
  });
});

describe('chaos', () => {
  function setUp(options: ChaosOptions) {
    const clock = createVirtualClock();
    return { clock, policy: chaos({ clock, ...options }) };
  }

  it('does nothing unless armed, and again nothing afterwards', async () => {
    const { policy } = setUp({ errorRate: 1 });
    expect(await policy.execute(() => 1)).toBe(1);
    const calm = policy.arm();
    const again = policy.arm();
    await expect(policy.execute(() => 1)).rejects.toMatchObject({ code: 'HOTPATH_CHAOS' });
    calm();
    calm();
    expect(policy.armed).toBe(true);
    again();
    expect(await policy.execute(() => 1)).toBe(1);
  });

  it('hurts at its rates, and the same way for the same seed', async () => {
    const series = async (seed: number): Promise<string> => {
      const { policy } = setUp({ errorRate: 0.3, seed });
      policy.arm();
      let text = '';
      for (let call = 0; call < 1_000; call++) text += (await policy.executeOutcome(() => 1)).status[0];
      return text;
    };
    const first = await series(7);
    expect(first).toBe(await series(7));
    expect(first).not.toBe(await series(8));
    const failed = first.split('r').length - 1;
    expect(failed).toBeGreaterThan(250);
    expect(failed).toBeLessThan(350);
  });

  it('keeps within its blast radius: always the same keys', async () => {
    const { policy } = setUp({ errorRate: 1, blastRadius: 0.1 });
    policy.arm();
    const hurt = async (): Promise<string[]> => {
      const keys: string[] = [];
      for (let key = 0; key < 1_000; key++) {
        if ((await policy.executeOutcome(() => 1, { key: `k${key}` })).status !== 'ok') keys.push(`k${key}`);
      }
      return keys;
    };
    const first = await hurt();
    expect(first.length).toBeGreaterThan(60);
    expect(first.length).toBeLessThan(140);
    expect(await hurt()).toEqual(first);
  });

  it('delays and hangs, and lets go at an abort, when calmed and at close', async () => {
    const { clock, policy } = setUp({ latencyRate: 1, latencyMs: 500 });
    const calm = policy.arm();
    const delayed = policy.execute(() => clock.now());
    await clock.advance(500);
    expect(await delayed).toBe(500);
    const released = policy.execute(() => clock.now());
    calm();
    expect(await released).toBe(500);

    const hanging = setUp({ hangRate: 1, maxHangMs: 10_000 });
    const end = hanging.policy.arm();
    const guarded = expect(
      pipeline(timeout(50, { clock: hanging.clock, tickMs: 1 }), hanging.policy).execute(() => 1),
    ).rejects.toMatchObject({ code: 'HOTPATH_TIMEOUT' });
    const calmed = expect(hanging.policy.execute(() => 1)).rejects.toMatchObject({ code: 'HOTPATH_CHAOS' });
    await hanging.clock.advance(51);
    await guarded;
    expect(hanging.policy.stats().held).toBe(1);
    end();
    await calmed;
    hanging.policy.arm();
    const closed = expect(hanging.policy.execute(() => 1)).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
    await hanging.policy.close();
    await closed;
    expect(hanging.policy.stats().held).toBe(0);
  });

  it('drives the policies around it', async () => {
    const { clock, policy } = setUp({ errorRate: 0.5, seed: 3 });
    policy.arm();
    const whole = pipeline(retry({ attempts: 10, backoff: () => 1, clock, budget: undefined }), policy);
    const calls = Promise.all(Array.from({ length: 50 }, () => whole.execute(() => 'through')));
    await clock.advance(100);
    expect(new Set(await calls)).toEqual(new Set(['through']));
  });

  it('checks its options', () => {
    expect(() => chaos({ errorRate: 0.6, hangRate: 0.6 })).toThrow('at most 1');
    expect(() => chaos({ errorRate: 5 })).toThrow("'errorRate'");
  });
});

describe('registry', () => {
  it('makes each entry once, and evicts what was not used for long', () => {
    const evicted: string[] = [];
    const things = registry((key) => ({ key }), { maxEntries: 3, onEvict: (key) => evicted.push(key) });
    const first = things.get('a');
    things.get('b');
    things.get('c');
    expect(things.get('a')).toBe(first);
    things.get('d');
    expect(evicted).toEqual(['b']);
    expect(things.peek('a')).toBe(first);
    expect(things.peek('b')).toBeUndefined();
    expect(things.stats()).toEqual({ size: 3, createdTotal: 4, evictedTotal: 1 });
  });

  it('stays bounded, also when everything is in use', () => {
    const things = registry((key) => key, { maxEntries: 10 });
    for (let round = 0; round < 100; round++) {
      for (let key = 0; key < 10; key++) things.get(`k${round}-${key}`);
      for (let key = 0; key < 10; key++) things.get(`k${round}-${key}`);
    }
    expect(things.size).toBe(10);
  });

  it('keeps no entry that could not be made, and one for a key that its own making asks for', () => {
    const things = registry((key) => {
      if (key === 'bad') throw failure;
      return key === 'outer'
        ? (things.peek('outer') ?? { nested: things.get('inner') })
        : { nested: undefined };
    }) as ReturnType<typeof registry<{ nested: unknown }>>;
    expect(() => things.get('bad')).toThrow(failure);
    expect(things.size).toBe(0);
    things.get('outer');
    expect([...things.entries()].map(([key]) => key).sort()).toEqual(['inner', 'outer']);
  });

  it('closes what can be closed', async () => {
    let closed = 0;
    const things = registry(() => ({ close: async () => void closed++ }));
    things.get('a');
    things.get('b');
    await things.close();
    expect(closed).toBe(2);
    expect(things.size).toBe(0);
    expect(() => things.get('a')).toThrow(expect.objectContaining({ code: 'HOTPATH_CLOSED' }));
    expect(things.stats()).toEqual({ size: 0, createdTotal: 2, evictedTotal: 0 });
    await things.close();
    expect(closed).toBe(2);
    expect(() => registry('no' as never)).toThrow('function');
    expect(() => registry(() => 1, { maxEntries: 0 })).toThrow("'maxEntries'");
  });
});

describe('rateLimitHeaders', () => {
  const policy = { name: 'per-client', quota: 100, windowMs: 60_000 };

  it('has the two fields of the draft, and Retry-After for a refusal', () => {
    const allowed = { allowed: true, remaining: 42, retryAfterMs: 0, resetMs: 1_500 };
    expect(rateLimitHeaders(allowed, policy)).toEqual({
      'RateLimit-Policy': '"per-client";q=100;w=60',
      RateLimit: '"per-client";r=42;t=2',
    });
    const refused = { allowed: false, remaining: 0, retryAfterMs: 10, resetMs: 60_000 };
    expect(rateLimitHeaders(refused, policy)).toMatchObject({
      RateLimit: '"per-client";r=0;t=60',
      'Retry-After': '1',
    });
    const never = { ...refused, retryAfterMs: Number.POSITIVE_INFINITY };
    expect(rateLimitHeaders(never, policy)).not.toHaveProperty('Retry-After');
  });

  it.each(['a"b', 'a\\b', 'a\nb', 'é', ''])('refuses the name %j', (name) => {
    const admission = { allowed: true, remaining: 1, retryAfterMs: 0, resetMs: 0 };
    expect(() => rateLimitHeaders(admission, { ...policy, name })).toThrow("'name'");
  });
});

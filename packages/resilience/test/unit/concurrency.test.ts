import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { getEventListeners } from 'node:events';
import { TimeoutError } from '@hotpath/core';
import { createVirtualClock } from '@hotpath/core/testing';
import { describe, expect, it } from 'vitest';
import { adaptiveLimit, bulkhead, pipeline, timeout } from '../../src/index.ts';
import { aimd, gradient2, vegas } from '../../src/internal/limit-algorithms.ts';

function held() {
  const ends: (() => void)[] = [];
  let running = 0;
  let most = 0;
  return {
    ends,
    most: () => most,
    work: (value?: number) => () => {
      most = Math.max(most, ++running);
      return new Promise<number | undefined>((resolve) => {
        ends.push(() => {
          running--;
          resolve(value);
        });
      });
    },
  };
}

describe('bulkhead', () => {
  it('never runs 3 at a limit of 2', async () => {
    const { ends, most, work } = held();
    const policy = bulkhead({ limit: 2, maxWaiting: 100 });
    const calls = Array.from({ length: 50 }, () => policy.execute(work()));
    for (let ended = 0; ended < 50; ended++) {
      ends[ended]?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(calls);
    expect(most()).toBe(2);
    expect(policy.stats()).toMatchObject({ inFlight: 0, waiting: 0, admittedTotal: 50 });
  });

  it('lets in by priority, and gives a place back after a failure', async () => {
    const policy = bulkhead({ limit: 1, maxWaiting: 10 });
    const order: number[] = [];
    const first = policy.execute(() => Promise.reject(new Error('failed')));
    const rest = [9, 3, 5, 3].map((priority, index) =>
      policy.execute(() => order.push(priority * 10 + index), { priority }),
    );
    await expect(first).rejects.toThrow('failed');
    await Promise.all(rest);
    expect(order).toEqual([31, 33, 52, 90]);
  });

  it('rejects when full, after too long a wait, for a caller who leaves, and at close', async () => {
    const clock = createVirtualClock();
    const { ends, work } = held();
    const policy = bulkhead({ limit: 1, maxWaiting: 2, maxWaitMs: 100, clock });
    const running = policy.execute(work());
    const controller = new AbortController();
    const reason = new Error('left');
    const left = expect(policy.execute(work(), { signal: controller.signal })).rejects.toBe(reason);
    const late = expect(policy.execute(work())).rejects.toMatchObject({ code: 'HOTPATH_BULKHEAD_WAIT' });
    await expect(policy.execute(work())).rejects.toMatchObject({ code: 'HOTPATH_BULKHEAD_FULL' });
    controller.abort(reason);
    await left;
    await clock.advance(101);
    await late;
    const closed = expect(policy.execute(work())).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
    await policy.close();
    await closed;
    ends[0]?.();
    await running;
    await expect(policy.execute(work())).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
    expect(policy.stats()).toMatchObject({ inFlight: 0, waiting: 0, rejectedTotal: 2 });
  });

  it('does not wait beyond the deadline of a timeout around it', async () => {
    const clock = createVirtualClock();
    const { work } = held();
    const inner = bulkhead({ limit: 1, maxWaiting: 5, maxWaitMs: 60_000, clock });
    const policy = pipeline(timeout(50, { clock, tickMs: 1 }), inner);
    const calls = [policy.executeOutcome(work()), policy.executeOutcome(work())];
    await clock.advance(60);
    const outcomes = await Promise.all(calls);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(inner.stats().waiting).toBe(0);
  });

  it('listens to the signal of who waits only until it goes in', async () => {
    const { ends, work } = held();
    const policy = bulkhead({ limit: 1, maxWaiting: 1 });
    const { signal } = new AbortController();
    const calls = [policy.execute(work()), policy.execute(work(), { signal })];
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    ends[0]?.();
    await calls[0];
    await Promise.resolve();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    ends[1]?.();
    await Promise.all(calls);
  });

  it.each([2.5, -1, 10])('refuses the priority %s by name, when it matters', async (priority) => {
    const { work } = held();
    const policy = bulkhead({ limit: 1, maxWaiting: 5 });
    void policy.execute(work());
    await expect(policy.execute(work(), { priority })).rejects.toThrow("'priority'");
  });

  it('needs a limit', () => {
    expect(() => bulkhead({} as { limit: number })).toThrow("'limit'");
  });
});

const calm = { rttMs: 10, dropped: false };

describe('the algorithms of an adaptive limit', () => {
  it('AIMD: 20 with 10 in flight becomes 21, 30 with a drop becomes 27', () => {
    expect(aimd().next(20, { ...calm, inFlight: 10 })).toBe(21);
    expect(aimd().next(30, { ...calm, inFlight: 30, dropped: true })).toBe(27);
  });

  it.each([
    ['aimd', aimd],
    ['vegas', vegas],
    ['gradient2', gradient2],
  ])('%s moves only under load', (_, make) => {
    const algorithm = make();
    algorithm.next(100, { ...calm, inFlight: 49 });
    expect(algorithm.next(100, { ...calm, inFlight: 49 })).toBe(100);
    expect(algorithm.next(100, { ...calm, inFlight: 50 })).toBeGreaterThan(100);
    expect(algorithm.next(100, { ...calm, inFlight: 100, dropped: true })).toBeLessThan(100);
  });

  it.each([
    ['vegas', vegas],
    ['gradient2', gradient2],
  ])('%s grows while calls are as fast as ever, and shrinks when they queue', (_, make) => {
    const algorithm = make();
    let limit = 20;
    for (let window = 0; window < 50; window++) limit = algorithm.next(limit, { ...calm, inFlight: limit });
    expect(limit).toBeGreaterThan(40);
    const grown = limit;
    for (let window = 0; window < 20; window++) {
      limit = Math.max(1, algorithm.next(limit, { rttMs: 100, dropped: false, inFlight: limit }));
    }
    expect(limit).toBeLessThan(grown - 20);
  });

  it('gradient2 adds no headroom for a queue while there is one', () => {
    const algorithm = gradient2();
    for (let window = 0; window < 20; window++) algorithm.next(50, { ...calm, inFlight: 50 });
    expect(algorithm.next(2, { rttMs: 1_000, dropped: false, inFlight: 2 })).toBeLessThan(2);
  });

  it('vegas measures the idle time anew now and then', () => {
    const algorithm = vegas();
    algorithm.next(1, { rttMs: 1, dropped: false, inFlight: 1 });
    // The dependency moved away: 10 ms are the new normal.
    let limit = 10;
    for (let window = 0; window < 1_000; window++) {
      limit = Math.max(1, algorithm.next(limit, { ...calm, inFlight: limit }));
    }
    expect(limit).toBeGreaterThan(10);
  });
});

describe('adaptiveLimit', () => {
  it('counts timeouts as drops, other failures as nothing', async () => {
    const clock = createVirtualClock();
    const policy = adaptiveLimit({
      algorithm: 'aimd',
      initialLimit: 10,
      windowMs: 0,
      minimumSamples: 1,
      clock,
    });
    await policy.executeOutcome(() => Promise.reject(new Error('404')));
    expect(policy.stats()).toMatchObject({ limit: 10, droppedTotal: 0 });
    await policy.executeOutcome(() => Promise.reject(new TimeoutError('HOTPATH_TIMEOUT', 'late')));
    expect(policy.stats()).toMatchObject({ limit: 9, droppedTotal: 1 });
  });

  it('lets those who wait in when the limit rises, and rejects beyond the room', async () => {
    const clock = createVirtualClock();
    const { ends, work } = held();
    const policy = adaptiveLimit({
      algorithm: 'aimd',
      initialLimit: 1,
      maxWaiting: 3,
      windowMs: 0,
      minimumSamples: 1,
      clock,
    });
    const calls = Array.from({ length: 4 }, () => policy.execute(work()));
    await expect(policy.execute(work())).rejects.toMatchObject({ code: 'HOTPATH_CONCURRENCY_LIMITED' });
    expect(policy.stats()).toMatchObject({ inFlight: 1, waiting: 3 });
    ends[0]?.();
    await clock.settle();
    expect(policy.stats()).toMatchObject({ limit: 2, inFlight: 2, waiting: 1 });
    for (let index = 1; index < 4; index++) {
      ends[index]?.();
      await clock.settle();
    }
    await Promise.all(calls);
    expect(policy.stats().inFlight).toBe(0);
  });

  it('lets nobody overtake who waits, not even who hears first that the limit has risen', async () => {
    const { ends, work } = held();
    const policy = adaptiveLimit({
      algorithm: 'aimd',
      initialLimit: 1,
      maxWaiting: 3,
      windowMs: 0,
      minimumSamples: 1,
      clock: createVirtualClock(),
    });
    const order: string[] = [];
    const call = (who: string) =>
      policy.execute(() => {
        order.push(who);
        return work()();
      });
    const calls = [call('first'), call('waiting')];
    const onRise = () => {
      unsubscribe('hotpath:resilience:limit', onRise);
      calls.push(call('newcomer'));
    };
    subscribe('hotpath:resilience:limit', onRise);
    ends[0]?.();
    await calls[0];
    await Promise.resolve();
    expect(order).toEqual(['first', 'waiting', 'newcomer']);
    for (const end of ends) end();
    await Promise.all(calls);
  });

  it('moves at most once a window', async () => {
    const clock = createVirtualClock();
    const policy = adaptiveLimit({
      algorithm: 'aimd',
      initialLimit: 10,
      windowMs: 1_000,
      minimumSamples: 1,
      clock,
    });
    const drop = () => Promise.reject(new TimeoutError('HOTPATH_TIMEOUT', 'late'));
    await clock.advance(1_000);
    for (let call = 0; call < 20; call++) await policy.executeOutcome(drop);
    expect(policy.stats().limit).toBe(9);
    await clock.advance(1_000);
    await policy.executeOutcome(drop);
    expect(policy.stats().limit).toBe(8);
  });

  it('checks its options', () => {
    expect(() => adaptiveLimit({ minLimit: 10, maxLimit: 5 })).toThrow("'maxLimit'");
    expect(() => adaptiveLimit({ initialLimit: 0 })).toThrow("'initialLimit'");
    expect(() => adaptiveLimit({ algorithm: 'magic' as 'aimd' })).toThrow("'algorithm'");
  });
});

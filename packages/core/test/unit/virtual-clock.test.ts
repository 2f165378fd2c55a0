import { describe, expect, test } from 'vitest';
import { createVirtualClock } from '../../src/testing.ts';

describe('createVirtualClock', () => {
  test('stands still until it is moved', async () => {
    const clock = createVirtualClock();
    expect(clock.now()).toBe(0);
    expect(clock.wallTime()).toBe(Date.UTC(2026, 0, 1));
    await clock.settle();
    expect(clock.now()).toBe(0);
    await clock.advance(3_600_000);
    expect(clock.now()).toBe(3_600_000);
    expect(clock.wallTime()).toBe(Date.UTC(2026, 0, 1, 1));
  });

  test('starts where it is told', () => {
    const clock = createVirtualClock({ startMs: 50, wallStartMs: 1_000 });
    expect([clock.now(), clock.wallTime()]).toEqual([50, 1_000]);
  });

  test('fires timers at their own time, in order, those of one time as they were armed', async () => {
    const clock = createVirtualClock();
    const fired: string[] = [];
    const arm = (name: string, delayMs: number) =>
      clock.setTimeout(() => fired.push(`${name}@${clock.now()}`), delayMs);
    arm('c', 30);
    arm('a', 10);
    arm('b1', 20);
    arm('b2', 20);
    await clock.advance(20);
    expect(fired).toEqual(['a@10', 'b1@20', 'b2@20']);
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(10);
    expect(fired.at(-1)).toBe('c@30');
  });

  test('lets promises that a timer settles run before the next timer', async () => {
    const clock = createVirtualClock();
    const seen: string[] = [];
    clock.setTimeout(() => {
      Promise.resolve()
        .then(() => {})
        .then(() => seen.push('promise'));
    }, 1);
    clock.setTimeout(() => seen.push('timer'), 2);
    await clock.advance(5);
    expect(seen).toEqual(['promise', 'timer']);
  });

  test('timers armed on the way fire within the same advance', async () => {
    const clock = createVirtualClock();
    const times: number[] = [];
    const again = (): void => {
      times.push(clock.now());
      if (times.length < 4) clock.setTimeout(again, 5);
    };
    clock.setTimeout(again, 5);
    await clock.advance(100);
    expect(times).toEqual([5, 10, 15, 20]);
  });

  test('cleared timers never fire; clearing twice or nothing does no harm', async () => {
    const clock = createVirtualClock();
    let fired = 0;
    const timer = clock.setTimeout(() => fired++, 5);
    timer.unref();
    timer.ref();
    clock.clearTimeout(timer);
    clock.clearTimeout(timer);
    clock.clearTimeout(undefined);
    await clock.advance(10);
    expect(fired).toBe(0);
  });

  test('a delay that is negative or no number counts as 0', async () => {
    const clock = createVirtualClock();
    let fired = 0;
    clock.setTimeout(() => fired++, -5);
    clock.setTimeout(() => fired++, Number.NaN);
    await clock.advance(0);
    expect(fired).toBe(2);
  });

  test('a shift of the wall clock leaves monotonic time and timers alone', async () => {
    const clock = createVirtualClock({ wallStartMs: 1_000_000 });
    let fired = false;
    clock.setTimeout(() => {
      fired = true;
    }, 10);
    clock.shiftWallTime(-500_000);
    expect([clock.now(), clock.wallTime(), fired]).toEqual([0, 500_000, false]);
    await clock.advance(10);
    expect(fired).toBe(true);
  });

  test('overlapping advances never turn time back', async () => {
    const clock = createVirtualClock();
    await Promise.all([clock.advance(10), clock.advance(5)]);
    expect(clock.now()).toBe(10);
  });

  test.each([-1, Number.NaN])('refuses to advance by %d', async (byMs) => {
    await expect(createVirtualClock().advance(byMs)).rejects.toThrow(
      new RangeError(`advance: byMs must be at least 0, got ${byMs}`),
    );
  });

  test('rejects with what a callback throws, at its time', async () => {
    const clock = createVirtualClock();
    clock.setTimeout(() => {
      throw new Error('boom');
    }, 5);
    await expect(clock.advance(10)).rejects.toThrow('boom');
    expect(clock.now()).toBe(5);
  });
});

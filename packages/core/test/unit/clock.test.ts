import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { seededRandom, systemClock, systemRandom } from '../../src/index.ts';

const LONGEST_NATIVE_DELAY_MS = 2 ** 31 - 1;

describe('systemClock', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('now is the monotonic time, wallTime the wall clock', () => {
    expect(Math.abs(systemClock.now() - performance.now())).toBeLessThan(1_000);
    expect(Math.abs(systemClock.wallTime() - Date.now())).toBeLessThan(1_000);
  });

  test('a delay above 2^31 ms is waited for in full, in pieces', () => {
    const called = vi.fn();
    const delayMs = 3 * LONGEST_NATIVE_DELAY_MS + 12_345;
    systemClock.setTimeout(called, delayMs);
    for (let piece = 0; piece < 3; piece++) vi.advanceTimersByTime(LONGEST_NATIVE_DELAY_MS);
    vi.advanceTimersByTime(12_344);
    expect(called).not.toHaveBeenCalled();
    vi.advanceTimersByTime(10);
    expect(called).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('a long timer can be cleared in any of its pieces', () => {
    const called = vi.fn();
    const timer = systemClock.setTimeout(called, 3 * LONGEST_NATIVE_DELAY_MS);
    vi.advanceTimersByTime(LONGEST_NATIVE_DELAY_MS + 5);
    systemClock.clearTimeout(timer);
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(5 * LONGEST_NATIVE_DELAY_MS);
    expect(called).not.toHaveBeenCalled();
  });

  test.each([true, false])('a long timer keeps being ref’d or not (%s) through its pieces', (isRef) => {
    const armed = vi.spyOn(globalThis, 'setTimeout');
    const timer = systemClock.setTimeout(() => {}, 3 * LONGEST_NATIVE_DELAY_MS);
    timer.unref();
    if (isRef) timer.ref();
    for (let piece = 0; piece < 2; piece++) vi.advanceTimersByTime(LONGEST_NATIVE_DELAY_MS);
    expect(armed.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef())).toEqual([
      isRef,
      isRef,
      isRef,
    ]);
    armed.mockRestore();
    systemClock.clearTimeout(timer);
  });

  test('an endless delay never comes', () => {
    const called = vi.fn();
    const timer = systemClock.setTimeout(called, Number.POSITIVE_INFINITY);
    for (let piece = 0; piece < 20; piece++) vi.advanceTimersByTime(LONGEST_NATIVE_DELAY_MS);
    expect(called).not.toHaveBeenCalled();
    systemClock.clearTimeout(timer);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([0, -5, Number.NaN])('a delay of %d comes as soon as possible, in another turn', (delayMs) => {
    const called = vi.fn();
    systemClock.setTimeout(called, delayMs);
    expect(called).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(called).toHaveBeenCalledTimes(1);
  });

  test('clearing nothing, a fired timer, or one twice does no harm', () => {
    const timer = systemClock.setTimeout(() => {}, 1);
    vi.advanceTimersByTime(5);
    systemClock.clearTimeout(timer);
    systemClock.clearTimeout(timer);
    systemClock.clearTimeout(undefined);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('seededRandom', () => {
  test('gives the same series for the same seed, and another for another', () => {
    const series = (seed: number) => {
      const random = seededRandom(seed);
      return Array.from({ length: 50 }, random);
    };
    expect(series(42)).toEqual(series(42));
    expect(series(42)).toEqual(series(42 + 2 ** 32));
    expect(series(42)).not.toEqual(series(43));
  });

  test('stays in [0, 1) and spreads evenly', () => {
    const random = seededRandom(7);
    const draws = Array.from({ length: 100_000 }, random);
    expect(draws.every((value) => value >= 0 && value < 1)).toBe(true);
    const tenths = new Array<number>(10).fill(0);
    for (const value of draws) tenths[Math.floor(value * 10)]!++;
    for (const count of tenths) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  });

  test('systemRandom is the machine’s own', () => {
    expect(systemRandom).toBe(Math.random);
  });
});

import { getEventListeners } from 'node:events';
import { describe, expect, test, vi } from 'vitest';
import {
  abortable,
  deadlineError,
  isHotpathError,
  linkSignals,
  sleep,
  TimeoutError,
} from '../../src/index.ts';
import { createVirtualClock } from '../../src/testing.ts';

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

describe('linkSignals', () => {
  test('aborts with the reason of the first source that does, untouched, and unties the others', () => {
    const first = new AbortController();
    const second = new AbortController();
    const linked = linkSignals({ signals: [first.signal, undefined, second.signal] });
    expect(linked.signal.aborted).toBe(false);
    const reason = { why: 'mine' };
    second.abort(reason);
    expect(linked.signal.reason).toBe(reason);
    first.abort(new Error('too late'));
    expect(linked.signal.reason).toBe(reason);
    expect([listeners(first.signal), listeners(second.signal)]).toEqual([0, 0]);
  });

  test('is aborted from the start when a source is, and ties nothing', () => {
    const clock = createVirtualClock();
    const source = new AbortController();
    const linked = linkSignals({ signals: [source.signal, AbortSignal.abort('gone')], timeoutMs: 5, clock });
    expect(linked.signal.reason).toBe('gone');
    expect(listeners(source.signal)).toBe(0);
    expect(clock.pendingTimers).toBe(0);
    linked[Symbol.dispose]();
  });

  test('aborts with a TimeoutError (HOTPATH_DEADLINE) when the time is over', async () => {
    const clock = createVirtualClock();
    const source = new AbortController();
    const linked = linkSignals({ signals: [source.signal], timeoutMs: 50, clock });
    await clock.advance(49);
    expect(linked.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(linked.signal.reason).toBeInstanceOf(TimeoutError);
    expect(isHotpathError(linked.signal.reason, 'HOTPATH_DEADLINE')).toBe(true);
    expect(linked.signal.reason.message).toBe('not done within 50 ms');
    expect(listeners(source.signal)).toBe(0);
  });

  test('a time of 0 is a time, not an absence', async () => {
    const clock = createVirtualClock();
    const linked = linkSignals({ timeoutMs: 0, clock });
    await clock.advance(0);
    expect(linked.signal.aborted).toBe(true);
  });

  test('leaves no listener and no timer behind once disposed, and the signal stays as it is', async () => {
    const clock = createVirtualClock();
    const source = new AbortController();
    for (let round = 0; round < 1_000; round++) {
      using linked = linkSignals({ signals: [source.signal, source.signal], timeoutMs: 1_000, clock });
      expect(linked.signal.aborted).toBe(false);
    }
    const linked = linkSignals({ signals: [source.signal], timeoutMs: 1_000, clock });
    expect(listeners(source.signal)).toBe(1);
    linked[Symbol.dispose]();
    linked[Symbol.dispose]();
    expect(listeners(source.signal)).toBe(0);
    expect(clock.pendingTimers).toBe(0);
    source.abort();
    await clock.advance(2_000);
    expect(linked.signal.aborted).toBe(false);
  });
});

describe('abortable', () => {
  test('settles as the promise does', async () => {
    const { signal } = new AbortController();
    await expect(abortable(Promise.resolve(1), signal)).resolves.toBe(1);
    await expect(abortable(Promise.reject(new Error('no')), signal)).rejects.toThrow('no');
    await expect(abortable(Promise.resolve(2), undefined)).resolves.toBe(2);
    expect(listeners(signal)).toBe(0);
  });

  test('rejects with the untouched reason as soon as the signal aborts, and drops what comes late', async () => {
    const controller = new AbortController();
    const work = Promise.withResolvers<number>();
    const waiting = abortable(work.promise, controller.signal);
    expect(listeners(controller.signal)).toBe(1);
    controller.abort('enough');
    await expect(waiting).rejects.toBe('enough');
    expect(listeners(controller.signal)).toBe(0);
    work.reject(new Error('late, and handled'));
    await createVirtualClock().settle();
  });

  test('rejects at once on an aborted signal, and handles the late rejection', async () => {
    const work = Promise.withResolvers<number>();
    await expect(abortable(work.promise, AbortSignal.abort('before'))).rejects.toBe('before');
    work.reject(new Error('late, and handled'));
    await createVirtualClock().settle();
  });

  test('a foreign promise whose then() throws is a rejection, and leaves no listener', async () => {
    const { signal } = new AbortController();
    const broken = {
      // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
      then(): never {
        throw new Error('broken then');
      },
    };
    await expect(abortable(broken as PromiseLike<number>, signal)).rejects.toThrow('broken then');
    await createVirtualClock().settle();
    expect(listeners(signal)).toBe(0);
  });
});

describe('sleep', () => {
  test('resolves after its delay, no earlier, and leaves nothing behind', async () => {
    const clock = createVirtualClock();
    const { signal } = new AbortController();
    const woken = vi.fn();
    const sleeping = sleep(100, { clock, signal }).then(woken);
    expect(listeners(signal)).toBe(1);
    await clock.advance(99);
    expect(woken).not.toHaveBeenCalled();
    await clock.advance(1);
    await sleeping;
    expect(listeners(signal)).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  test('rejects with the untouched reason as soon as the signal aborts, and disarms its timer', async () => {
    const clock = createVirtualClock();
    const controller = new AbortController();
    const sleeping = sleep(100, { clock, signal: controller.signal });
    controller.abort('woken');
    await expect(sleeping).rejects.toBe('woken');
    expect(clock.pendingTimers).toBe(0);
    expect(listeners(controller.signal)).toBe(0);
  });

  test('rejects at once on an aborted signal, and arms nothing', async () => {
    const clock = createVirtualClock();
    await expect(sleep(100, { clock, signal: AbortSignal.abort('before') })).rejects.toBe('before');
    expect(clock.pendingTimers).toBe(0);
  });
});

test('deadlineError names the time that is over', () => {
  expect(deadlineError(250)).toMatchObject({ code: 'HOTPATH_DEADLINE', message: 'not done within 250 ms' });
});

test('what is no signal or no time is a TypeError that names it, and leaves nothing behind', async () => {
  const clock = createVirtualClock();
  const good = new AbortController();
  for (const wrong of [null, 5, {}, 'signal'] as never[]) {
    const message = /signal must be an AbortSignal, got (null|5|an object|"signal")/;
    expect(() => linkSignals({ signals: [good.signal, wrong], clock })).toThrow(message);
    await expect(sleep(5, { signal: wrong, clock })).rejects.toThrow(message);
    // The promise's own rejection is nobody's any more.
    await expect(abortable(Promise.reject(new Error('late')), wrong)).rejects.toThrow(message);
  }
  for (const wrong of [Number.NaN, '5', null, {}] as never[]) {
    const message = /(timeoutMs|delayMs) must be a number, got (NaN|"5"|null|an object)/;
    expect(() => linkSignals({ signals: [good.signal], timeoutMs: wrong, clock })).toThrow(message);
    await expect(sleep(wrong, { signal: good.signal, clock })).rejects.toThrow(message);
  }
  await expect(sleep(undefined as never)).rejects.toThrow('sleep: delayMs must be a number, got undefined');
  expect([listeners(good.signal), clock.pendingTimers]).toEqual([0, 0]);
});

import { getEventListeners } from 'node:events';
import { RejectedError } from '@hotpath/core';
import { createVirtualClock } from '@hotpath/core/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  circuitBreaker,
  exponentialBackoff,
  parseRetryAfter,
  pipeline,
  type RetryOptions,
  retry,
  retryBudget,
  timeout,
} from '../../src/index.ts';

const failure = new Error('failed');

function setUp(options: RetryOptions = {}) {
  const clock = createVirtualClock();
  const startsMs: number[] = [];
  const policy = retry({ clock, attempts: 3, backoff: () => 100, ...options });
  const failing =
    (error: unknown = failure) =>
    () => {
      startsMs.push(clock.now());
      return Promise.reject(error);
    };
  return { clock, policy, startsMs, failing };
}

describe('exponentialBackoff', () => {
  it('never exceeds its maximum, nor overflows, whatever the attempt and the chance', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        fc.double({ min: 0, max: 0.999_999, noNaN: true }),
        fc.constantFrom('full' as const, 'equal' as const, 'none' as const),
        (attempt, chance, jitter) => {
          const backoff = exponentialBackoff({ baseMs: 1_000, maxMs: 30_000, jitter, random: () => chance });
          const delayMs = backoff(attempt);
          expect(delayMs).toBeGreaterThanOrEqual(0);
          expect(delayMs).toBeLessThanOrEqual(30_000);
          // The slow, obvious model: doubling by addition.
          let upperMs = 1_000;
          for (let each = 1; each < attempt; each++) upperMs = Math.min(30_000, upperMs + upperMs);
          const floor = { full: 0, equal: 0.5, none: 1 }[jitter];
          expect(delayMs).toBeCloseTo(upperMs * (floor + (1 - floor) * chance), 6);
        },
      ),
    );
    expect(exponentialBackoff({ baseMs: 0 })(5_000)).toBe(0);
  });
});

describe('retry', () => {
  it('tries as often as it says, then rethrows the last error untouched', async () => {
    const { clock, policy, startsMs } = setUp();
    const errors = [new Error('first'), new Error('second'), new Error('third')];
    const call = policy.execute(({ attempt }) => {
      startsMs.push(clock.now());
      return Promise.reject(errors[attempt - 1]);
    });
    const rejected = expect(call).rejects.toBe(errors[2]);
    await clock.advance(1_000);
    await rejected;
    expect(startsMs).toEqual([0, 100, 200]);
    expect(policy.stats()).toMatchObject({ retriesTotal: 2, givenUpTotal: 1, recoveredTotal: 0 });
  });

  it('gives the value of the first try that succeeds', async () => {
    const { clock, policy } = setUp();
    const call = policy.execute(({ attempt }) => {
      if (attempt < 3) throw failure;
      return attempt;
    });
    await clock.advance(1_000);
    expect(await call).toBe(3);
    expect(policy.stats()).toMatchObject({ recoveredTotal: 1, waiting: 0 });
  });

  it.each([
    ['retryAfterMs of the error', Object.assign(new Error(), { retryAfterMs: 700 })],
    ['a Retry-After header in seconds', Object.assign(new Error(), { headers: { 'retry-after': '1' } })],
    [
      'a Retry-After date in the headers of the response',
      Object.assign(new Error(), {
        response: { headers: new Headers({ 'retry-after': 'Thu, 01 Jan 2026 00:00:02 GMT' }) },
      }),
    ],
  ])('never tries earlier than %s asks for', async (_, error) => {
    const { clock, policy, startsMs, failing } = setUp({ attempts: 2 });
    const rejected = expect(policy.execute(failing(error))).rejects.toBe(error);
    await clock.advance(5_000);
    await rejected;
    expect(startsMs).toEqual([
      0,
      [700, 1_000, 2_000][['retryAfterMs' in error, 'headers' in error, true].indexOf(true)],
    ]);
  });

  it('gives up when it is asked to wait for too long', async () => {
    const { policy, failing } = setUp({ maxRetryAfterMs: 500 });
    const error = Object.assign(new Error(), { retryAfterMs: 501 });
    await expect(policy.execute(failing(error))).rejects.toBe(error);
    expect(policy.stats()).toMatchObject({ noTimeTotal: 1, retriesTotal: 0 });
  });

  it('does not retry what this library refused, nor what retryIf declines or throws on', async () => {
    const { policy } = setUp();
    const rejection = new RejectedError('HOTPATH_RATE_LIMITED', 'no');
    await expect(policy.execute(() => Promise.reject(rejection))).rejects.toBe(rejection);
    const broken = setUp({
      retryIf: () => {
        throw new Error('broken');
      },
    });
    await expect(broken.policy.execute(broken.failing())).rejects.toBe(failure);
    const declining = setUp({ retryIf: (_, attempt) => attempt < 2 });
    const rejected = expect(declining.policy.execute(declining.failing())).rejects.toBe(failure);
    await declining.clock.advance(1_000);
    await rejected;
    expect(declining.startsMs).toHaveLength(2);
  });

  it('tries again for a result that is not wanted, and gives the last one where none is better', async () => {
    const { clock, policy } = setUp({
      retryResultIf: (value) => (value as { status: number }).status >= 500,
    });
    const startsMs: number[] = [];
    const answering = (...statuses: number[]) =>
      policy.execute(({ attempt }) => {
        startsMs.push(clock.now());
        return {
          status: statuses[attempt - 1] as number,
          headers: { 'retry-after': attempt === 1 ? '1' : '0' },
        };
      });
    const better = answering(503, 500, 200);
    await clock.advance(5_000);
    expect(await better).toMatchObject({ status: 200 });
    // The first asked for a second, the other for nothing beyond the back-off.
    expect(startsMs).toEqual([0, 1_000, 1_100]);
    expect(policy.stats()).toMatchObject({
      failedFirstTotal: 1,
      retriesTotal: 2,
      recoveredTotal: 1,
      givenUpTotal: 0,
    });
    const never = answering(503, 502, 501);
    await clock.advance(5_000);
    expect(await never).toMatchObject({ status: 501 });
    expect(policy.stats()).toMatchObject({ retriesTotal: 4, recoveredTotal: 1, givenUpTotal: 1 });
    expect(await answering(404)).toMatchObject({ status: 404 });
    const broken = setUp({
      retryResultIf: () => {
        throw new Error('broken');
      },
    });
    expect(await broken.policy.execute(() => 5)).toBe(5);
  });

  it('does not begin a wait after which the deadline could not be met', async () => {
    const { clock, policy, startsMs, failing } = setUp({ attempts: 10 });
    const whole = pipeline(timeout(250, { clock, tickMs: 1 }), policy);
    const rejected = expect(whole.execute(failing())).rejects.toBe(failure);
    await clock.advance(210);
    await rejected;
    expect(startsMs).toEqual([0, 100, 200]);
    expect(policy.stats().noTimeTotal).toBe(1);
  });

  it('ends its wait at once when the caller leaves, when time is over, and at close', async () => {
    const budget = retryBudget({ minPerSecond: 100 });
    const { clock, policy, failing } = setUp({ backoff: () => 10_000, budget });
    const controller = new AbortController();
    const reason = new Error('left');
    const left = expect(policy.execute(failing(), { signal: controller.signal })).rejects.toBe(reason);
    await clock.settle();
    expect(policy.stats().waiting).toBe(1);
    controller.abort(reason);
    await left;
    const closed = expect(policy.execute(failing())).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
    await clock.settle();
    await policy.close();
    await closed;
    expect(policy.stats().waiting).toBe(0);
    expect(clock.pendingTimers).toBe(0);
    expect(budget.stats().reserved).toBe(0);
  });

  it('retries through an inner timeout, each try with its own signal', async () => {
    const { clock, policy } = setUp();
    const aborted: boolean[] = [];
    const whole = pipeline(policy, timeout(50, { clock, tickMs: 1 }));
    const call = whole.execute(({ signal, attempt }) => {
      if (attempt === 3) return 'done';
      return new Promise<string>(() => signal.addEventListener('abort', () => aborted.push(signal.aborted)));
    });
    await clock.advance(1_000);
    expect(await call).toBe('done');
    expect(aborted).toEqual([true, true]);
  });

  it('does not hammer an open circuit', async () => {
    const { clock, policy, startsMs, failing } = setUp({ attempts: 5 });
    const breaker = circuitBreaker({ clock, consecutiveFailures: 2 });
    const rejected = expect(pipeline(policy, breaker).execute(failing())).rejects.toMatchObject({
      code: 'HOTPATH_CIRCUIT_OPEN',
    });
    await clock.advance(10_000);
    await rejected;
    expect(startsMs).toHaveLength(2);
  });
});

describe('the wait between two tries', () => {
  it('listens to the signal for no longer than it lasts', async () => {
    const { clock, policy, failing } = setUp({ attempts: 3 });
    const { signal } = new AbortController();
    const call = policy.executeOutcome(failing(), { signal });
    await clock.settle();
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    await clock.advance(60_000);
    await call;
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('does not begin for a caller who has left while that was decided', async () => {
    const clock = createVirtualClock();
    const controller = new AbortController();
    const reason = new Error('left');
    const policy = retry({
      attempts: 2,
      backoff: () => 60_000,
      clock,
      retryIf: () => {
        controller.abort(reason);
        return true;
      },
    });
    await expect(policy.execute(() => Promise.reject(failure), { signal: controller.signal })).rejects.toBe(
      reason,
    );
    expect(policy.stats()).toMatchObject({ retriesTotal: 0, waiting: 0 });
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('a retry budget', () => {
  it('is shared by the calls, and reserved before the back-off', async () => {
    const clock = createVirtualClock();
    const budget = retryBudget({ ratio: 0.2, minPerSecond: 0, clock });
    const policy = retry({ attempts: 2, backoff: () => 5_000, budget, clock });
    let tries = 0;
    const calls = Array.from({ length: 100 }, () =>
      policy.executeOutcome(() => {
        tries++;
        return Promise.reject(failure);
      }),
    );
    await clock.advance(6_000);
    await Promise.all(calls);
    expect(tries).toBe(120);
    expect(policy.stats()).toMatchObject({ retriesTotal: 20, noBudgetTotal: 80 });
  });

  it('holds what a slow, obvious model holds', async () => {
    const step = fc.record({
      pauseMs: fc.oneof(fc.integer({ min: 0, max: 1_500 }), fc.constantFrom(8_999, 9_000, 10_000, 10_001)),
      act: fc.constantFrom('call' as const, 'reserve' as const, 'reserve' as const, 'release' as const),
      which: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80, size: 'max' }), async (steps) => {
        const clock = createVirtualClock();
        const budget = retryBudget({ ratio: 0.5, minPerSecond: 0.3, windowMs: 10_000, clock });
        let callSeconds: number[] = [];
        let held: { second: number; reservation: number }[] = [];
        let made: typeof held = [];
        for (const { pauseMs, act, which } of steps) {
          await clock.advance(pauseMs);
          const second = Math.floor(clock.now() / 1_000);
          callSeconds = callSeconds.filter((each) => each > second - 10);
          held = held.filter((each) => each.second > second - 10);
          const available = 3 + 0.5 * callSeconds.length - held.length;
          if (act === 'call') {
            budget.recordCall();
            callSeconds.push(second);
          } else if (act === 'reserve') {
            const reservation = budget.tryReserve();
            expect(reservation !== 0).toBe(available >= 1);
            if (reservation !== 0) {
              held.push({ second, reservation });
              made.push(held.at(-1) as (typeof held)[0]);
            }
          } else if (made.length > 0) {
            const given = made[which % made.length] as (typeof made)[0];
            budget.release(given.reservation);
            made = made.filter((each) => each !== given);
            held = held.filter((each) => each !== given);
          }
          expect(budget.stats()).toMatchObject({ calls: callSeconds.length, reserved: held.length });
        }
      }),
      { numRuns: 200 },
    );
  });

  it('takes back what was reserved and not used', () => {
    const budget = retryBudget({ ratio: 0, minPerSecond: 0.1 });
    const reservation = budget.tryReserve();
    expect(reservation).toBeGreaterThan(0);
    expect(budget.tryReserve()).toBe(0);
    budget.release(reservation);
    expect(budget.tryReserve()).toBeGreaterThan(0);
    expect(budget.stats()).toMatchObject({ reservedTotal: 1, deniedTotal: 1 });
  });

  it("gives nobody else's reservation back for one whose window has passed, nor for one it never gave", async () => {
    const clock = createVirtualClock();
    const budget = retryBudget({ ratio: 0, minPerSecond: 0.1, clock });
    const old = budget.tryReserve();
    await clock.advance(10_000);
    const held = budget.tryReserve();
    expect(held).toBeGreaterThan(0);
    for (const wrong of [old, 0, -1, held + 10, held - 0.5, Number.NaN]) budget.release(wrong);
    expect(budget.tryReserve()).toBe(0);
    expect(budget.stats()).toEqual({
      calls: 0,
      reserved: 1,
      available: 0,
      reservedTotal: 2,
      deniedTotal: 1,
    });
    for (let time = 0; time < 2; time++) budget.release(held);
    expect(budget.stats()).toMatchObject({ reserved: 0, available: 1, reservedTotal: 1 });
  });

  it('gets back the reservation of each call that left its back-off, and only that', async () => {
    const clock = createVirtualClock();
    const budget = retryBudget({ ratio: 0, minPerSecond: 0.2, clock });
    const policy = retry({ attempts: 2, backoff: () => 12_000, budget, clock });
    await clock.advance(3_000);
    const controller = new AbortController();
    const leaver = policy.executeOutcome(() => Promise.reject(failure), { signal: controller.signal });
    await clock.advance(11_000);
    const stayer = policy.executeOutcome(() => Promise.reject(failure));
    await clock.settle();
    controller.abort();
    await leaver;
    expect(budget.stats()).toMatchObject({ reserved: 1, available: 1 });
    const sooner = new AbortController();
    const second = policy.executeOutcome(() => Promise.reject(failure), { signal: sooner.signal });
    await clock.settle();
    expect(budget.stats()).toMatchObject({ reserved: 2, available: 0 });
    await clock.advance(3_000);
    sooner.abort();
    await second;
    expect(budget.stats()).toMatchObject({ reserved: 1, available: 1 });
    await clock.advance(12_000);
    await stayer;
  });
});

describe('parseRetryAfter', () => {
  it.each([
    ['120', 120_000],
    [' 0 ', 0],
    ['Thu, 01 Jan 2026 00:00:05 GMT', 5_000],
    ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
    ['-5', undefined],
    ['soon', undefined],
    ['', undefined],
    ['9'.repeat(400), Number.MAX_SAFE_INTEGER],
  ])('reads %j as %s', (value, expected) => {
    expect(parseRetryAfter(value, Date.UTC(2026, 0, 1))).toBe(expected);
  });
});

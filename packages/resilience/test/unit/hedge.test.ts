import { getEventListeners } from 'node:events';
import { createVirtualClock } from '@hotpath/core/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type HedgeOptions, hedge, pipeline, retryBudget, timeout } from '../../src/index.ts';
import { LatencyHistogram } from '../../src/internal/latency-histogram.ts';

function setUp(options: HedgeOptions = {}) {
  const clock = createVirtualClock();
  const generous = retryBudget({ ratio: 1, minPerSecond: 1_000, clock });
  const policy = hedge({ clock, idempotent: true, budget: generous, ...options });
  const after = <Value>(delayMs: number, value: Value) =>
    new Promise<Value>((resolve) => clock.setTimeout(() => resolve(value), delayMs));
  return { clock, policy, after };
}

describe('hedge', () => {
  it('with a delay of 0.5 s and 4 attempts has 1, 2, 3, 4 outstanding at 1, 501, 1001, 1501 ms', async () => {
    const { clock, policy, after } = setUp({ delayMs: 500, attempts: 4 });
    let outstanding = 0;
    const call = policy.execute(() => {
      outstanding++;
      return after(10_000, 'slow');
    });
    const seen: number[] = [];
    await clock.advance(1);
    seen.push(outstanding);
    for (let step = 0; step < 3; step++) {
      await clock.advance(500);
      seen.push(outstanding);
    }
    await clock.advance(3_000);
    seen.push(outstanding);
    expect(seen).toEqual([1, 2, 3, 4, 4]);
    await clock.advance(10_000);
    expect(await call).toBe('slow');
  });

  it('takes the first answer and aborts the others', async () => {
    const { clock, policy, after } = setUp({ delayMs: 100 });
    const aborted: unknown[] = [];
    const call = policy.execute(({ attempt, signal }) => {
      signal.addEventListener('abort', () => aborted.push(signal.reason));
      return attempt === 1 ? after(60_000, 'first') : after(10, 'second');
    });
    await clock.advance(200);
    expect(await call).toBe('second');
    expect(aborted).toEqual([expect.objectContaining({ code: 'HOTPATH_HEDGE_LOST' })]);
    expect(policy.stats()).toMatchObject({ hedgedTotal: 1, wonTotal: 1, pending: 0 });
  });

  it('sends nothing more, and listens to nobody, once the call has ended', async () => {
    const { clock, policy, after } = setUp({ delayMs: 100 });
    const { signal } = new AbortController();
    let tries = 0;
    const call = policy.execute(
      () => {
        tries++;
        return after(50, 'done');
      },
      { signal },
    );
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    await clock.advance(50);
    await call;
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    await clock.advance(1_000);
    expect(tries).toBe(1);
    expect(policy.stats()).toMatchObject({ hedgedTotal: 0, pending: 0 });
  });

  it('lets work that may not be done twice through untouched', async () => {
    const { clock, policy, after } = setUp({ delayMs: 10, idempotent: false });
    let tries = 0;
    const work = () => {
      tries++;
      return after(100, 'done');
    };
    const once = policy.execute(work);
    await clock.advance(100);
    expect(await once).toBe('done');
    expect(tries).toBe(1);
    const twice = policy.execute(work, { idempotent: true });
    await clock.advance(100);
    expect(await twice).toBe('done');
    expect(tries).toBe(3);
  });

  it('waits for the others when one fails, and fails when none is left', async () => {
    const { clock, policy, after } = setUp({ delayMs: 100 });
    const saved = policy.execute(({ attempt }) =>
      attempt === 1 ? after(150, 0).then(() => Promise.reject(new Error('first'))) : after(100, 'second'),
    );
    await clock.advance(300);
    expect(await saved).toBe('second');
    const failed = expect(policy.execute(() => Promise.reject(new Error('both')))).rejects.toThrow('both');
    await clock.advance(300);
    await failed;
  });

  it('is bounded by its budget', async () => {
    const clock = createVirtualClock();
    const { policy, after } = {
      ...setUp(),
      policy: hedge({
        clock,
        delayMs: 10,
        idempotent: true,
        budget: retryBudget({ ratio: 0.1, minPerSecond: 0, clock }),
      }),
    };
    void after;
    let tries = 0;
    const calls = Array.from({ length: 100 }, () =>
      policy.execute(() => {
        tries++;
        return new Promise<void>((resolve) => clock.setTimeout(resolve, 100));
      }),
    );
    await clock.advance(200);
    await Promise.all(calls);
    expect(tries).toBe(110);
    expect(policy.stats().noBudgetTotal).toBe(90);
  });

  it('learns the delay from what calls take, and does not hedge before it has', async () => {
    const { clock, policy, after } = setUp({ quantile: 0.95, minimumSamples: 100 });
    for (let call = 1; call <= 100; call++) {
      const running = policy.execute(() => after(call, 'done'));
      await clock.advance(call);
      await running;
    }
    expect(policy.stats().hedgedTotal).toBe(0);
    expect(policy.stats().delayMs).toBeGreaterThan(90);
    expect(policy.stats().delayMs).toBeLessThan(105);
    const slow = policy.execute(({ attempt }) => after(attempt === 1 ? 1_000 : 5, attempt));
    await clock.advance(150);
    expect(await slow).toBe(2);
  });

  it('ends every try when the caller leaves or an outer time is over', async () => {
    const { clock, policy, after } = setUp({ delayMs: 10, attempts: 3 });
    let aborted = 0;
    const whole = pipeline(timeout(50, { clock, tickMs: 1 }), policy);
    const rejected = expect(
      whole.execute(({ signal }) => {
        signal.addEventListener('abort', () => aborted++);
        return after(10_000, 0);
      }),
    ).rejects.toMatchObject({ code: 'HOTPATH_TIMEOUT' });
    await clock.advance(60);
    await rejected;
    expect(aborted).toBe(3);
    expect(policy.stats().pending).toBe(0);
  });

  it('checks its options', () => {
    expect(() => hedge({ delayMs: 5, quantile: 0.5 })).toThrow("'delayMs'");
    expect(() => hedge({ quantile: 95 })).toThrow("'quantile'");
  });
});

describe('the histogram it learns from', () => {
  it('is within 8 percent of the sorted truth', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.02, max: 100_000, noNaN: true }), {
          minLength: 1,
          maxLength: 300,
          size: 'max',
        }),
        fc.constantFrom(0.5, 0.9, 0.95, 0.99),
        (samples, share) => {
          const histogram = new LatencyHistogram();
          for (const sample of samples) histogram.add(sample);
          const sorted = samples.toSorted((a, b) => a - b);
          const truth = sorted[Math.ceil(share * sorted.length) - 1] as number;
          const estimate = histogram.quantile(share);
          expect(estimate).toBeGreaterThanOrEqual(truth * (1 - 1e-9));
          expect(estimate).toBeLessThanOrEqual(truth * 1.08 * (1 + 1e-9));
        },
      ),
    );
  });

  it('forgets what was', () => {
    const histogram = new LatencyHistogram();
    for (let sample = 0; sample < 1_000; sample++) histogram.add(1_000);
    for (let sample = 0; sample < 20_000; sample++) histogram.add(1);
    expect(histogram.quantile(0.95)).toBeLessThan(1.1);
  });
});

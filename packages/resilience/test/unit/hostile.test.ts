import { createVirtualClock } from '@hotpath/core/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  adaptiveLimit,
  bulkhead,
  chaos,
  circuitBreaker,
  fallback,
  hedge,
  loadShed,
  pipeline,
  rateLimiter,
  retry,
  retryBudget,
  timeout,
} from '../../src/index.ts';

describe('an abort at any moment', () => {
  it('settles the call at once and leaves nothing behind, whatever it waits for', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 400 }),
        fc.constantFrom('hang', 'fail', 'slow'),
        fc.integer({ min: 1, max: 20 }),
        async (abortAtMs, behaviour, callers) => {
          const clock = createVirtualClock();
          const limiter = rateLimiter({ limit: 50, burst: 3, maxWaitMs: 5_000, clock });
          const places = bulkhead({ limit: 2, maxWaiting: 100, clock });
          const tries = retry({ attempts: 4, backoff: () => 40, clock, budget: retryBudget({ clock }) });
          const monkey = chaos({ latencyRate: 0.5, latencyMs: 30, clock });
          monkey.arm();
          const limits = [timeout(5_000, { clock }), timeout(60, { clock })] as const;
          const policy = pipeline(
            loadShed({ clock }),
            limiter,
            limits[0],
            tries,
            circuitBreaker({ clock, minimumCalls: 1_000 }),
            places,
            limits[1],
            monkey,
          );
          const controller = new AbortController();
          const reason = new Error('left');
          let pending = 0;
          const calls = Array.from({ length: callers }, () => {
            pending++;
            return policy
              .executeOutcome(
                () => {
                  if (behaviour === 'fail') return Promise.reject(new Error('failed'));
                  if (behaviour === 'hang') return new Promise<void>(() => {});
                  return new Promise<void>((resolve) => clock.setTimeout(resolve, 50));
                },
                { signal: controller.signal },
              )
              .finally(() => pending--);
          });
          await clock.advance(abortAtMs);
          controller.abort(reason);
          await clock.settle();
          expect(pending).toBe(0);
          for (const outcome of await Promise.all(calls)) {
            if (outcome.status === 'failed' && outcome.error === reason) continue;
            // It had ended before the abort.
            expect(['ok', 'failed', 'rejected']).toContain(outcome.status);
          }
          expect(limiter.stats().waiting).toBe(0);
          expect(places.stats()).toMatchObject({ waiting: 0 });
          expect(tries.stats().waiting).toBe(0);
          expect(monkey.stats().held).toBe(0);
          for (const each of limits) expect(each.stats().pending).toBe(0);
        },
      ),
      { numRuns: 80 },
    );
  });

  it('between admission and turn keeps the work from running', async () => {
    for (const make of [
      () => bulkhead({ limit: 1, maxWaiting: 1 }),
      () => adaptiveLimit({ initialLimit: 1, maxWaiting: 1 }),
    ]) {
      const policy = make();
      const controller = new AbortController();
      const reason = new Error('left');
      let ran = false;
      const first = policy.execute(async () => {});
      const second = policy.execute(
        () => {
          ran = true;
        },
        { signal: controller.signal },
      );
      const rejected = expect(second).rejects.toBe(reason);
      // The place is handed over in one microtask and taken in a later one.
      await first;
      controller.abort(reason);
      await rejected;
      expect(ran).toBe(false);
      expect(policy.stats().inFlight).toBe(0);
    }
  });
});

describe('a policy that is closed', () => {
  it.each([
    ['bulkhead', () => bulkhead({ limit: 1 })],
    ['adaptiveLimit', () => adaptiveLimit()],
    ['chaos', () => chaos()],
    ['circuitBreaker', () => circuitBreaker()],
    ['fallback', () => fallback(() => 1)],
    ['hedge', () => hedge()],
    ['loadShed', () => loadShed()],
    ['pipeline', () => pipeline()],
    ['rateLimiter', () => rateLimiter({ limit: 1 })],
    ['retry', () => retry()],
    ['timeout', () => timeout(5)],
  ])('%s refuses calls by HOTPATH_CLOSED, and may be closed again', async (_, make) => {
    const policy = make();
    await policy.close();
    await policy.close();
    const outcome = await policy.executeOutcome(() => 1);
    expect(outcome).toMatchObject({ status: 'rejected', error: { code: 'HOTPATH_CLOSED' } });
    await expect(policy.execute(() => 1)).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
    expect(policy.stats()).toHaveProperty('kind', policy.kind);
  });
});

describe('a permit', () => {
  it('never lets more probes run than there are places, whatever is recorded twice or late', () => {
    const act = fc.constantFrom('enter', 'success', 'failure', 'release', 'trip', 'tick');
    fc.assert(
      fc.property(
        fc.array(act, { maxLength: 200, size: 'max' }),
        fc.integer({ min: 1, max: 4 }),
        (acts, probes) => {
          let nowMs = 0;
          const clock = { ...createVirtualClock(), now: () => nowMs };
          const breaker = circuitBreaker({
            clock,
            probes,
            consecutiveFailures: 3,
            openMs: 10,
            openFactor: 1,
          });
          const permits: number[] = [];
          for (const each of acts) {
            const permit = permits.at(-1) ?? 0;
            if (each === 'enter') permits.push(breaker.tryEnter());
            else if (each === 'success') breaker.recordSuccess(permit);
            else if (each === 'failure') breaker.recordFailure(permit);
            else if (each === 'release') breaker.release(permits.pop() ?? 0);
            else if (each === 'trip') breaker.trip();
            else nowMs += 10;
            expect(breaker.stats().probesInFlight).toBeLessThanOrEqual(probes);
            expect(breaker.stats().probesInFlight).toBeGreaterThanOrEqual(0);
            expect(breaker.stats().failures).toBeLessThanOrEqual(breaker.stats().calls);
          }
        },
      ),
    );
  });
});

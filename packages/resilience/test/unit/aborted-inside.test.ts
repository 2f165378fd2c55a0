import type { HotpathError } from '@hotpath/core';
import { createVirtualClock } from '@hotpath/core/testing';
import { describe, expect, it } from 'vitest';
import { bulkhead, hedge, type Policy, pipeline, rateLimiter, retry, retryBudget } from '../../src/index.ts';

/** A call that is aborted by what a policy around `inner` is told, after it has begun. */
function abortedOnTheWay(inner: Policy<HotpathError>) {
  const controller = new AbortController();
  const reason = new Error('left');
  const budget = retryBudget();
  const recordCall = budget.recordCall.bind(budget);
  budget.recordCall = () => {
    recordCall();
    controller.abort(reason);
  };
  let ran = false;
  const call = pipeline(retry({ budget }), inner).execute(
    () => {
      ran = true;
    },
    { signal: controller.signal },
  );
  return { call, reason, ran: () => ran };
}

describe('a call that is aborted between two of its policies', () => {
  it('is not hedged, and does not run', async () => {
    const clock = createVirtualClock();
    const policy = hedge({ delayMs: 10, idempotent: true, clock });
    const { call, reason, ran } = abortedOnTheWay(policy);
    await expect(call).rejects.toBe(reason);
    expect(ran()).toBe(false);
    expect(policy.stats().pending).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it('does not wait at a gate', async () => {
    const clock = createVirtualClock();
    const policy = bulkhead({ limit: 1, maxWaiting: 1, clock });
    let end = (): void => {};
    const first = policy.execute(() => new Promise<void>((resolve) => (end = resolve)));
    const { call, reason, ran } = abortedOnTheWay(policy);
    await expect(call).rejects.toBe(reason);
    expect(policy.stats()).toMatchObject({ inFlight: 1, waiting: 0 });
    end();
    await first;
    expect(ran()).toBe(false);
  });

  it('spends nothing, and does not wait, at a limiter', async () => {
    const clock = createVirtualClock();
    const policy = rateLimiter({ limit: 1, maxWaitMs: 5_000, clock });
    const { call, reason, ran } = abortedOnTheWay(policy);
    await expect(call).rejects.toBe(reason);
    expect(ran()).toBe(false);
    expect(policy.stats()).toMatchObject({ allowedTotal: 0, waiting: 0 });
    expect(policy.tryAcquire().allowed).toBe(true);
  });
});

import { TimeoutError } from '@hotpath/core';
import { createVirtualClock } from '@hotpath/core/testing';
import { describe, expect, it } from 'vitest';
import {
  adaptiveLimit,
  bulkhead,
  type ChaosOptions,
  chaos,
  circuitBreaker,
  fallback,
  hedge,
  loadShed,
  pipeline,
  retry,
  retryBudget,
  timeout,
} from '../../src/index.ts';
import { redisRateLimiter } from '../../src/redis.ts';
import { modelServer } from './fixtures/model-server.ts';

const failure = new Error('failed');
const fail = () => Promise.reject(failure);

function setUp() {
  const clock = createVirtualClock();
  const after =
    <Value>(delayMs: number, value: Value) =>
    () =>
      new Promise<Value>((resolve) => clock.setTimeout(() => resolve(value), delayMs));
  return { clock, after };
}

describe('the counters tell exactly what became of every call', () => {
  it('of a bulkhead', async () => {
    const { clock, after } = setUp();
    const policy = bulkhead({ limit: 2, maxWaiting: 2, maxWaitMs: 150, clock });
    const calls = Array.from({ length: 5 }, () => policy.executeOutcome(after(100, 'done')));
    await clock.settle();
    const fixed = { kind: 'bulkhead', name: 'bulkhead', limit: 2 };
    expect(policy.stats()).toEqual({
      ...fixed,
      inFlight: 2,
      waiting: 2,
      admittedTotal: 2,
      rejectedTotal: 1,
    });
    await clock.advance(1_000);
    await Promise.all(calls);
    await policy.executeOutcome(fail);
    const long = [1, 2].map(() => policy.executeOutcome(after(200, 'long')));
    const late = policy.executeOutcome(after(1, 'late'));
    const controller = new AbortController();
    const leaver = policy.executeOutcome(after(1, 'left'), { signal: controller.signal });
    controller.abort();
    await clock.advance(1_000);
    await Promise.all([...long, late, leaver]);
    expect(policy.stats()).toEqual({
      ...fixed,
      inFlight: 0,
      waiting: 0,
      admittedTotal: 7,
      rejectedTotal: 2,
    });
  });

  it('of an adaptive limit', async () => {
    const { clock, after } = setUp();
    const policy = adaptiveLimit({
      algorithm: 'aimd',
      initialLimit: 10,
      maxLimit: 10,
      windowMs: 0,
      minimumSamples: 1,
      maxWaiting: 1,
      clock,
    });
    const calls = Array.from({ length: 12 }, () => policy.executeOutcome(after(100, 'done')));
    await clock.settle();
    const fixed = { kind: 'adaptive-limit', name: 'adaptive-limit' };
    expect(policy.stats()).toEqual({
      ...fixed,
      limit: 10,
      inFlight: 10,
      waiting: 1,
      admittedTotal: 10,
      rejectedTotal: 1,
      droppedTotal: 0,
    });
    await clock.advance(1_000);
    await Promise.all(calls);
    await policy.executeOutcome(fail);
    await policy.executeOutcome(() => Promise.reject(new TimeoutError('HOTPATH_TIMEOUT', 'late')));
    expect(policy.stats()).toEqual({
      ...fixed,
      limit: 9,
      inFlight: 0,
      waiting: 0,
      admittedTotal: 13,
      rejectedTotal: 1,
      droppedTotal: 1,
    });
  });

  it('of a timeout', async () => {
    const { clock, after } = setUp();
    const policy = timeout(50, { tickMs: 1, clock });
    const calls = [after(10, 'fast'), after(100, 'slow'), fail].map((work) => policy.executeOutcome(work));
    await clock.settle();
    const fixed = { kind: 'timeout', name: 'timeout', timeoutMs: 50 };
    expect(policy.stats()).toEqual({ ...fixed, timedOutTotal: 0, pending: 2 });
    await clock.advance(20);
    expect(policy.stats()).toEqual({ ...fixed, timedOutTotal: 0, pending: 1 });
    await clock.advance(1_000);
    await Promise.all(calls);
    expect(policy.stats()).toEqual({ ...fixed, timedOutTotal: 1, pending: 0 });
  });

  it('of a retry', async () => {
    const { clock } = setUp();
    const budget = retryBudget({ ratio: 0, minPerSecond: 0.4, clock });
    const policy = retry({
      attempts: 3,
      backoff: () => 100,
      budget,
      clock,
      retryIf: (error) => error === failure,
    });
    const whole = pipeline(timeout(50, { clock, tickMs: 1 }), policy);
    await policy.execute(() => 'at once');
    const recovering = policy.execute(({ attempt }) => (attempt === 2 ? 'recovered' : fail()));
    const hopeless = policy.executeOutcome(fail);
    await policy.executeOutcome(() => Promise.reject(new Error('not worth it')));
    await whole.executeOutcome(fail);
    const fixed = { kind: 'retry', name: 'retry' };
    expect(policy.stats()).toEqual({
      ...fixed,
      failedFirstTotal: 4,
      retriesTotal: 0,
      recoveredTotal: 0,
      givenUpTotal: 2,
      noBudgetTotal: 0,
      noTimeTotal: 1,
      waiting: 2,
    });
    await clock.advance(200);
    await Promise.all([recovering, hopeless]);
    const last = policy.executeOutcome(fail);
    await clock.advance(200);
    await last;
    expect(policy.stats()).toEqual({
      ...fixed,
      failedFirstTotal: 5,
      retriesTotal: 4,
      recoveredTotal: 1,
      givenUpTotal: 4,
      noBudgetTotal: 1,
      noTimeTotal: 1,
      waiting: 0,
    });
    expect(budget.stats()).toEqual({
      calls: 6,
      reserved: 4,
      available: 0,
      reservedTotal: 4,
      deniedTotal: 1,
    });
  });

  it('of a hedge', async () => {
    const { clock, after } = setUp();
    const policy = hedge({
      delayMs: 50,
      idempotent: true,
      budget: retryBudget({ ratio: 0, minPerSecond: 0.2, clock }),
      clock,
    });
    const first = ({ attempt }: { attempt: number }) => after(attempt === 1 ? 100 : 1_000, 'first')();
    const second = ({ attempt }: { attempt: number }) => after(attempt === 1 ? 1_000 : 10, 'second')();
    const calls = [first, second, first, after(10, 'fast')].map((work) => policy.executeOutcome(work));
    await clock.advance(20);
    const fixed = { kind: 'hedge', name: 'hedge', delayMs: 50 };
    expect(policy.stats()).toEqual({ ...fixed, hedgedTotal: 0, wonTotal: 0, noBudgetTotal: 0, pending: 3 });
    await clock.advance(2_000);
    await Promise.all(calls);
    expect(policy.stats()).toEqual({ ...fixed, hedgedTotal: 2, wonTotal: 1, noBudgetTotal: 1, pending: 0 });
  });

  it('of a fallback', async () => {
    const policy = fallback(
      (error) => {
        if (error !== failure) throw error;
        return 'instead';
      },
      { handleIf: (error) => !(error instanceof TypeError) },
    );
    await policy.execute(() => 'fine');
    await policy.execute(fail);
    await policy.executeOutcome(() => Promise.reject(new Error('other')));
    await policy.executeOutcome(() => Promise.reject(new TypeError('not handled')));
    expect(policy.stats()).toEqual({ kind: 'fallback', name: 'fallback', usedTotal: 2, failedTotal: 1 });
  });

  it('of load shedding', async () => {
    const { clock } = setUp();
    let lateMs = 0;
    const policy = loadShed({
      startMs: 50,
      fullMs: 140,
      sampleMs: 20,
      clock: { ...clock, now: () => clock.now() + lateMs },
    });
    await policy.execute(() => 1);
    const fixed = { kind: 'load-shed', name: 'load-shed' };
    expect(policy.stats()).toEqual({ ...fixed, delayMs: 0, admittedTotal: 1, shedTotal: 0 });
    lateMs = 115;
    for (let priority = 0; priority < 10; priority++) await policy.executeOutcome(() => 1, { priority });
    expect(policy.stats()).toEqual({ ...fixed, delayMs: 95, admittedTotal: 6, shedTotal: 5 });
  });

  it('of chaos', async () => {
    const { clock } = setUp();
    const cases: [ChaosOptions, 'delayedTotal' | 'failedTotal' | 'hungTotal'][] = [
      [{ latencyRate: 1, latencyMs: 50 }, 'delayedTotal'],
      [{ errorRate: 1 }, 'failedTotal'],
      [{ hangRate: 1, maxHangMs: 50 }, 'hungTotal'],
    ];
    for (const [options, counter] of cases) {
      const policy = chaos({ clock, ...options });
      await policy.execute(() => 'calm');
      const fixed = { kind: 'chaos', name: 'chaos', delayedTotal: 0, failedTotal: 0, hungTotal: 0 };
      expect(policy.stats()).toEqual({ ...fixed, armed: false, held: 0 });
      const disarm = policy.arm();
      const call = policy.executeOutcome(() => 'hurt');
      await clock.settle();
      const held = counter === 'failedTotal' ? 0 : 1;
      expect(policy.stats()).toEqual({ ...fixed, armed: true, [counter]: 1, held });
      await clock.advance(50);
      await call;
      disarm();
      expect(policy.stats()).toEqual({ ...fixed, armed: false, [counter]: 1, held: 0 });
    }
  });

  it('of a pipeline: those of its policies, the outermost first', async () => {
    const clock = createVirtualClock();
    const policies = [retry({ clock }), circuitBreaker({ clock }), timeout(250, { clock })] as const;
    const policy = pipeline(...policies);
    await policy.execute(() => 1);
    expect(policy.stats()).toEqual({
      kind: 'pipeline',
      name: 'pipeline',
      policies: policies.map((each) => each.stats()),
    });
  });

  it('of a limiter on Redis', async () => {
    const { clock } = setUp();
    const server = modelServer(clock);
    let isLost = false;
    const run: typeof server.port.eval = (...given) =>
      isLost ? Promise.reject(new Error('lost')) : server.port.eval(...given);
    const limiter = redisRateLimiter({
      redis: { evalsha: run, eval: run },
      limit: 1e-6,
      burst: 100,
      maxLease: 20,
      onLost: 'open',
      clock,
    });
    const fixed = { kind: 'redis-rate-limiter', name: 'redis-rate-limiter' };
    for (let call = 0; call < 3; call++) {
      await limiter.tryAcquire();
      await clock.settle();
    }
    // By the script, and out of the lease: one of them asked for a new lease.
    expect(limiter.stats()).toEqual({
      ...fixed,
      allowedTotal: 3,
      refusedTotal: 0,
      localTotal: 2,
      scriptsTotal: 2,
      scriptFailuresTotal: 0,
      leasedTotal: 21,
      returnedTotal: 0,
      lostTotal: 0,
      lost: false,
      waiting: 0,
      keys: 1,
    });
    await limiter.tryAcquire(101);
    isLost = true;
    await limiter.tryAcquire(1, 'other');
    expect(limiter.stats()).toEqual({
      ...fixed,
      allowedTotal: 4,
      refusedTotal: 1,
      localTotal: 3,
      scriptsTotal: 2,
      scriptFailuresTotal: 1,
      leasedTotal: 21,
      returnedTotal: 0,
      lostTotal: 1,
      lost: true,
      waiting: 0,
      keys: 2,
    });
    isLost = false;
    await limiter.close();
    expect(limiter.stats()).toEqual({
      ...fixed,
      allowedTotal: 4,
      refusedTotal: 1,
      localTotal: 3,
      scriptsTotal: 3,
      scriptFailuresTotal: 1,
      leasedTotal: 21,
      returnedTotal: 19,
      lostTotal: 1,
      lost: false,
      waiting: 0,
      keys: 2,
    });
  });
});

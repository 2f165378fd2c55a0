import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { TimeoutError } from '@hotpath/core';
import { createVirtualClock } from '@hotpath/core/testing';
import { describe, expect, it } from 'vitest';
import {
  adaptiveLimit,
  bulkhead,
  chaos,
  circuitBreaker,
  fallback,
  hedge,
  loadShed,
  rateLimiter,
  retry,
  timeout,
} from '../../src/index.ts';
import { redisRateLimiter } from '../../src/redis.ts';

async function eventsOf(event: string, during: () => Promise<void> | void): Promise<unknown[]> {
  const seen: unknown[] = [];
  const listen = (message: unknown): void => void seen.push(message);
  subscribe(`hotpath:resilience:${event}`, listen);
  try {
    await during();
  } finally {
    unsubscribe(`hotpath:resilience:${event}`, listen);
  }
  return seen;
}

const failing = () => Promise.reject(new Error('failed'));

describe('the events', () => {
  it('circuit-state tells each change, and why', async () => {
    const clock = createVirtualClock();
    const seen = await eventsOf('circuit-state', async () => {
      const breaker = circuitBreaker({ name: 'db', consecutiveFailures: 1, openMs: 1_000, probes: 1, clock });
      await breaker.executeOutcome(failing);
      await clock.advance(1_000);
      await breaker.execute(() => 1);
      breaker.isolate()();
      await breaker.close();
    });
    expect(seen).toMatchObject([
      {
        name: 'db',
        from: 'closed',
        to: 'open',
        reason: 'tripped',
        calls: 1,
        failures: 1,
        retryAfterMs: 1_000,
      },
      { from: 'open', to: 'half-open', reason: 'tried-again' },
      { from: 'half-open', to: 'closed', reason: 'recovered', calls: 1, failures: 0, retryAfterMs: 0 },
      { to: 'isolated', reason: 'isolated' },
      { to: 'closed', reason: 'released' },
      { to: 'shut', reason: 'closed' },
    ]);
  });

  it('circuit-state tells of each other reason as well', async () => {
    const clock = createVirtualClock();
    const seen = await eventsOf('circuit-state', async () => {
      const breaker = circuitBreaker({ openMs: 1_000, probes: 1, openFactor: 1, clock });
      breaker.trip();
      await clock.advance(1_000);
      await breaker.executeOutcome(failing);
      await clock.advance(1_000);
      breaker.tryEnter();
      await clock.advance(1_000);
      expect(breaker.state).toBe('open');
      breaker.reset();
      breaker.importState({
        version: 1,
        state: 'open',
        remainingMs: 500,
        openings: 1,
        takenAt: clock.wallTime(),
      });
    });
    expect(seen).toMatchObject([
      { from: 'closed', to: 'open', reason: 'forced', retryAfterMs: 1_000 },
      { from: 'open', to: 'half-open', reason: 'tried-again', retryAfterMs: undefined },
      { from: 'half-open', to: 'open', reason: 'probes-failed', calls: 1, failures: 1 },
      { from: 'open', to: 'half-open', reason: 'tried-again' },
      { from: 'half-open', to: 'open', reason: 'probes-hung' },
      { from: 'open', to: 'closed', reason: 'forced' },
      { from: 'closed', to: 'open', reason: 'imported', retryAfterMs: 500 },
    ]);
  });

  it('circuit-state tells what a metrics-only breaker would have done', async () => {
    const seen = await eventsOf('circuit-state', async () => {
      await circuitBreaker({ consecutiveFailures: 1, metricsOnly: true }).executeOutcome(failing);
    });
    expect(seen).toMatchObject([{ from: 'closed', to: 'open', reason: 'would-open' }]);
  });

  it('rejected comes from every policy that ends calls', async () => {
    const clock = createVirtualClock();
    const seen = await eventsOf('rejected', async () => {
      const breaker = circuitBreaker();
      breaker.trip();
      await breaker.executeOutcome(() => 1);
      rateLimiter({ limit: 1 }).tryAcquire(2, 'client');
      const full = bulkhead({ limit: 1 });
      void full.execute(() => new Promise(() => {}));
      await full.executeOutcome(() => 1);
      const slow = bulkhead({ limit: 1, maxWaiting: 1, maxWaitMs: 10, clock });
      void slow.execute(() => new Promise(() => {}));
      const waited = slow.executeOutcome(() => 1);
      await clock.advance(20);
      await waited;
      const queue = rateLimiter({ limit: 1, maxWaiting: 0, clock });
      queue.tryAcquire(1, 'k');
      await queue.acquire({ key: 'k' }).catch(() => {});
      breaker.isolate();
      breaker.tryEnter();
      const limited = adaptiveLimit({ initialLimit: 1 });
      void limited.execute(() => new Promise(() => {}));
      await limited.executeOutcome(() => 1);
      const late = timeout(5, { clock, tickMs: 1 }).executeOutcome(() => new Promise(() => {}));
      await clock.advance(10);
      await late;
      const shed = loadShed({ startMs: 0, fullMs: 0, clock });
      await shed.executeOutcome(() => 1);
      await clock.advance(20);
      await shed.executeOutcome(() => 1);
    });
    const codes = seen.map((event) => (event as { code: string }).code);
    expect(new Set(codes)).toEqual(
      new Set([
        'HOTPATH_CIRCUIT_OPEN',
        'HOTPATH_RATE_LIMITED',
        'HOTPATH_CIRCUIT_ISOLATED',
        'HOTPATH_RATE_QUEUE_FULL',
        'HOTPATH_BULKHEAD_FULL',
        'HOTPATH_BULKHEAD_WAIT',
        'HOTPATH_CONCURRENCY_LIMITED',
        'HOTPATH_TIMEOUT',
        'HOTPATH_LOAD_SHED',
      ]),
    );
    expect(seen[1]).toMatchObject({
      kind: 'rate-limiter',
      key: 'client',
      retryAfterMs: Number.POSITIVE_INFINITY,
    });
  });

  it('retry, hedge, fallback, chaos and limit tell what was done', async () => {
    const clock = createVirtualClock();
    const retries = await eventsOf('retry', async () => {
      const call = retry({ attempts: 2, backoff: () => 30, clock }).executeOutcome(failing);
      await clock.advance(100);
      await call;
    });
    expect(retries).toMatchObject([{ name: 'retry', attempt: 1, delayMs: 30, error: { message: 'failed' } }]);
    const hedges = await eventsOf('hedge', async () => {
      const policy = hedge({ delayMs: 20, idempotent: true, clock });
      const call = policy.execute(({ attempt }) => (attempt === 1 ? new Promise(() => {}) : 1));
      await clock.advance(50);
      await call;
    });
    expect(hedges).toEqual([{ name: 'hedge', attempt: 2, afterMs: 20 }]);
    const fallbacks = await eventsOf('fallback', () =>
      fallback(() => 1)
        .execute(failing)
        .then(() => {}),
    );
    expect(fallbacks).toMatchObject([{ name: 'fallback', error: { message: 'failed' } }]);
    const effects = await eventsOf('chaos', async () => {
      const policy = chaos({ errorRate: 1 });
      policy.arm();
      await policy.executeOutcome(() => 1, { key: 'k' });
    });
    expect(effects).toEqual([{ name: 'chaos', effect: 'error', key: 'k' }]);
    for (const [effect, options] of [
      ['latency', { latencyRate: 1 }],
      ['hang', { hangRate: 1 }],
    ] as const) {
      const told = await eventsOf('chaos', async () => {
        const policy = chaos({ ...options, clock });
        policy.arm();
        void policy.executeOutcome(() => 1);
        await policy.close();
      });
      expect(told).toEqual([{ name: 'chaos', effect, key: undefined }]);
    }
    const badResults = await eventsOf('retry', async () => {
      const policy = retry({ attempts: 2, backoff: () => 5, clock, retryResultIf: (value) => value === 503 });
      const call = policy.execute(() => 503);
      await clock.advance(10);
      await call;
    });
    expect(badResults).toEqual([{ name: 'retry', attempt: 1, delayMs: 5, error: undefined, value: 503 }]);
    const limits = await eventsOf('limit', async () => {
      const policy = adaptiveLimit({ algorithm: 'aimd', initialLimit: 10, windowMs: 0, minimumSamples: 1 });
      await policy.executeOutcome(() => Promise.reject(new TimeoutError('HOTPATH_TIMEOUT', 'late')));
    });
    expect(limits).toEqual([{ name: 'adaptive-limit', from: 10, to: 9 }]);
  });

  it('rejected comes from a limiter on Redis once for each call that it ends, and never for one that waits', async () => {
    const clock = createVirtualClock();
    let answer = '1';
    const script = async (): Promise<unknown> => [answer, 0, '1'];
    const limiter = redisRateLimiter({
      redis: { evalsha: script, eval: script },
      limit: 10,
      burst: 1,
      maxLease: 0,
      clock,
    });
    const seen = await eventsOf('rejected', async () => {
      answer = '0';
      const waiting = limiter.acquire({ key: 'patient' });
      await clock.advance(350);
      answer = '1';
      await clock.advance(200);
      await waiting;
      answer = '0';
      await limiter.tryAcquire(1, 'client');
      await limiter.acquire({ key: 'hasty', deadlineMs: 5 }).catch(() => {});
      await limiter.acquire({ key: 'dear', cost: 2 }).catch(() => {});
    });
    const code = 'HOTPATH_RATE_LIMITED';
    expect(seen).toMatchObject([
      { kind: 'redis-rate-limiter', code, key: 'client', retryAfterMs: expect.closeTo(100, 6) },
      { kind: 'redis-rate-limiter', code, key: 'hasty', retryAfterMs: expect.closeTo(100, 6) },
      { kind: 'redis-rate-limiter', code, key: 'dear', retryAfterMs: Number.POSITIVE_INFINITY },
    ]);
    expect(limiter.stats()).toMatchObject({ allowedTotal: 1, refusedTotal: 3, waiting: 0 });
  });

  it('limiter-store tells when Redis is lost and when it is back', async () => {
    const clock = createVirtualClock();
    let up = false;
    const answer = async (): Promise<unknown> => {
      if (up) return ['1', 0, '1'];
      throw new Error('ECONNREFUSED');
    };
    const seen = await eventsOf('limiter-store', async () => {
      const limiter = redisRateLimiter({
        redis: { evalsha: answer, eval: answer },
        limit: 1,
        maxLease: 0,
        clock,
      });
      await limiter.tryAcquire();
      up = true;
      await limiter.tryAcquire();
    });
    expect(seen).toMatchObject([
      { name: 'redis-rate-limiter', state: 'lost', error: { message: 'ECONNREFUSED' } },
      { state: 'back' },
    ]);
  });
});

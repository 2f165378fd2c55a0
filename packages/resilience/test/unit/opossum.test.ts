import { EventEmitter } from 'node:events';
import { createVirtualClock } from '@hotpath/core/testing';
import Opossum from 'opossum';
import { describe, expect, it, vi } from 'vitest';
import { bulkhead, type CircuitBreakerOptions, circuitBreaker, pipeline, timeout } from '../../src/index.ts';
import { asOpossum } from '../../src/opossum.ts';

const failing = () => Promise.reject(new Error('failed'));

function setUp(options: CircuitBreakerOptions = {}) {
  const clock = createVirtualClock();
  const breaker = circuitBreaker({ clock, consecutiveFailures: 2, openMs: 1_000, probes: 1, ...options });
  return { breaker, clock };
}

describe('a fault of opossum that its users do not meet here', () => {
  it('calls in flight are not in the failure rate', async () => {
    const breaker = circuitBreaker({ failureRatio: 0.5, minimumCalls: 2 });
    const hanging = Array.from({ length: 98 }, () => breaker.execute(() => new Promise(() => {})));
    await breaker.executeOutcome(failing);
    await breaker.executeOutcome(failing);
    // 2 of 2 that have ended failed; of 100 that were fired it would be 2 %.
    expect(breaker.state).toBe('open');
    expect(hanging).toHaveLength(98);
  });

  it('rejections for want of capacity are not failures', async () => {
    const breaker = circuitBreaker({ consecutiveFailures: 1 });
    const policy = pipeline(breaker, bulkhead({ limit: 1 }));
    void policy.execute(() => new Promise(() => {}));
    for (let call = 0; call < 20; call++) {
      expect(await policy.executeOutcome(() => 1)).toMatchObject({
        error: { code: 'HOTPATH_BULKHEAD_FULL' },
      });
    }
    expect(breaker.state).toBe('closed');
  });

  it('a success from before does not close half-open', async () => {
    const { breaker, clock } = setUp();
    const permit = breaker.tryEnter();
    breaker.trip();
    await clock.advance(1_000);
    expect(breaker.state).toBe('half-open');
    breaker.recordSuccess(permit);
    expect(breaker.state).toBe('half-open');
    const face = asOpossum(breaker, () => 1);
    face.emit('success', 'stale');
    expect(face.halfOpen).toBe(true);
  });

  it('a probe that hangs does not block it for ever', async () => {
    const { breaker, clock } = setUp();
    breaker.trip();
    await clock.advance(1_000);
    const face = asOpossum(breaker, (hang: boolean) => (hang ? new Promise(() => {}) : 'fine'));
    void face.fire(true);
    await expect(face.fire(false)).rejects.toMatchObject({ code: 'EOPENBREAKER' });
    await clock.advance(1_000);
    expect(breaker.state).toBe('open');
    await clock.advance(breaker.retryAfterMs ?? 0);
    expect(await face.fire(false)).toBe('fine');
    expect(face.closed).toBe(true);
  });

  it('a failure costs the same however many calls the window holds', () => {
    const breaker = circuitBreaker({ failureRatio: 1 });
    for (let call = 0; call < 200_000; call++) breaker.recordSuccess(breaker.tryEnter());
    const startMs = performance.now();
    for (let call = 0; call < 2_000; call++) breaker.recordFailure(breaker.tryEnter());
    // Rebuilding statistics over 200,000 samples would take 2,000 times some milliseconds.
    expect(performance.now() - startMs).toBeLessThan(1_000);
    expect(breaker.stats()).toMatchObject({ calls: 202_000, failures: 2_000 });
  });

  it('health checks end with the face, and one that fails opens the breaker', async () => {
    const { breaker } = setUp();
    const face = asOpossum(breaker, () => 1);
    let checks = 0;
    let failed: unknown;
    face.on('healthCheckFailed', (error) => {
      failed = error;
    });
    face.healthCheck(() => {
      checks++;
      return checks === 2 ? failing() : Promise.resolve();
    }, 1);
    while (failed === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(breaker.state).toBe('open');
    face.shutdown();
    const seen = checks;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(checks).toBe(seen);
    expect(() => asOpossum(breaker, () => 1).healthCheck(null as never)).toThrow('function');
    // The platform's timers would take the last two for a millisecond.
    for (const intervalMs of [0, Number.NaN, '5', 2 ** 31, Number.POSITIVE_INFINITY]) {
      expect(() => asOpossum(breaker, () => 1).healthCheck(failing, intervalMs as never)).toThrow(
        /'intervalMs' must be a number above 0 and below 2147483648/,
      );
    }
  });

  it('callers share no abort signal', async () => {
    const clock = createVirtualClock();
    const policy = pipeline(circuitBreaker({ clock }), timeout(10, { clock, tickMs: 1 }));
    const signals: AbortSignal[] = [];
    const work = ({ signal }: { signal: AbortSignal }) => {
      signals.push(signal);
      return new Promise(() => {});
    };
    const first = policy.executeOutcome(work);
    await clock.advance(8);
    const second = policy.executeOutcome(work);
    await clock.advance(4);
    await first;
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
    await clock.advance(20);
    await second;
  });

  it('the options object is not changed, and two breakers that share one share nothing else', async () => {
    const options = Object.freeze({ consecutiveFailures: 1 });
    const first = circuitBreaker(options);
    const second = circuitBreaker(options);
    await first.executeOutcome(failing);
    expect([first.state, second.state]).toEqual(['open', 'closed']);
    const faceOptions = Object.freeze({ name: 'face' });
    expect(asOpossum(second, () => 1, faceOptions).name).toBe('face');
  });

  it('a synchronous undefined is no failure, through its own face neither', async () => {
    const { breaker } = setUp({ consecutiveFailures: 1 });
    const face = asOpossum(breaker, () => undefined);
    expect(await face.fire()).toBeUndefined();
    expect(face.closed).toBe(true);
  });

  it('a face starts no timer, not even an unref’d one, and keeps no latencies', async () => {
    // What the process lists as active leaves out timers that are unref'd, as all of opossum's are.
    const started: string[] = [];
    const timers = (['setTimeout', 'setInterval', 'setImmediate'] as const).map((name) =>
      vi.spyOn(globalThis, name).mockImplementation((() => {
        started.push(name);
        return { unref() {}, ref() {} };
      }) as never),
    );
    const { breaker } = setUp({ consecutiveFailures: 1_000 });
    const face = asOpossum(breaker, failing);
    for (let call = 0; call < 10; call++) await face.fire().catch(() => {});
    face.open();
    const ours = started.splice(0);
    new Opossum(failing).open();
    for (const timer of timers) timer.mockRestore();
    expect(ours).toEqual([]);
    expect(started).toEqual(['setInterval', 'setInterval', 'setTimeout']);
    expect(
      (face as unknown as { status: { window: { latencyTimes: unknown[] }[] } }).status.window[0]
        ?.latencyTimes,
    ).toEqual([]);
  });
});

describe('a breaker shown as an opossum one', () => {
  it('is one, with its events, its fallback and its errors', async () => {
    const { breaker, clock } = setUp();
    const face = asOpossum(breaker, (fail: boolean) => (fail ? failing() : Promise.resolve('value')), {
      name: 'users',
    });
    expect(face).toBeInstanceOf(Opossum);
    expect(face).toBeInstanceOf(EventEmitter);
    const seen: string[] = [];
    for (const event of ['fire', 'success', 'failure', 'reject', 'open', 'halfOpen', 'close', 'fallback']) {
      face.on(event, () => seen.push(event));
    }
    expect(await face.fire(false)).toBe('value');
    await expect(face.fire(true)).rejects.toThrow('failed');
    await expect(face.fire(true)).rejects.toThrow('failed');
    expect(face.opened).toBe(true);
    await expect(face.fire(false)).rejects.toMatchObject({ code: 'EOPENBREAKER' });
    expect(Opossum.isOurError((await face.fire(false).catch((error: Error) => error)) as Error)).toBe(true);
    face.fallback(() => 'instead');
    expect(await face.fire(false)).toBe('instead');
    await clock.advance(1_000);
    expect(face.halfOpen).toBe(true);
    expect(await face.fire(false)).toBe('value');
    expect(face.closed).toBe(true);
    const state = seen.filter((event) => ['open', 'halfOpen', 'close'].includes(event));
    expect(state).toEqual(['open', 'halfOpen', 'close']);
    expect(new Set(seen)).toEqual(
      new Set(['fire', 'success', 'failure', 'reject', 'open', 'halfOpen', 'close', 'fallback']),
    );
  });

  it('follows the breaker, whoever calls it, and moves it', async () => {
    const { breaker } = setUp();
    const face = asOpossum(breaker, () => 1);
    await breaker.execute(() => 1);
    await breaker.executeOutcome(failing);
    expect(face.stats).toMatchObject({ fires: 2, failures: 1, successes: 1 });
    face.open();
    expect(breaker.state).toBe('open');
    expect((face.toJSON() as { state: { open: boolean } }).state.open).toBe(true);
    face.close();
    expect(breaker.state).toBe('closed');
  });

  it('leaves the breaker as it is at shutdown, and may be disabled by itself', async () => {
    const { breaker } = setUp();
    const face = asOpossum(breaker, failing);
    face.disable();
    for (let call = 0; call < 5; call++) await face.fire().catch(() => {});
    expect(breaker.state).toBe('closed');
    face.shutdown();
    await expect(face.fire()).rejects.toMatchObject({ code: 'ESHUTDOWN' });
    breaker.trip();
    expect(await breaker.executeOutcome(() => 1)).toMatchObject({ status: 'rejected' });
  });

  it('is refused for what is not a breaker of this library', () => {
    expect(() => asOpossum({} as never, () => 1)).toThrow('circuitBreaker');
    expect(() => asOpossum(circuitBreaker(), null as never)).toThrow('function');
  });
});

import { RejectedError, TimeoutError } from '@hotpath/core';
import { createVirtualClock, type VirtualClock } from '@hotpath/core/testing';
import { describe, expect, it } from 'vitest';
import { type CircuitBreaker, type CircuitBreakerOptions, circuitBreaker } from '../../src/index.ts';

function setUp(options: CircuitBreakerOptions = {}): { breaker: CircuitBreaker; clock: VirtualClock } {
  const clock = createVirtualClock();
  return { breaker: circuitBreaker({ clock, random: () => 0.5, ...options }), clock };
}

const failure = new Error('dependency failed');

function play(breaker: CircuitBreaker, outcomes: string): void {
  for (const outcome of outcomes) {
    const permit = breaker.tryEnter();
    expect(permit).not.toBe(0);
    if (outcome === 'S') breaker.recordSuccess(permit);
    else if (outcome === 'F') breaker.recordFailure(permit);
    else breaker.release(permit);
  }
}

describe('when a breaker opens', () => {
  it('does not for five failures among 505 successes at a ratio of 0.5', () => {
    const { breaker } = setUp({ failureRatio: 0.5 });
    play(breaker, `${'S'.repeat(101)}F`.repeat(5));
    expect(breaker.state).toBe('closed');
    expect(breaker.stats()).toMatchObject({ calls: 510, failures: 5 });
  });

  it('does for five in a row in consecutive mode, and tries again after exactly openMs', async () => {
    const { breaker, clock } = setUp({ consecutiveFailures: 5, openMs: 60_000 });
    play(breaker, 'FFFFSFFFF');
    expect(breaker.state).toBe('closed');
    play(breaker, 'F');
    expect(breaker.state).toBe('open');
    expect(breaker.retryAfterMs).toBe(60_000);
    await clock.advance(59_999.5);
    expect(breaker.tryEnter()).toBe(0);
    expect(breaker.retryAfterMs).toBe(0.5);
    await clock.advance(0.5);
    expect(breaker.tryEnter()).not.toBe(0);
    expect(breaker.state).toBe('half-open');
  });

  it('counts a window of 20 s: S S S F F one second apart stay closed, the next F opens', async () => {
    const { breaker, clock } = setUp({ windowMs: 20_000, minimumCalls: 5, failureRatio: 0.5 });
    for (const outcome of 'SSSFF') {
      play(breaker, outcome);
      await clock.advance(1_000);
    }
    expect(breaker.state).toBe('closed');
    play(breaker, 'F');
    expect(breaker.state).toBe('open');
  });

  it('decides nothing below the minimum, and also upon a success', () => {
    const { breaker } = setUp({ minimumCalls: 5, failureRatio: 0.5 });
    play(breaker, 'FFFS');
    expect(breaker.state).toBe('closed');
    play(breaker, 'S');
    expect(breaker.state).toBe('open');
  });

  it('keeps the latest four in a count ring: F S S S is 25 %, then S is 0 %', () => {
    const { breaker } = setUp({ windowCalls: 4 });
    play(breaker, 'FSSS');
    expect(breaker.stats().failureRatio).toBe(0.25);
    play(breaker, 'S');
    expect(breaker.stats().failureRatio).toBe(0);
  });

  it('forgets old failures over an idle hour', async () => {
    const { breaker, clock } = setUp({ minimumCalls: 5, windowMs: 10_000 });
    play(breaker, 'FFFF');
    await clock.advance(3_600_000);
    expect(breaker.stats()).toMatchObject({ calls: 0, failures: 0 });
    play(breaker, 'FFFF');
    expect(breaker.state).toBe('closed');
  });

  it('clears every bucket that was skipped', async () => {
    const { breaker, clock } = setUp({ windowMs: 10_000, windowBuckets: 10, minimumCalls: 100 });
    for (let bucket = 0; bucket < 10; bucket++) {
      play(breaker, 'F');
      await clock.advance(1_000);
    }
    await clock.advance(4_500);
    play(breaker, 'S');
    expect(breaker.stats()).toMatchObject({ calls: 6, failures: 5 });
  });

  it('does for slow calls, whether or not they succeed', async () => {
    const { breaker, clock } = setUp({ slowCallMs: 100, slowRatio: 0.5, minimumCalls: 2 });
    const slow = breaker.execute(async () => clock.advance(100));
    await slow;
    await breaker.execute(() => 'fast');
    await clock.settle();
    expect(breaker.state).toBe('open');
  });

  it('counts and tells, but never refuses, in metrics-only mode', () => {
    const { breaker } = setUp({ metricsOnly: true, consecutiveFailures: 2 });
    play(breaker, 'FFFF');
    expect(breaker.state).toBe('closed');
    expect(breaker.stats().openedTotal).toBe(2);
    breaker.trip();
    expect(breaker.state).toBe('closed');
    expect(breaker.stats().openedTotal).toBe(3);
    breaker.importState({
      version: 1,
      state: 'open',
      remainingMs: 500,
      openings: 1,
      takenAt: Date.UTC(2026, 0),
    });
    expect(breaker.state).toBe('closed');
    const release = breaker.isolate();
    expect(breaker.tryEnter()).toBe(0);
    release();
    expect(breaker.tryEnter()).not.toBe(0);
  });
});

describe('half-open', () => {
  function halfOpen(options: CircuitBreakerOptions = {}) {
    const made = setUp({ probes: 4, failureRatio: 0.5, openMs: 1_000, ...options });
    made.breaker.trip();
    return { ...made, ready: made.clock.advance(1_000) };
  }

  it.each([
    ['FFSF', 'open'],
    ['FSSS', 'closed'],
    ['SSS-', 'half-open'],
  ])('with 4 probes: %s leads to %s', async (outcomes, state) => {
    const { breaker, ready } = halfOpen();
    await ready;
    play(breaker, outcomes);
    expect(breaker.state).toBe(state);
  });

  it('runs 3 of 50 concurrent calls with 3 probes', async () => {
    const { breaker, ready } = halfOpen({ probes: 3 });
    await ready;
    const gate = Promise.withResolvers<void>();
    let ran = 0;
    const calls = Array.from({ length: 50 }, () =>
      breaker.executeOutcome(() => {
        ran++;
        return gate.promise;
      }),
    );
    expect(ran).toBe(3);
    gate.resolve();
    const outcomes = await Promise.all(calls);
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(47);
    expect(breaker.state).toBe('closed');
  });

  it('opens again when a probe hangs, however long nobody asks', async () => {
    const { breaker, clock, ready } = halfOpen({ halfOpenMs: 5_000, probes: 1, openFactor: 1 });
    await ready;
    const hung = breaker.tryEnter();
    expect(breaker.tryEnter()).toBe(0);
    await clock.advance(5_000);
    expect(breaker.state).toBe('open');
    await clock.advance(1_000);
    play(breaker, 'S');
    expect(breaker.state).toBe('closed');
    breaker.recordFailure(hung);
    expect(breaker.stats()).toMatchObject({ failures: 0, staleTotal: 1 });
  });

  it('gives its probes time to answer, also where it opens for no time at all', async () => {
    const { breaker, clock } = setUp({ consecutiveFailures: 1, openMs: 0, probes: 1 });
    play(breaker, 'F');
    const probe = breaker.tryEnter();
    expect(probe).not.toBe(0);
    await clock.advance(29_999);
    for (let call = 0; call < 10; call++) expect(breaker.tryEnter()).toBe(0);
    breaker.recordSuccess(probe);
    expect(breaker.state).toBe('closed');
  });

  it('stays usable for a trickle of probes far apart', async () => {
    const { breaker, clock, ready } = halfOpen({ halfOpenMs: 1_000, probes: 2 });
    await ready;
    play(breaker, 'S');
    await clock.advance(3_600_000);
    expect(breaker.state).toBe('half-open');
    play(breaker, 'S');
    expect(breaker.state).toBe('closed');
  });

  it('gives the permit of an ignored probe to the next call', async () => {
    const { breaker, ready } = halfOpen({ probes: 1 });
    await ready;
    const controller = new AbortController();
    const hanging = breaker.execute(
      ({ signal }) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      { signal: controller.signal },
    );
    expect(breaker.tryEnter()).toBe(0);
    controller.abort(new Error('left'));
    await expect(hanging).rejects.toThrow('left');
    expect(breaker.stats().ignoredTotal).toBe(1);
    play(breaker, 'S');
    expect(breaker.state).toBe('closed');
  });

  it('drops results from before it opened', async () => {
    const { breaker, clock } = setUp({ consecutiveFailures: 1, openMs: 1_000, probes: 1 });
    const old = Promise.withResolvers<string>();
    const stale = breaker.execute(() => old.promise);
    await expect(breaker.execute(() => Promise.reject(failure))).rejects.toBe(failure);
    expect(breaker.state).toBe('open');
    await clock.advance(1_000);
    expect(breaker.state).toBe('half-open');
    old.resolve('late');
    expect(await stale).toBe('late');
    expect(breaker.state).toBe('half-open');
  });

  it('backs off, jittered and bounded, while probes keep failing, and starts anew once recovered', async () => {
    const { breaker, clock } = setUp({ consecutiveFailures: 1, openMs: 1_000, maxOpenMs: 5_000, probes: 1 });
    const openTimes: (number | undefined)[] = [];
    for (let round = 0; round < 6; round++) {
      play(breaker, 'F');
      openTimes.push(breaker.retryAfterMs);
      await clock.advance(breaker.retryAfterMs ?? 0);
    }
    expect(openTimes).toEqual([1_000, 1_500, 2_500, 3_000, 3_000, 3_000]);
    play(breaker, 'SF');
    expect(breaker.retryAfterMs).toBe(1_000);
  });
});

describe('what counts', () => {
  it('is neither what other limits reject nor what the caller cancels', async () => {
    const { breaker } = setUp({ consecutiveFailures: 1 });
    const rejection = new RejectedError('HOTPATH_RATE_LIMITED', 'no');
    await expect(breaker.execute(() => Promise.reject(rejection))).rejects.toBe(rejection);
    const controller = new AbortController();
    const call = breaker.execute(() => Promise.reject(failure), { signal: controller.signal });
    controller.abort();
    await expect(call).rejects.toBe(failure);
    expect(breaker.state).toBe('closed');
    expect(breaker.stats().ignoredTotal).toBe(2);
  });

  it('is a timeout, a synchronous throw and whatever the classifier says', async () => {
    for (const work of [
      () => Promise.reject(new TimeoutError('HOTPATH_TIMEOUT', 'late')),
      () => {
        throw failure;
      },
    ]) {
      const { breaker } = setUp({ consecutiveFailures: 1 });
      await expect(breaker.execute(work)).rejects.toThrow();
      expect(breaker.state).toBe('open');
    }
    const { breaker } = setUp({
      consecutiveFailures: 1,
      classifyResult: (value) => ((value as { status: number }).status >= 500 ? 'failure' : 'success'),
      classifyError: () => 'success',
    });
    await expect(breaker.execute(() => Promise.reject(failure))).rejects.toBe(failure);
    expect(breaker.state).toBe('closed');
    expect(await breaker.execute(() => ({ status: 503 }))).toEqual({ status: 503 });
    expect(breaker.state).toBe('open');
  });

  it('is a failure where the classifier itself throws, and nothing else comes of it', async () => {
    const broken = () => {
      throw new Error('classifier');
    };
    const { breaker } = setUp({ consecutiveFailures: 2, classifyResult: broken, classifyError: broken });
    expect(await breaker.execute(() => 1)).toBe(1);
    await expect(breaker.execute(() => Promise.reject(failure))).rejects.toBe(failure);
    expect(breaker.state).toBe('open');
  });

  it('is a success for a synchronous undefined', async () => {
    const { breaker } = setUp();
    expect(await breaker.execute(() => undefined)).toBeUndefined();
    expect(breaker.stats()).toMatchObject({ successesTotal: 1, failuresTotal: 0 });
  });
});

describe('its counters', () => {
  it('tell what became of every call', async () => {
    const { breaker, clock } = setUp({
      consecutiveFailures: 3,
      slowCallMs: 50,
      minimumCalls: 20,
      openMs: 1_000,
    });
    const stale = breaker.tryEnter();
    breaker.recordSuccess(breaker.tryEnter(), 50);
    breaker.recordSuccess(breaker.tryEnter(), 49);
    breaker.release(breaker.tryEnter());
    breaker.recordFailure(breaker.tryEnter(), 50);
    expect(breaker.stats()).toMatchObject({
      state: 'closed',
      calls: 3,
      failures: 1,
      slow: 2,
      retryAfterMs: 0,
    });
    play(breaker, 'FF');
    expect(breaker.tryEnter()).toBe(0);
    breaker.recordSuccess(stale);
    breaker.recordFailure(stale);
    breaker.release(stale);
    expect(breaker.stats()).toEqual({
      kind: 'circuit-breaker',
      name: 'circuit-breaker',
      state: 'open',
      retryAfterMs: 1_000,
      calls: 0,
      failures: 0,
      slow: 0,
      failureRatio: 0,
      probesInFlight: 0,
      successesTotal: 2,
      failuresTotal: 3,
      ignoredTotal: 1,
      rejectedTotal: 1,
      staleTotal: 3,
      openedTotal: 1,
    });
    await clock.advance(1_000);
    breaker.tryEnter();
    expect(breaker.stats()).toMatchObject({ state: 'half-open', probesInFlight: 1, retryAfterMs: 0 });
    breaker.tryEnter();
    breaker.tryEnter();
    expect(breaker.stats()).toMatchObject({ probesInFlight: 3, retryAfterMs: undefined });
  });
});

describe('by hand', () => {
  it('refuses while isolated by anybody, and goes on where it was', async () => {
    const { breaker } = setUp();
    const first = breaker.isolate();
    const second = breaker.isolate();
    first();
    first();
    expect(breaker.state).toBe('isolated');
    await expect(breaker.execute(() => 1)).rejects.toMatchObject({ code: 'HOTPATH_CIRCUIT_ISOLATED' });
    second();
    expect(breaker.state).toBe('closed');
    breaker.trip();
    const third = breaker.isolate();
    third();
    expect(breaker.state).toBe('open');
  });

  it('keeps a trip and a reset during isolation for afterwards', () => {
    const { breaker } = setUp();
    const release = breaker.isolate();
    breaker.trip();
    expect(breaker.state).toBe('isolated');
    release();
    expect(breaker.state).toBe('open');
    breaker.reset();
    expect(breaker.state).toBe('closed');
  });

  it('is half-open again after an isolation that began in half-open', async () => {
    const { breaker, clock } = setUp({ openMs: 1_000, probes: 1 });
    breaker.trip();
    await clock.advance(1_000);
    const before = breaker.tryEnter();
    const release = breaker.isolate();
    await clock.advance(5);
    release();
    expect(breaker.retryAfterMs).toBe(0);
    breaker.recordFailure(before);
    expect(breaker.state).toBe('half-open');
    play(breaker, 'S');
    expect(breaker.state).toBe('closed');
  });

  it('stays closed down when an isolation from before ends', async () => {
    const { breaker } = setUp();
    const release = breaker.isolate();
    await breaker.close();
    release();
    expect(breaker.state).toBe('shut');
    breaker.importState(circuitBreaker().exportState());
    expect(breaker.state).toBe('shut');
  });

  it('tells by retryAfterMs alone that its time has come', async () => {
    const { breaker, clock } = setUp({ openMs: 1_000 });
    breaker.trip();
    await clock.advance(1_000);
    expect(breaker.retryAfterMs).toBe(0);
  });

  it('refuses for good after close()', async () => {
    const { breaker } = setUp();
    await breaker.close();
    breaker.trip();
    breaker.reset();
    expect(breaker.state).toBe('shut');
    await expect(breaker.execute(() => 1)).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
  });

  it('tells how long to wait in the error, also in an outcome', async () => {
    const { breaker, clock } = setUp({ openMs: 1_000 });
    breaker.trip();
    await clock.advance(400);
    await expect(breaker.execute(() => 1)).rejects.toMatchObject({
      code: 'HOTPATH_CIRCUIT_OPEN',
      family: 'unavailable',
      retryAfterMs: 600,
    });
    const outcome = await breaker.executeOutcome(() => 1);
    expect(outcome).toMatchObject({
      status: 'rejected',
      error: { code: 'HOTPATH_CIRCUIT_OPEN', retryAfterMs: 600 },
    });
    if (outcome.status === 'rejected') expect(outcome.error).toBe(outcome.error);
    expect(breaker.stats().rejectedTotal).toBe(2);
  });
});

describe('stored state', () => {
  it('closes one that is open, and keeps what an isolation covers', () => {
    const { breaker } = setUp({ openMs: 10_000 });
    const closed = breaker.exportState();
    breaker.trip();
    const release = breaker.isolate();
    const covered = breaker.exportState();
    expect(covered).toMatchObject({ state: 'open', remainingMs: 10_000, openings: 1 });
    release();
    breaker.importState(closed);
    expect(breaker.state).toBe('closed');
    breaker.importState(covered);
    expect(breaker.state).toBe('open');
  });

  it('goes on backing off where it was', async () => {
    const { breaker, clock } = setUp({ openMs: 1_000, probes: 1 });
    breaker.importState({
      version: 1,
      state: 'open',
      remainingMs: 1_000,
      openings: 2,
      takenAt: clock.wallTime(),
    });
    await clock.advance(1_000);
    play(breaker, 'F');
    // Half-way between 1,000 and four times as much.
    expect(breaker.retryAfterMs).toBe(2_500);
  });

  it('opens another breaker for the rest of the time', async () => {
    const { breaker, clock } = setUp({ openMs: 10_000 });
    breaker.trip();
    await clock.advance(4_000);
    const stored = JSON.parse(JSON.stringify(breaker.exportState())) as unknown;
    await clock.advance(1_000);
    const other = circuitBreaker({ clock, openMs: 10_000 });
    other.importState(stored);
    expect(other.retryAfterMs).toBe(5_000);
    clock.shiftWallTime(-3_600_000);
    other.importState(stored);
    expect(other.retryAfterMs).toBe(6_000);
  });

  it.each([
    [null],
    ['open'],
    [{}],
    [{ version: 2, state: 'open', remainingMs: 1, openings: 1, takenAt: 1 }],
    [{ version: 1, state: 'half-open', remainingMs: 1, openings: 1, takenAt: 1 }],
    [{ version: 1, state: 'open', remainingMs: -1, openings: 1, takenAt: 1 }],
    [{ version: 1, state: 'open', remainingMs: Number.NaN, openings: 1, takenAt: 1 }],
    [{ version: 1, state: 'open', remainingMs: 1, openings: 0.5, takenAt: 1 }],
    [{ version: 1, state: 'open', remainingMs: 1, openings: 1, takenAt: '1' }],
  ])('is refused when it is not sound: %j', (snapshot) => {
    const { breaker } = setUp();
    expect(() => breaker.importState(snapshot)).toThrow(TypeError);
    expect(breaker.state).toBe('closed');
  });
});

describe('options', () => {
  it.each([
    [{ failureRatio: 0 }, "'failureRatio'"],
    [{ failureRatio: 50 }, "'failureRatio'"],
    [{ minimumCalls: 5, windowCalls: 4 }, "'minimumCalls'"],
    [{ windowCalls: 4, windowMs: 1_000 }, "'windowCalls'"],
    [{ slowRatio: 0.5 }, "'slowCallMs'"],
    [{ openMs: 10, maxOpenMs: 5 }, "'maxOpenMs'"],
    [{ openMs: Number.NaN }, "'openMs'"],
    [{ probes: 0 }, "'probes'"],
    [{ resetTimeout: 5 } as CircuitBreakerOptions, "'resetTimeout'"],
  ])('names what is wrong in %j', (options, named) => {
    expect(() => circuitBreaker(options)).toThrow(named);
  });

  it('leaves the given object as it was', () => {
    const options = Object.freeze({ failureRatio: 0.4 });
    circuitBreaker(options);
    expect(Object.keys(options)).toEqual(['failureRatio']);
  });
});

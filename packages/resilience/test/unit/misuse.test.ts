import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { AbortedError, RejectedError, TimeoutError } from '@hotpath/core';
import { createVirtualClock } from '@hotpath/core/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bottleneckSchedule } from '../../src/bottleneck.ts';
import {
  adaptiveLimit,
  bulkhead,
  type CircuitBreaker,
  chaos,
  circuitBreaker,
  fallback,
  hedge,
  loadShed,
  pipeline,
  rateLimiter,
  registry,
  retry,
  retryBudget,
  timeout,
} from '../../src/index.ts';
import { asOpossum } from '../../src/opossum.ts';
import { redisRateLimiter } from '../../src/redis.ts';

const failure = new Error('failed');

const answering = { evalsha: async () => ['1', 0, '1'], eval: async () => ['1', 0, '1'] };

const everyPolicy = [
  ['adaptiveLimit', () => adaptiveLimit()],
  ['bulkhead', () => bulkhead({ limit: 5 })],
  ['chaos', () => chaos()],
  ['circuitBreaker', () => circuitBreaker()],
  ['fallback', () => fallback(() => 'instead', { handleIf: () => false })],
  ['hedge', () => hedge({ idempotent: true })],
  ['loadShed', () => loadShed()],
  ['pipeline', () => pipeline(retry({ attempts: 1 }), circuitBreaker(), timeout(1_000))],
  ['rateLimiter', () => rateLimiter({ limit: 1_000, burst: 100 })],
  ['redisRateLimiter', () => redisRateLimiter({ redis: answering, limit: 100, maxLease: 0 })],
  ['retry', () => retry({ attempts: 2, backoff: () => 0 })],
  ['timeout', () => timeout(1_000)],
] as const;

/** What reached the process instead of a caller. */
const uncaught: unknown[] = [];
const listen = (error: unknown): void => void uncaught.push(error);
let previous: NodeJS.UncaughtExceptionListener[] = [];
beforeEach(() => {
  uncaught.length = 0;
  previous = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', listen);
  process.on('unhandledRejection', listen);
});
afterEach(() => {
  process.off('uncaughtException', listen);
  process.off('unhandledRejection', listen);
  for (const each of previous) process.on('uncaughtException', each);
});
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe.each(everyPolicy)('%s', (_, make) => {
  it.each([
    ['an error', failure],
    ['a string', 'failed'],
    ['undefined', undefined],
    ['null', null],
    ['a frozen object', Object.freeze({ status: 500 })],
  ])('passes on %s with which work fails, thrown or rejected', async (_kind, reason) => {
    const policy = make();
    await expect(policy.execute(() => Promise.reject(reason))).rejects.toBe(reason);
    const thrown = policy.execute(() => {
      throw reason;
    });
    await expect(thrown).rejects.toBe(reason);
    expect(await policy.executeOutcome(() => Promise.reject(reason))).toEqual({
      status: 'failed',
      error: reason,
    });
    await policy.close();
    await nextTurn();
    expect(uncaught).toEqual([]);
  });

  it('takes a thenable for a promise, also one that throws', async () => {
    const policy = make();
    // biome-ignore lint/suspicious/noThenProperty: a foreign promise is what is tested
    const fine = { then: (resolve: (value: number) => void) => setImmediate(resolve, 7) };
    expect(await policy.execute(() => fine as unknown as PromiseLike<number>)).toBe(7);
    const broken = {
      // biome-ignore lint/suspicious/noThenProperty: a foreign promise is what is tested
      then: () => {
        throw failure;
      },
    };
    await expect(policy.execute(() => broken as never)).rejects.toBe(failure);
    await policy.close();
  });

  it('refuses work that is no function, and options that are none, without counting a failure', async () => {
    const policy = make();
    for (const work of [undefined, null, 5, Promise.resolve(1)]) {
      await expect(policy.execute(work as never)).rejects.toThrow('the work must be a function');
      expect(await policy.executeOutcome(work as never)).toMatchObject({
        status: 'failed',
        error: { message: expect.stringContaining('the work must be a function') },
      });
    }
    for (const options of [null, 'no', { signal: {} }, { signal: null }]) {
      await expect(policy.execute(() => 1, options as never)).rejects.toThrow(TypeError);
      expect(await policy.executeOutcome(() => 1, options as never)).toMatchObject({ status: 'failed' });
    }
    expect(JSON.stringify(policy.stats())).not.toMatch(/"failuresTotal":[1-9]/);
    expect(await policy.execute(() => 'still works')).toBe('still works');
    await policy.close();
  });

  it('may be used by its own work, and closed by it', async () => {
    const policy = make();
    const nested = await policy.execute(() => policy.execute(() => policy.execute(() => 'deep')));
    expect(nested).toBe('deep');
    expect(
      await policy.execute(async () => {
        await policy.close();
        return 'goes on';
      }),
    ).toBe('goes on');
    expect(await policy.executeOutcome(() => 1)).toMatchObject({
      status: 'rejected',
      error: { code: 'HOTPATH_CLOSED' },
    });
  });

  it('rejects with the caller’s own reason when the work listens and the caller leaves', async () => {
    const policy = make();
    for (const reason of [new Error('left'), 'left', null]) {
      const controller = new AbortController();
      const call = policy.execute(
        ({ signal }) =>
          new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
        { signal: controller.signal },
      );
      await nextTurn();
      controller.abort(reason);
      await expect(call).rejects.toBe(reason);
    }
    await policy.close();
  });
});

describe('what users hand in and what then throws', () => {
  it('costs no place in a bulkhead, no permit and no hang: the error that chaos makes', async () => {
    const clock = createVirtualClock();
    const places = bulkhead({ limit: 1, clock });
    const monkey = chaos({
      errorRate: 1,
      clock,
      error: () => {
        throw failure;
      },
    });
    const end = monkey.arm();
    const policy = pipeline(places, circuitBreaker({ clock }), monkey);
    for (let call = 0; call < 3; call++) {
      expect(await policy.executeOutcome(() => 1)).toEqual({ status: 'rejected', error: failure });
    }
    expect(places.stats().inFlight).toBe(0);
    end();
    expect(await policy.execute(() => 1)).toBe(1);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('broken');
      },
    ],
    ['gives NaN', () => Number.NaN],
    ['gives less than nothing', () => -5],
    ['gives Infinity', () => Number.POSITIVE_INFINITY],
    ['gives a string', () => 'soon' as unknown as number],
  ])('ends a retry with the try’s own error: a back-off that %s', async (_, backoff) => {
    const policy = retry({ attempts: 5, backoff });
    let tries = 0;
    const call = policy.execute(() => {
      tries++;
      return Promise.reject(failure);
    });
    await expect(call).rejects.toBe(failure);
    expect(tries).toBe(1);
  });

  it('reaches the process, and neither the caller nor other listeners: a subscriber', async () => {
    const broken = new Error('subscriber');
    const listener = (): void => {
      throw broken;
    };
    subscribe('hotpath:resilience:circuit-state', listener);
    try {
      const breaker = circuitBreaker({ consecutiveFailures: 1 });
      await expect(breaker.execute(() => Promise.reject(failure))).rejects.toBe(failure);
      expect(breaker.state).toBe('open');
      await nextTurn();
      expect(uncaught).toEqual([broken]);
    } finally {
      unsubscribe('hotpath:resilience:circuit-state', listener);
    }
  });

  it('reaches the process, and neither the caller nor other faces: an opossum listener', async () => {
    const broken = new Error('listener');
    const breaker = circuitBreaker({ consecutiveFailures: 1 });
    const first = asOpossum(breaker, () => Promise.reject(failure));
    const second = asOpossum(breaker, () => 1);
    let told = 0;
    first.on('open', () => {
      throw broken;
    });
    second.on('open', () => told++);
    await expect(first.fire()).rejects.toBe(failure);
    await nextTurn();
    expect(told).toBe(1);
    expect(uncaught).toEqual([broken]);
  });

  it('reaches the process, and does not cost the new entry: onEvict of a registry', async () => {
    const broken = new Error('onEvict');
    const things = registry((key) => key, {
      maxEntries: 1,
      onEvict: () => {
        throw broken;
      },
    });
    things.get('a');
    expect(things.get('b')).toBe('b');
    expect(things.peek('b')).toBe('b');
    expect(things.size).toBe(1);
    await nextTurn();
    expect(uncaught).toEqual([broken]);
  });
});

describe('a listener that moves the breaker on', () => {
  async function during(listener: (event: { to: string }) => void, act: () => Promise<unknown>) {
    const wrapped = (event: unknown): void => listener(event as { to: string });
    subscribe('hotpath:resilience:circuit-state', wrapped);
    try {
      await act();
    } finally {
      unsubscribe('hotpath:resilience:circuit-state', wrapped);
    }
  }

  it.each([
    ['open', (breaker: CircuitBreaker) => breaker.reset(), 'closed'],
    ['half-open', (breaker: CircuitBreaker) => breaker.reset(), 'closed'],
    ['half-open', (breaker: CircuitBreaker) => breaker.trip(), 'open'],
    ['open', (breaker: CircuitBreaker) => void breaker.close(), 'shut'],
  ])('when it becomes %s leaves it sound', async (state, move, ends) => {
    const clock = createVirtualClock();
    const breaker = circuitBreaker({ clock, consecutiveFailures: 1, openMs: 100, probes: 2 });
    let moved = false;
    await during(
      ({ to }) => {
        if (to !== state || moved) return;
        moved = true;
        move(breaker);
      },
      async () => {
        await breaker.executeOutcome(() => Promise.reject(failure));
        await clock.advance(100);
        expect(breaker.state).toBe(ends === 'closed' && state === 'open' ? 'closed' : ends);
      },
    );
    expect(moved).toBe(true);
    const { calls, failures, probesInFlight } = breaker.stats();
    expect({ calls, failures, probesInFlight }).toEqual({ calls: 0, failures: 0, probesInFlight: 0 });
    if (ends !== 'closed') return;
    await breaker.execute(() => 1);
    expect(breaker.stats()).toMatchObject({ calls: 1, failures: 0, state: 'closed' });
  });

  it('is told of the newest state last, whoever else listens', async () => {
    const breaker = circuitBreaker({ consecutiveFailures: 1 });
    const seen: string[] = [];
    const first = asOpossum(breaker, () => 1);
    const second = asOpossum(breaker, () => 1);
    first.on('open', () => breaker.reset());
    for (const event of ['open', 'close']) second.on(event, () => seen.push(event));
    breaker.trip();
    expect(breaker.state).toBe('closed');
    expect(seen.at(-1)).toBe('close');
  });
});

describe('a result that nobody wants any more', () => {
  it('is no failure of the dependency, whatever a driver makes of the signal: a hedge’s loser', async () => {
    const clock = createVirtualClock();
    const breaker = circuitBreaker({ clock, consecutiveFailures: 1 });
    const limit = adaptiveLimit({
      clock,
      algorithm: 'aimd',
      initialLimit: 10,
      windowMs: 0,
      minimumSamples: 1,
    });
    const policy = pipeline(hedge({ delayMs: 10, idempotent: true, clock }), breaker, limit);
    const call = policy.execute(({ attempt, signal }) => {
      if (attempt === 2) return 'second';
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new TimeoutError('HOTPATH_TIMEOUT', 'wrapped')));
      });
    });
    await clock.advance(20);
    expect(await call).toBe('second');
    await clock.settle();
    expect(breaker.state).toBe('closed');
    expect(breaker.stats()).toMatchObject({ ignoredTotal: 1, successesTotal: 1, failuresTotal: 0 });
    expect(limit.stats()).toMatchObject({ droppedTotal: 0, inFlight: 0 });
  });

  it('stays a failure where an outer time was over: the dependency was too slow', async () => {
    const clock = createVirtualClock();
    const breaker = circuitBreaker({ clock, consecutiveFailures: 1 });
    const policy = pipeline(timeout(10, { clock, tickMs: 1 }), breaker);
    const call = policy.executeOutcome(
      ({ signal }) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(new Error('canceled'))),
        ),
    );
    await clock.advance(20);
    expect(await call).toMatchObject({ status: 'rejected', error: { code: 'HOTPATH_TIMEOUT' } });
    await clock.settle();
    expect(breaker.state).toBe('open');
  });

  it('holds up nobody: losers of a hedge that never settle', async () => {
    const clock = createVirtualClock();
    const policy = hedge({
      delayMs: 10,
      attempts: 3,
      idempotent: true,
      clock,
      budget: retryBudget({ ratio: 1, minPerSecond: 1_000, clock }),
    });
    const calls = Array.from({ length: 100 }, () =>
      policy.execute(({ attempt }) => (attempt < 3 ? new Promise(() => {}) : attempt)),
    );
    await clock.advance(50);
    expect(await Promise.all(calls)).toEqual(new Array(100).fill(3));
    expect(policy.stats()).toMatchObject({ pending: 0, hedgedTotal: 200, wonTotal: 100 });
    await clock.advance(1_000);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('closing', () => {
  it('inside a callback of a wait leaves nobody waiting', async () => {
    const clock = createVirtualClock();
    const limiter = rateLimiter({ limit: 1, clock });
    limiter.tryAcquire();
    const first = limiter.acquire().then(() => limiter.close());
    const second = expect(limiter.acquire()).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
    await clock.advance(1_000);
    await first;
    await second;
    expect(limiter.stats().waiting).toBe(0);
    await clock.advance(10_000);
    expect(clock.pendingTimers).toBe(0);
  });

  it('a retry of a single try refuses as any other, and its calls pay into the budget', async () => {
    const budget = retryBudget();
    const policy = retry({ attempts: 1, budget });
    await policy.execute(() => 1);
    expect(budget.stats().calls).toBe(1);
    await policy.close();
    await expect(policy.execute(() => 1)).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
  });

  it('a registry closes everything, whatever one of them throws, and says so', async () => {
    const closed: string[] = [];
    const things = registry((key) => ({
      close: () => {
        closed.push(key);
        if (key === 'b') throw failure;
        return Promise.resolve();
      },
    }));
    for (const key of ['a', 'b', 'c']) things.get(key);
    await expect(things.close()).rejects.toBe(failure);
    expect(closed).toEqual(['a', 'b', 'c']);
    expect(things.size).toBe(0);
  });

  it('a registry that is closed while it makes an entry keeps none, and closes that one as well', async () => {
    const closed: string[] = [];
    let closing: Promise<void> | undefined;
    const things: ReturnType<typeof registry<{ close(): void }>> = registry((key) => {
      closing = things.close();
      return {
        close: () => {
          closed.push(key);
          throw failure;
        },
      };
    });
    expect(() => things.get('a')).toThrow(expect.objectContaining({ code: 'HOTPATH_CLOSED' }));
    expect(things.size).toBe(0);
    expect(things.stats().createdTotal).toBe(0);
    await expect(closing).rejects.toBe(failure);
    expect(closed).toEqual(['a']);
    await expect(things.close()).resolves.toBeUndefined();
    expect(closed).toEqual(['a']);
  });
});

describe('a registry', () => {
  it('drops an entry with calls in flight without harm to them', async () => {
    const clock = createVirtualClock();
    const limits = registry((name) => bulkhead({ name, limit: 1, maxWaiting: 1, clock }), { maxEntries: 1 });
    let end = (): void => {};
    const first = limits.get('a');
    const running = first.execute(() => new Promise<string>((resolve) => (end = () => resolve('done'))));
    const waiting = first.execute(() => 'waited');
    limits.get('b');
    expect(limits.peek('a')).toBeUndefined();
    expect(limits.get('a')).not.toBe(first);
    end();
    expect(await running).toBe('done');
    expect(await waiting).toBe('waited');
  });

  it('makes one entry a key, also where the one told of an eviction asks for it', () => {
    let made = 0;
    const things: ReturnType<typeof registry<{ id: number }>> = registry(() => ({ id: ++made }), {
      maxEntries: 2,
      onEvict: (key) => {
        if (key === 'a') things.get('c');
      },
    });
    things.get('a');
    things.get('b');
    const third = things.get('c');
    expect(things.peek('c')).toBe(third);
    expect(things.size).toBe(2);
  });
});

describe('what an outcome calls rejected', () => {
  it('is what a policy ended, and never what a caller gave as its reason', async () => {
    const clock = createVirtualClock();
    for (const reason of [
      new RejectedError('HOTPATH_BULKHEAD_FULL', 'theirs'),
      new AbortedError('HOTPATH_CLOSED', 'theirs'),
    ]) {
      const policy = bulkhead({ limit: 1, maxWaiting: 1, clock });
      void policy.execute(() => new Promise(() => {}));
      const controller = new AbortController();
      const call = policy.executeOutcome(() => 1, { signal: controller.signal });
      controller.abort(reason);
      expect(await call).toEqual({ status: 'failed', error: reason });
    }
  });
});

describe('a schedule of jobs', () => {
  it('takes no limiter that answers later: each job would spend twice', () => {
    const limiter = redisRateLimiter({ redis: answering, limit: 100, maxLease: 0 });
    for (const wrong of [limiter, bulkhead({ limit: 1 }), {}, null, undefined]) {
      expect(() => bottleneckSchedule(wrong as never)).toThrow(
        'bottleneckSchedule: the first argument must be a rate limiter of rateLimiter()',
      );
    }
  });
});

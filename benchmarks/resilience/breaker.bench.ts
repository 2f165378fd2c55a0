import { strict as assert } from 'node:assert';
import { defineSuite } from '../harness/index.ts';

const work = async (): Promise<number> => 1;
const check = (value: number): void => assert.equal(value, 1);

const success = defineSuite({
  name: 'breaker-success',
  title: 'A call through a closed circuit breaker',
  kind: 'micro',
  contenders: {
    'the work alone': { role: 'baseline', setup: () => ({ run: () => work(), check }) },
    'cockatiel, consecutive': {
      role: 'peer',
      library: 'cockatiel',
      async setup() {
        const { circuitBreaker, ConsecutiveBreaker, handleAll } = await import('cockatiel');
        const breaker = circuitBreaker(handleAll, {
          halfOpenAfter: 30_000,
          breaker: new ConsecutiveBreaker(5),
        });
        return { run: () => breaker.execute(work), check };
      },
    },
    'cockatiel, sampling': {
      role: 'peer',
      library: 'cockatiel',
      async setup() {
        const { circuitBreaker, handleAll, SamplingBreaker } = await import('cockatiel');
        const sampling = new SamplingBreaker({ threshold: 0.5, duration: 10_000, minimumRps: 2 });
        const breaker = circuitBreaker(handleAll, { halfOpenAfter: 30_000, breaker: sampling });
        return { run: () => breaker.execute(work), check };
      },
    },
    'opossum, without timeout': {
      role: 'peer',
      library: 'opossum',
      async setup() {
        const { default: Opossum } = await import('opossum');
        const breaker = new Opossum(work, { timeout: false });
        return { run: () => breaker.fire(), check, close: () => breaker.shutdown() };
      },
    },
    'opossum, defaults': {
      role: 'peer',
      library: 'opossum',
      async setup() {
        const { default: Opossum } = await import('opossum');
        const breaker = new Opossum(work);
        return { run: () => breaker.fire(), check, close: () => breaker.shutdown() };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/resilience',
      note: 'failure ratio over a time window',
      async setup() {
        const { circuitBreaker } = await import('@hotpath/resilience');
        const breaker = circuitBreaker({ failureRatio: 0.5, minimumCalls: 20, windowMs: 10_000 });
        return {
          run: () => breaker.execute(work),
          check(value: number) {
            check(value);
            assert.equal(breaker.state, 'closed');
            assert.ok(breaker.stats().successesTotal > 0);
          },
        };
      },
    },
  },
  goals: [{ figure: 'timeNs', atMost: { of: 'the work alone', plus: 45 } }],
});

const open = defineSuite({
  name: 'breaker-open',
  title: 'A call that an open circuit refuses',
  kind: 'micro',
  contenders: {
    'a settled promise': {
      role: 'baseline',
      setup() {
        const settled = Promise.resolve({ status: 'rejected' });
        return {
          run: () => settled,
          check: ({ status }: { status: string }) => assert.equal(status, 'rejected'),
        };
      },
    },
    'cockatiel, caught': {
      role: 'peer',
      library: 'cockatiel',
      async setup() {
        const { circuitBreaker, ConsecutiveBreaker, handleAll } = await import('cockatiel');
        const breaker = circuitBreaker(handleAll, {
          halfOpenAfter: 3_600_000,
          breaker: new ConsecutiveBreaker(1),
        });
        await breaker.execute(() => Promise.reject(new Error('failed'))).catch(() => {});
        return {
          run: () => breaker.execute(work).catch((error: Error) => error),
          check: (error: unknown) => assert.ok(error instanceof Error),
        };
      },
    },
    'opossum, caught': {
      role: 'peer',
      library: 'opossum',
      async setup() {
        const { default: Opossum } = await import('opossum');
        const breaker = new Opossum(work, { timeout: false, resetTimeout: 3_600_000 });
        breaker.open();
        return {
          run: () => breaker.fire().catch((error: Error) => error),
          check: (error: unknown) => assert.ok(error instanceof Error),
          close: () => breaker.shutdown(),
        };
      },
    },
    'hotpath, caught': {
      role: 'ours',
      library: '@hotpath/resilience',
      async setup() {
        const { circuitBreaker } = await import('@hotpath/resilience');
        const breaker = circuitBreaker({ openMs: 3_600_000 });
        breaker.trip();
        return {
          run: () => breaker.execute(work).catch((error: Error) => error),
          check: (error: unknown) => assert.ok(error instanceof Error),
        };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/resilience',
      note: 'executeOutcome',
      async setup() {
        const { circuitBreaker } = await import('@hotpath/resilience');
        const breaker = circuitBreaker({ openMs: 3_600_000 });
        breaker.trip();
        return {
          run: () => breaker.executeOutcome(work),
          check(outcome: Awaited<ReturnType<typeof breaker.executeOutcome<number>>>) {
            assert.ok(outcome.status === 'rejected' && outcome.error.code === 'HOTPATH_CIRCUIT_OPEN');
          },
        };
      },
    },
  },
  goals: [{ contender: 'hotpath', figure: 'timeNs', atMost: 100 }],
});

const BREAKERS = 2_000;

/** Counted where they are started: what the process lists as active leaves out those that are unref'd. */
function timersStartedBy(act: () => void): number {
  const { setTimeout, setInterval, setImmediate } = globalThis;
  let started = 0;
  const counting = <Start extends (...given: never[]) => unknown>(start: Start): Start =>
    ((...given: Parameters<Start>) => {
      started++;
      return start(...given);
    }) as Start;
  Object.assign(globalThis, {
    setTimeout: counting(setTimeout),
    setInterval: counting(setInterval),
    setImmediate: counting(setImmediate),
  });
  try {
    act();
  } finally {
    Object.assign(globalThis, { setTimeout, setInterval, setImmediate });
  }
  return started;
}

/** What each of many idle breakers holds, and how many timers they start. */
function idleCase(make: () => unknown) {
  return {
    run() {
      make();
      globalThis.gc?.();
      const before = process.memoryUsage();
      let kept: unknown[] = [];
      const timers = timersStartedBy(() => {
        kept = Array.from({ length: BREAKERS }, make);
      });
      globalThis.gc?.();
      const after = process.memoryUsage();
      const heap = after.heapUsed + after.external - before.heapUsed - before.external;
      return { idleBytes: heap / kept.length, timers: timers / kept.length };
    },
    check: (figures: { idleBytes: number }) => assert.ok(figures.idleBytes > 0),
  };
}

const idle = defineSuite({
  name: 'breaker-idle',
  title: 'What an idle breaker holds',
  kind: 'scenario',
  figure: 'idleBytes',
  better: 'lower',
  parameters: { breakers: BREAKERS },
  contenders: {
    opossum: {
      role: 'peer',
      library: 'opossum',
      async setup() {
        const { default: Opossum } = await import('opossum');
        return idleCase(() => new Opossum(work));
      },
    },
    cockatiel: {
      role: 'peer',
      library: 'cockatiel',
      async setup() {
        const { circuitBreaker, handleAll, SamplingBreaker } = await import('cockatiel');
        return idleCase(() =>
          circuitBreaker(handleAll, {
            halfOpenAfter: 30_000,
            breaker: new SamplingBreaker({ threshold: 0.5, duration: 10_000 }),
          }),
        );
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/resilience',
      async setup() {
        const { circuitBreaker } = await import('@hotpath/resilience');
        return idleCase(() => circuitBreaker({ failureRatio: 0.5 }));
      },
    },
  },
  goals: [
    { figure: 'idleBytes', atMost: 500 },
    { figure: 'timers', atMost: 0 },
  ],
});

export default [success, open, idle];

import { describe, expect, it } from 'vitest';
import { bottleneckSchedule } from '../../src/bottleneck.ts';
import {
  adaptiveLimit,
  bulkhead,
  chaos,
  circuitBreaker,
  exponentialBackoff,
  fallback,
  hedge,
  loadShed,
  rateLimiter,
  registry,
  retry,
  retryBudget,
  timeout,
} from '../../src/index.ts';
import { asOpossum } from '../../src/opossum.ts';
import { redisRateLimiter } from '../../src/redis.ts';

type Options = Record<string, unknown>;

interface Maker {
  readonly make: (options: Options) => unknown;
  /** Given with each wrong one: what can't be left out, or goes together with it. */
  readonly needed?: Options;
  readonly numbers?: readonly string[];
  readonly counts?: readonly string[];
  readonly functions?: readonly string[];
  readonly objects?: readonly string[];
  readonly booleans?: readonly string[];
  readonly choices?: readonly string[];
  readonly strings?: readonly string[];
}

const script = { evalsha: async () => null, eval: async () => null };

const makers: Record<string, Maker> = {
  adaptiveLimit: {
    make: (options) => adaptiveLimit(options),
    numbers: ['windowMs', 'maxWaitMs'],
    counts: ['initialLimit', 'minLimit', 'maxLimit', 'minimumSamples', 'maxWaiting'],
    functions: ['isDrop'],
    objects: ['clock'],
    choices: ['algorithm'],
    strings: ['name'],
  },
  asOpossum: {
    make: (options) => asOpossum(circuitBreaker(), () => 1, options),
    strings: ['name', 'group'],
  },
  bottleneckSchedule: {
    make: (options) => bottleneckSchedule(rateLimiter({ limit: 1 }), options),
    counts: ['maxWaiting', 'maxConcurrent'],
    objects: ['clock'],
    strings: ['key'],
  },
  bulkhead: {
    make: (options) => bulkhead(options as never),
    needed: { limit: 1 },
    numbers: ['maxWaitMs'],
    counts: ['limit', 'maxWaiting'],
    objects: ['clock'],
    strings: ['name'],
  },
  chaos: {
    make: (options) => chaos(options),
    numbers: ['latencyRate', 'latencyMs', 'errorRate', 'hangRate', 'maxHangMs', 'blastRadius'],
    functions: ['error'],
    objects: ['clock'],
    strings: ['name'],
  },
  circuitBreaker: {
    make: (options) => circuitBreaker(options),
    needed: { slowCallMs: 5 },
    numbers: [
      'failureRatio',
      'windowMs',
      'slowCallMs',
      'slowRatio',
      'openMs',
      'openFactor',
      'maxOpenMs',
      'halfOpenMs',
    ],
    counts: ['minimumCalls', 'windowBuckets', 'windowCalls', 'consecutiveFailures', 'probes'],
    functions: ['classifyError', 'classifyResult', 'random'],
    objects: ['clock'],
    booleans: ['metricsOnly'],
    strings: ['name'],
  },
  exponentialBackoff: {
    make: (options) => exponentialBackoff(options),
    numbers: ['baseMs', 'maxMs', 'factor'],
    functions: ['random'],
    choices: ['jitter'],
  },
  fallback: {
    make: (options) => fallback(() => 1, options),
    functions: ['handleIf'],
    strings: ['name'],
  },
  hedge: {
    make: (options) => hedge(options),
    numbers: ['delayMs', 'quantile'],
    counts: ['minimumSamples', 'attempts'],
    objects: ['budget', 'clock'],
    booleans: ['idempotent'],
    strings: ['name'],
  },
  loadShed: {
    make: (options) => loadShed(options),
    numbers: ['startMs', 'fullMs', 'sampleMs'],
    objects: ['clock'],
    strings: ['name'],
  },
  rateLimiter: {
    make: (options) => rateLimiter(options as never),
    needed: { limit: 1 },
    numbers: ['limit', 'perMs', 'burst', 'maxWaitMs'],
    counts: ['maxWaiting', 'maxKeys'],
    objects: ['clock'],
    strings: ['name'],
  },
  redisRateLimiter: {
    make: (options) => redisRateLimiter(options as never),
    needed: { limit: 1, redis: script },
    numbers: ['limit', 'perMs', 'burst', 'timeoutMs', 'retryLostMs', 'idleMs', 'maxWaitMs'],
    counts: ['maxLease', 'nodes', 'maxWaiting', 'maxKeys'],
    objects: ['redis', 'clock'],
    booleans: ['strict'],
    choices: ['onLost'],
    strings: ['keyPrefix', 'name'],
  },
  registry: {
    make: (options) => registry(() => 1, options),
    counts: ['maxEntries'],
    functions: ['onEvict'],
  },
  retry: {
    make: (options) => retry(options),
    numbers: ['maxRetryAfterMs'],
    counts: ['attempts'],
    functions: ['backoff', 'retryIf', 'retryResultIf'],
    objects: ['budget', 'clock'],
    strings: ['name'],
  },
  retryBudget: {
    make: (options) => retryBudget(options),
    numbers: ['ratio', 'minPerSecond', 'windowMs'],
    objects: ['clock'],
  },
  timeout: {
    make: (options) => timeout(5, options),
    numbers: ['tickMs'],
    objects: ['clock'],
    strings: ['name'],
  },
};

const WRONG: Record<string, readonly unknown[]> = {
  numbers: [Number.NaN, -1, Number.NEGATIVE_INFINITY, '5', null, true, {}, 5n],
  counts: [Number.NaN, -1, 0.5, Number.POSITIVE_INFINITY, 2 ** 60, '5', null],
  functions: [null, 'no', 5, {}],
  objects: [null, 'no', 5, {}],
  booleans: ['true', 1, null],
  choices: ['no', 5, null, ''],
  strings: ['', 5, null, {}],
};

const cases = Object.entries(makers).flatMap(([factory, maker]) =>
  Object.entries(WRONG).flatMap(([kind, values]) =>
    ((maker[kind as keyof Maker] ?? []) as readonly string[]).map((option) => ({ factory, option, values })),
  ),
);

describe('each wrong option', () => {
  it.each(cases)('of $factory is refused by name: $option', ({ factory, option, values }) => {
    const { make, needed } = makers[factory] as Maker;
    for (const value of values) {
      let thrown: unknown;
      try {
        make({ ...needed, [option]: value });
      } catch (error) {
        thrown = error;
      }
      expect(
        thrown instanceof TypeError || thrown instanceof RangeError,
        `${option}: ${String(value)} gave ${String(thrown)}`,
      ).toBe(true);
      expect((thrown as Error).message).toContain(`'${option}'`);
    }
  });

  it.each(Object.entries(makers))('of %s is refused by name when nobody knows it', (factory, maker) => {
    expect(() => maker.make({ ...maker.needed, tiemoutMs: 5 })).toThrow("unknown option 'tiemoutMs'");
    for (const options of ['no', 5, [], null]) {
      expect(() => maker.make(options as never), `${factory}(${String(options)})`).toThrow(TypeError);
    }
  });

  it.each(Object.entries(makers))('of %s: undefined is as good as absent', (_, maker) => {
    const all = Object.keys(WRONG).flatMap((kind) => (maker[kind as keyof Maker] ?? []) as string[]);
    const absent = Object.fromEntries(all.map((option) => [option, undefined]));
    expect(() => maker.make({ ...absent, ...maker.needed })).not.toThrow();
  });
});

describe('a time without end', () => {
  it.each([
    ['openMs', () => circuitBreaker({ openMs: Number.POSITIVE_INFINITY })],
    ['timeoutMs', () => timeout(Number.POSITIVE_INFINITY)],
    ['baseMs', () => exponentialBackoff({ baseMs: Number.POSITIVE_INFINITY })],
    ['delayMs', () => hedge({ delayMs: Number.POSITIVE_INFINITY })],
    ['perMs', () => rateLimiter({ limit: 1, perMs: Number.POSITIVE_INFINITY })],
    ['limit', () => rateLimiter({ limit: Number.POSITIVE_INFINITY })],
    ['burst', () => redisRateLimiter({ redis: script, limit: 1, burst: Number.POSITIVE_INFINITY })],
  ])('is refused where it would mean never: %s', (option, make) => {
    expect(make).toThrow(`'${option}'`);
  });
});

import {
  type Clock,
  type Milliseconds,
  optionReader,
  type RandomSource,
  systemClock,
  systemRandom,
} from '@hotpath/core';

/** What an ended call means to a breaker; `ignored` gives the permit back and counts for nothing. */
export type Verdict = 'success' | 'failure' | 'ignored';

/** What {@link circuitBreaker} takes. */
export interface CircuitBreakerOptions {
  /** Its name in events, errors and statistics. Default `circuit-breaker`. */
  readonly name?: string | undefined;
  /** Opens when at least this share of the window's calls failed, from above 0 to 1. Default 0.5. */
  readonly failureRatio?: number | undefined;
  /** No ratio counts before the window holds this many calls. Default 20, or `windowCalls` where that is less. */
  readonly minimumCalls?: number | undefined;
  /** How far back calls count, in milliseconds. Default 10,000. Not together with `windowCalls`. */
  readonly windowMs?: Milliseconds | undefined;
  /** Into how many buckets `windowMs` is cut: calls drop out a bucket at a time. Default 10. */
  readonly windowBuckets?: number | undefined;
  /** Count the latest this many calls instead, however old they are. */
  readonly windowCalls?: number | undefined;
  /** Opens after this many failures in a row. Given without `failureRatio` and `slowRatio`, it is the only rule. */
  readonly consecutiveFailures?: number | undefined;
  /** A call that took at least this many milliseconds is slow. Default: none is. */
  readonly slowCallMs?: Milliseconds | undefined;
  /** Opens when at least this share of the window's calls was slow, from above 0 to 1. Needs `slowCallMs`. Default 1. */
  readonly slowRatio?: number | undefined;
  /** How long it stays open before it lets probes through, in milliseconds. Default 30,000. */
  readonly openMs?: Milliseconds | undefined;
  /** By what the open time grows each time a probe round fails; from 1. Default 2. */
  readonly openFactor?: number | undefined;
  /** The open time never grows above this, in milliseconds. Default 10 times `openMs`. */
  readonly maxOpenMs?: Milliseconds | undefined;
  /** How many calls half-open lets through and decides upon. Default 3. */
  readonly probes?: number | undefined;
  /** How long half-open waits for probes under way before it opens again, in milliseconds, at least 1. Default `openMs`, or 30,000 where that is less than 1. */
  readonly halfOpenMs?: Milliseconds | undefined;
  /** What an error means. Default: {@link classifyError}. One that throws counts as a failure. */
  readonly classifyError?: ((error: unknown) => Verdict) | undefined;
  /** What a result means. Default: success. One that throws counts as a failure. */
  readonly classifyResult?: ((value: unknown) => Verdict) | undefined;
  /** Count and tell, but never open: it refuses only while somebody isolates it. Default false. */
  readonly metricsOnly?: boolean | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: RandomSource | undefined;
}

/** {@link CircuitBreakerOptions} with every default in place. */
export interface ResolvedCircuitBreakerOptions {
  readonly name: string;
  /** Above 1: the ratio never opens it. */
  readonly failureRatio: number;
  readonly minimumCalls: number;
  readonly windowMs: Milliseconds;
  readonly windowBuckets: number;
  /** 0: the window is one of time. */
  readonly windowCalls: number;
  /** 0: failures in a row never open it. */
  readonly consecutiveFailures: number;
  /** Infinity: durations are not measured. */
  readonly slowCallMs: Milliseconds;
  readonly slowRatio: number;
  readonly openMs: Milliseconds;
  readonly openFactor: number;
  readonly maxOpenMs: Milliseconds;
  readonly probes: number;
  readonly halfOpenMs: Milliseconds;
  readonly classifyError: ((error: unknown) => Verdict) | undefined;
  readonly classifyResult: ((value: unknown) => Verdict) | undefined;
  readonly metricsOnly: boolean;
  readonly clock: Clock;
  readonly random: RandomSource;
}

/** The defaults of {@link CircuitBreakerOptions} that do not depend on other options. */
export const CIRCUIT_BREAKER_DEFAULTS: {
  readonly name: string;
  readonly failureRatio: number;
  readonly minimumCalls: number;
  readonly windowMs: Milliseconds;
  readonly windowBuckets: number;
  readonly slowRatio: number;
  readonly openMs: Milliseconds;
  readonly openFactor: number;
  readonly probes: number;
} = Object.freeze({
  name: 'circuit-breaker',
  failureRatio: 0.5,
  minimumCalls: 20,
  windowMs: 10_000,
  windowBuckets: 10,
  slowRatio: 1,
  openMs: 30_000,
  openFactor: 2,
  probes: 3,
});

const NEVER = 2;
const ABOVE_ZERO = Number.MIN_VALUE;
const LONGEST_MS = Number.MAX_SAFE_INTEGER;
const MOST_CALLS = 1_000_000;

/**
 * Validates the options of a breaker and fills in the defaults.
 *
 * @example
 * resolveCircuitBreakerOptions({ openMs: 1_000 }).halfOpenMs; // 1000
 *
 * @throws TypeError or RangeError when an option, or a pair of them, is wrong.
 */
export function resolveCircuitBreakerOptions(
  options: CircuitBreakerOptions = {},
): ResolvedCircuitBreakerOptions {
  const read = optionReader('circuitBreaker', options);
  const defaults = CIRCUIT_BREAKER_DEFAULTS;
  if (options.windowCalls !== undefined && (options.windowMs ?? options.windowBuckets) !== undefined) {
    throw new TypeError(
      "circuitBreaker: option 'windowCalls' excludes 'windowMs' and 'windowBuckets', got both",
    );
  }
  if (options.slowRatio !== undefined && options.slowCallMs === undefined) {
    throw new TypeError("circuitBreaker: option 'slowRatio' needs option 'slowCallMs'");
  }
  const ruledByRatio = options.consecutiveFailures === undefined || options.slowCallMs !== undefined;
  const windowCalls = read.integer('windowCalls', 0, { min: 1, max: MOST_CALLS });
  const openMs = read.number('openMs', defaults.openMs, { min: 0, max: LONGEST_MS });
  const minimumDefault =
    windowCalls > 0 ? Math.min(windowCalls, defaults.minimumCalls) : defaults.minimumCalls;
  const resolved: ResolvedCircuitBreakerOptions = {
    name: read.string('name', defaults.name),
    failureRatio: read.number('failureRatio', ruledByRatio ? defaults.failureRatio : NEVER, {
      min: ABOVE_ZERO,
      max: 1,
    }),
    minimumCalls: read.integer('minimumCalls', minimumDefault, { min: 1, max: windowCalls || LONGEST_MS }),
    windowMs: read.number('windowMs', defaults.windowMs, { min: 1, max: LONGEST_MS }),
    windowBuckets: read.integer('windowBuckets', defaults.windowBuckets, { min: 1, max: 1_000 }),
    windowCalls,
    consecutiveFailures: read.integer('consecutiveFailures', 0, { min: 1, max: MOST_CALLS }),
    slowCallMs: read.number('slowCallMs', Number.POSITIVE_INFINITY, { min: 0, max: LONGEST_MS }),
    slowRatio: read.number('slowRatio', options.slowCallMs === undefined ? NEVER : defaults.slowRatio, {
      min: ABOVE_ZERO,
      max: 1,
    }),
    openMs,
    openFactor: read.number('openFactor', defaults.openFactor, { min: 1, max: 1_000 }),
    maxOpenMs: read.number('maxOpenMs', 10 * openMs, { min: openMs, max: 10 * LONGEST_MS }),
    probes: read.integer('probes', defaults.probes, { min: 1, max: MOST_CALLS }),
    // Without any time to answer, each probe would be given up by the next call.
    halfOpenMs: read.number('halfOpenMs', openMs < 1 ? defaults.openMs : openMs, { min: 1, max: LONGEST_MS }),
    classifyError: read.function<((error: unknown) => Verdict) | undefined>('classifyError', undefined),
    classifyResult: read.function<((value: unknown) => Verdict) | undefined>('classifyResult', undefined),
    metricsOnly: read.boolean('metricsOnly', false),
    clock: read.object<Clock>('clock', systemClock, ['now', 'wallTime']),
    random: read.function<RandomSource>('random', systemRandom),
  };
  read.end();
  return Object.freeze(resolved);
}

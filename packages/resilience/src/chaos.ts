import {
  type AbortedError,
  type Clock,
  type Milliseconds,
  optionReader,
  type RandomSource,
  type ResolvedOptions,
  seededRandom,
  systemClock,
  UpstreamError,
} from '@hotpath/core';
import { chaosEvents } from './events.ts';
import { BasePolicy, closedError } from './internal/base-policy.ts';
import { Pauses } from './internal/pauses.ts';
import type { Scope } from './internal/scope.ts';
import type { Policy, Step } from './policy.ts';

/** How chaos may end a call. */
export type ChaosError = UpstreamError<'HOTPATH_CHAOS'> | AbortedError<'HOTPATH_CLOSED'>;

/** What {@link chaos} takes. The three rates together are at most 1. */
export interface ChaosOptions {
  /** The share of affected calls that are delayed by `latencyMs`. Default 0. */
  readonly latencyRate?: number | undefined;
  /** By how much, in milliseconds. Default 100. */
  readonly latencyMs?: Milliseconds | undefined;
  /** The share of affected calls that fail without being made. Default 0. */
  readonly errorRate?: number | undefined;
  /** Makes what they fail with; what it throws is taken as well. Default: UpstreamError (HOTPATH_CHAOS). */
  readonly error?: (() => unknown) | undefined;
  /** The share of affected calls that hang. Default 0. */
  readonly hangRate?: number | undefined;
  /** A call that hangs fails after this time at the latest, in milliseconds. Default 30,000. */
  readonly maxHangMs?: Milliseconds | undefined;
  /** The share of keys that are affected at all, always the same ones; without a key, of calls. Default 1. */
  readonly blastRadius?: number | undefined;
  /** The same seed gives the same series. Default 1. */
  readonly seed?: number | undefined;
  /** Its name in events, errors and statistics. Default `chaos`. */
  readonly name?: string | undefined;
  readonly clock?: Clock | undefined;
}

/** Counters of chaos since it was made. */
export interface ChaosStats {
  readonly kind: 'chaos';
  readonly name: string;
  readonly armed: boolean;
  readonly delayedTotal: number;
  readonly failedTotal: number;
  readonly hungTotal: number;
  /** Calls that it holds at present. */
  readonly held: number;
}

/** Hurts calls on purpose, to see that everything around them stands. */
export interface ChaosPolicy extends Policy<ChaosError> {
  readonly kind: 'chaos';
  readonly armed: boolean;
  /** Begins to hurt. The returned function ends it, and lets go of every call that it holds. */
  arm(): () => void;
  stats(): ChaosStats;
}

type ResolvedChaosOptions = ResolvedOptions<ChaosOptions>;

class SeededChaos extends BasePolicy<ChaosError> implements ChaosPolicy {
  readonly kind = 'chaos';
  readonly #options: ResolvedChaosOptions;
  readonly #random: RandomSource;
  readonly #holds: Pauses;
  #armings = 0;
  #closed = false;
  #delayedTotal = 0;
  #failedTotal = 0;
  #hungTotal = 0;

  constructor(options: ResolvedChaosOptions) {
    super(options.name);
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#holds = new Pauses(options.clock);
  }

  get armed(): boolean {
    return this.#armings > 0;
  }

  arm(): () => void {
    this.#armings++;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      if (--this.#armings > 0) return;
      this.#holds.endAll();
    };
  }

  _compile(next: Step): Step {
    const { latencyMs, latencyRate, errorRate, hangRate, maxHangMs } = this.#options;
    return (work, scope) => {
      if (this.#closed) return Promise.reject(scope.refuse(closedError('chaos', this.name)));
      if (this.#armings === 0 || !this.#isAffected(scope.options.key)) return next(work, scope);
      const chance = this.#random();
      if (chance < hangRate) {
        this.#hungTotal++;
        this.#tell('hang', scope);
        return this.#holds.wait(scope, maxHangMs).then(() => {
          throw this.#failure(scope);
        });
      }
      if (chance < hangRate + errorRate) {
        this.#failedTotal++;
        this.#tell('error', scope);
        return Promise.reject(this.#failure(scope));
      }
      if (chance >= hangRate + errorRate + latencyRate) return next(work, scope);
      this.#delayedTotal++;
      this.#tell('latency', scope);
      return this.#holds.wait(scope, latencyMs).then(() => {
        if (scope.aborted) throw scope.reason;
        return next(work, scope);
      });
    };
  }

  stats(): ChaosStats {
    return {
      kind: 'chaos',
      name: this.name,
      armed: this.armed,
      delayedTotal: this.#delayedTotal,
      failedTotal: this.#failedTotal,
      hungTotal: this.#hungTotal,
      held: this.#holds.size,
    };
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#holds.leaveAll((scope) => scope.refuse(closedError('chaos', this.name)));
    return Promise.resolve();
  }

  #isAffected(key: string | undefined): boolean {
    const { blastRadius, seed } = this.#options;
    if (blastRadius === 1) return true;
    return (key === undefined ? this.#random() : shareOf(key, seed)) < blastRadius;
  }

  #failure(scope: Scope): unknown {
    let error: unknown;
    try {
      error = this.#options.error();
    } catch (thrown) {
      // What was to be made was thrown instead: as good an error as any.
      error = thrown;
    }
    return scope.refuse(error);
  }

  #tell(effect: 'latency' | 'error' | 'hang', scope: Scope): void {
    if (chaosEvents.hasSubscribers) chaosEvents.publish({ name: this.name, effect, key: scope.options.key });
  }
}

/** A number in [0, 1) that is always the same for a key. Algorithm: FNV-1a, mixed by mulberry32. */
function shareOf(key: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  return seededRandom(hash)();
}

/**
 * Makes chaos: delays, fails or hangs a share of the calls while it is armed, and nothing before.
 *
 * Put it innermost, where the dependency would be. Everything that it holds can be aborted.
 *
 * @example
 * const monkey = chaos({ errorRate: 0.2, latencyRate: 0.1, latencyMs: 500, blastRadius: 0.05, seed: 42 });
 * const calm = monkey.arm();
 * // … later
 * calm();
 *
 * @throws UpstreamError (HOTPATH_CHAOS) from `execute`, while armed.
 * @throws AbortedError (HOTPATH_CLOSED) from `execute`, after `close()`.
 * @throws TypeError or RangeError when an option is wrong.
 */
export function chaos(options: ChaosOptions = {}): ChaosPolicy {
  const read = optionReader('chaos', options);
  const share = { min: 0, max: 1 };
  const name = read.string('name', 'chaos');
  const resolved: ResolvedChaosOptions = {
    latencyRate: read.number('latencyRate', 0, share),
    latencyMs: read.number('latencyMs', 100, { min: 0, max: Number.MAX_SAFE_INTEGER }),
    errorRate: read.number('errorRate', 0, share),
    error: read.function<() => unknown>(
      'error',
      () => new UpstreamError('HOTPATH_CHAOS', `chaos '${name}' failed this call on purpose`),
    ),
    hangRate: read.number('hangRate', 0, share),
    maxHangMs: read.number('maxHangMs', 30_000, { min: 0, max: Number.MAX_SAFE_INTEGER }),
    blastRadius: read.number('blastRadius', 1, share),
    seed: read.integer('seed', 1),
    name,
    clock: read.object<Clock>('clock', systemClock, ['setTimeout', 'clearTimeout']),
  };
  read.end();
  const rates = resolved.latencyRate + resolved.errorRate + resolved.hangRate;
  if (rates > 1 + 1e-9) {
    throw new RangeError(
      `chaos: 'latencyRate', 'errorRate' and 'hangRate' must make at most 1, got ${rates}`,
    );
  }
  return new SeededChaos(Object.freeze(resolved));
}

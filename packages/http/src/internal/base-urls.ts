import type { Clock, Milliseconds, RandomSource } from '@hotpath/core';
import { ejectChannel } from '../telemetry.ts';
import type { Origin } from './origin.ts';

/** A base URL: an origin and the path that every relative URL is put behind. */
export class BaseUrl {
  readonly origin: Origin;
  /** Without a slash at its end. */
  readonly path: string;
  consecutiveFailures = 0;
  ejections = 0;
  ejectedUntilMs: Milliseconds = 0;

  constructor(origin: Origin, path: string) {
    this.origin = origin;
    this.path = path;
  }
}

/** When one of several base URLs is left alone. */
const EJECTION = { afterFailures: 5, baseMs: 30_000, maxMs: 300_000 } as const;

/**
 * Several servers for the same thing: each try goes to the less busy of two that are picked at random.
 *
 * One that failed five times in a row is left alone for 30 s, longer each time it comes back bad;
 * the last one that is not is never ejected. One whose circuit is open counts as ejected.
 * Source: M. Mitzenmacher, "The Power of Two Choices"; ejection after Envoy's outlier detection.
 */
export class BaseUrls {
  readonly all: readonly BaseUrl[];
  readonly #clock: Clock;
  readonly #random: RandomSource;

  constructor(all: readonly BaseUrl[], clock: Clock, random: RandomSource) {
    this.all = all;
    this.#clock = clock;
    this.#random = random;
  }

  /** Where the next try goes; not to `avoided`, where another one can be had. */
  pick(avoided: BaseUrl | undefined): BaseUrl {
    const now = this.#clock.now();
    let candidates = this.all.filter((base) => base !== avoided && this.#isUsable(base, now));
    if (candidates.length === 0 && avoided !== undefined && this.#isUsable(avoided, now)) return avoided;
    if (candidates.length === 0) candidates = this.all.filter((base) => base.ejectedUntilMs <= now);
    if (candidates.length === 0) candidates = [...this.all];
    const count = candidates.length;
    const first = candidates[Math.floor(this.#random() * count)]!;
    if (count === 1) return first;
    const offset = 1 + Math.floor(this.#random() * (count - 1));
    const second = candidates[(candidates.indexOf(first) + offset) % count]!;
    return second.origin.active < first.origin.active ? second : first;
  }

  onOutcome(base: BaseUrl, failed: boolean): void {
    if (!failed) {
      base.consecutiveFailures = 0;
      if (base.ejectedUntilMs <= this.#clock.now()) base.ejections = 0;
      return;
    }
    if (++base.consecutiveFailures < EJECTION.afterFailures) return;
    const now = this.#clock.now();
    const others = this.all.some((other) => other !== base && other.ejectedUntilMs <= now);
    if (base.ejectedUntilMs > now || !others) return;
    base.consecutiveFailures = 0;
    const ejectedMs = Math.min(EJECTION.maxMs, EJECTION.baseMs * ++base.ejections);
    base.ejectedUntilMs = now + ejectedMs;
    if (ejectChannel.hasSubscribers) ejectChannel.publish({ origin: base.origin.key, ejectedMs });
  }

  #isUsable(base: BaseUrl, now: Milliseconds): boolean {
    return base.ejectedUntilMs <= now && base.origin.isAdmitting;
  }
}

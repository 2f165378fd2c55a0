import type { Clock, Milliseconds, TimerHandle } from '@hotpath/core';
import type { ResolvedPoolOptions } from './pool-options.ts';
import type { PooledConnection } from './pooled-connection.ts';

/** What a look at a connection may find; `expiring` means before the next look. */
export type Verdict = 'fine' | 'leaked' | 'unused' | 'expiring' | 'expired';

/** Judges one connection by its times. */
export function verdictOn(
  connection: PooledConnection,
  { idleTimeoutMs, leakThresholdMs }: ResolvedPoolOptions,
  now: Milliseconds,
  nextLookMs: Milliseconds,
  mayShrink: boolean,
): Verdict {
  if (connection.state === 'busy') {
    const isLeaked = leakThresholdMs > 0 && now - connection.acquiredAtMs > leakThresholdMs;
    return isLeaked && !connection.leakReported ? 'leaked' : 'fine';
  }
  if (connection.state !== 'idle') return 'fine';
  if (mayShrink && idleTimeoutMs > 0 && now - connection.lastUsedAtMs >= idleTimeoutMs) return 'unused';
  if (now >= connection.expiresAtMs) return 'expired';
  return nextLookMs >= connection.expiresAtMs && !connection.replacing ? 'expiring' : 'fine';
}

const LONGEST_PERIOD_MS = 10_000;
const SHORTEST_PERIOD_MS = 10;

/** One timer for the times of all connections; it keeps no process alive. */
export class SweepTimer {
  readonly #clock: Clock;
  readonly #everyMs: Milliseconds | undefined;
  readonly #sweep: (everyMs: Milliseconds) => boolean;
  #timer: TimerHandle | undefined;

  /** @param sweep Looks at all connections; returns whether there are any left to look at. */
  constructor(
    { clock, idleTimeoutMs, maxLifetimeMs, leakThresholdMs }: ResolvedPoolOptions,
    sweep: (everyMs: Milliseconds) => boolean,
  ) {
    this.#clock = clock;
    this.#sweep = sweep;
    const periods = [idleTimeoutMs, maxLifetimeMs, leakThresholdMs].filter((ms) => ms > 0);
    if (periods.length === 0) return;
    this.#everyMs = Math.min(LONGEST_PERIOD_MS, Math.max(SHORTEST_PERIOD_MS, Math.min(...periods) / 4));
  }

  arm(): void {
    const everyMs = this.#everyMs;
    if (this.#timer !== undefined || everyMs === undefined) return;
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      if (this.#sweep(everyMs)) this.arm();
    }, everyMs);
    this.#timer.unref();
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

const SITE_FRAMES = 12;

/** The stack of whoever asks for a connection. */
export function callSite(): string | undefined {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = SITE_FRAMES;
  const { stack } = new Error();
  Error.stackTraceLimit = limit;
  return stack?.split('\n').slice(3).join('\n');
}

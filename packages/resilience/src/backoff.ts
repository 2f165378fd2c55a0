import { type Milliseconds, optionReader, type RandomSource, systemRandom } from '@hotpath/core';

/** How long to wait before try `attempt + 1`, after try `attempt` (from 1) failed. */
export type Backoff = (attempt: number) => Milliseconds;

/** What {@link exponentialBackoff} takes. */
export interface ExponentialBackoffOptions {
  /** The first wait's upper end, in milliseconds. Default 100. */
  readonly baseMs?: Milliseconds | undefined;
  /** No wait is longer, in milliseconds. Default 30,000. */
  readonly maxMs?: Milliseconds | undefined;
  /** By what the upper end grows with each try. Default 2; at least 1. */
  readonly factor?: number | undefined;
  /** `full` (default): anything from 0 to the upper end; `equal`: from half of it; `none`: the upper end itself. */
  readonly jitter?: 'full' | 'equal' | 'none' | undefined;
  readonly random?: RandomSource | undefined;
}

/**
 * Makes a back-off whose waits grow exponentially, spread at random so that callers do not return in step.
 *
 * Never above `maxMs`, whatever the attempt. Source: "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
 *
 * @example
 * const backoff = exponentialBackoff({ baseMs: 50, maxMs: 2_000 });
 * backoff(1); // from 0 to 50
 *
 * @throws TypeError or RangeError when an option is wrong.
 */
export function exponentialBackoff(options: ExponentialBackoffOptions = {}): Backoff {
  const read = optionReader('exponentialBackoff', options);
  const baseMs = read.number('baseMs', 100, { min: 0, max: Number.MAX_SAFE_INTEGER });
  const maxMs = read.number('maxMs', 30_000, { min: 0, max: Number.MAX_SAFE_INTEGER });
  const factor = read.number('factor', 2, { min: 1, max: 1_000 });
  const jitter = read.oneOf('jitter', ['full', 'equal', 'none'], 'full');
  const random = read.function<RandomSource>('random', systemRandom);
  read.end();
  const floor = jitter === 'full' ? 0 : jitter === 'equal' ? 0.5 : 1;
  return (attempt) => {
    // `0 * Infinity` is NaN, so a base of 0 stays out of the power.
    const upperMs = baseMs === 0 ? 0 : Math.min(maxMs, baseMs * factor ** (attempt - 1));
    return floor === 1 ? upperMs : upperMs * (floor + (1 - floor) * random());
  };
}

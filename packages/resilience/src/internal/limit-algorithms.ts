import type { Milliseconds } from '@hotpath/core';

/** What a window of calls has shown. */
export interface LimitSample {
  /** The average time a call took. */
  readonly rttMs: Milliseconds;
  /** The most calls that ran at once. */
  readonly inFlight: number;
  /** Whether a call was dropped or timed out. */
  readonly dropped: boolean;
}

/** Says what the limit should be after a sample. */
export interface LimitAlgorithm {
  next(limit: number, sample: LimitSample): number;
}

/** What a drop multiplies the limit by. */
const BACKOFF = 0.9;

/** Whether the limit was used enough for the sample to say anything about it. */
function underLoad(limit: number, { inFlight }: LimitSample): boolean {
  return inFlight * 2 >= limit;
}

/** One more while it goes well, a tenth less at a drop. */
export function aimd(): LimitAlgorithm {
  return {
    next: (limit, sample) => {
      if (sample.dropped) return limit * BACKOFF;
      return underLoad(limit, sample) ? limit + 1 : limit;
    },
  };
}

// After so many windows, times the limit, the idle time is measured anew: the network may have changed.
const PROBE_WINDOWS = 30;

/** Keeps the estimated queue at the dependency between two bounds. Source: TCP Vegas (Brakmo and Peterson, 1995), as Netflix applies it. */
export function vegas(): LimitAlgorithm {
  let idleRttMs = 0;
  let windows = 0;
  return {
    next: (limit, sample) => {
      const { rttMs, dropped } = sample;
      const step = Math.max(1, Math.log10(limit));
      if (++windows >= PROBE_WINDOWS * limit) {
        windows = 0;
        idleRttMs = rttMs;
        return limit;
      }
      if (dropped) return limit - step;
      if (idleRttMs === 0 || rttMs < idleRttMs) {
        idleRttMs = rttMs;
        return limit;
      }
      if (!underLoad(limit, sample)) return limit;
      const queue = Math.ceil(limit * (1 - idleRttMs / rttMs));
      if (queue <= step) return limit + 6 * step;
      if (queue < 3 * step) return limit + step;
      return queue > 6 * step ? limit - step : limit;
    },
  };
}

const LONG_WINDOWS = 600;
const WARM_UP_WINDOWS = 10;
const TOLERANCE = 1.5;
const QUEUE = 4;
const SMOOTHING = 0.2;

/** Follows the ratio of the long-term to the present time a call takes. Source: Netflix concurrency-limits, Gradient2. */
export function gradient2(): LimitAlgorithm {
  let longRttMs = 0;
  let windows = 0;
  return {
    next: (limit, sample) => {
      const { rttMs, dropped } = sample;
      if (dropped) return limit * BACKOFF;
      windows++;
      // A plain mean at first: one odd window must not stand for the long term.
      longRttMs +=
        windows <= WARM_UP_WINDOWS
          ? (rttMs - longRttMs) / windows
          : (rttMs - longRttMs) * (2 / (LONG_WINDOWS + 1));
      // After an overload the long-term value is far too high and would take minutes to come down.
      if (longRttMs > 2 * rttMs) longRttMs *= 0.95;
      if (!underLoad(limit, sample) || rttMs === 0) return limit;
      const gradient = Math.max(0.5, Math.min(1, (TOLERANCE * longRttMs) / rttMs));
      // Headroom for a queue only while there is no sign of one.
      const wanted = limit * gradient + (gradient < 1 ? 0 : QUEUE);
      return limit * (1 - SMOOTHING) + wanted * SMOOTHING;
    },
  };
}

import type { Milliseconds, RandomSource } from '@hotpath/core';

/** {@link EntryOptions} with every default in place. */
export interface ResolvedEntryOptions {
  readonly ttlMs: Milliseconds;
  readonly negativeTtlMs: Milliseconds;
  readonly staleMs: Milliseconds;
  readonly graceMs: Milliseconds;
  readonly jitterRatio: number;
  readonly earlyRefreshBeta: number;
  readonly softTimeoutMs: Milliseconds;
  readonly timeoutMs: Milliseconds;
}

/** How long a value lives from the moment it is stored, and what its load took. */
export interface Lifetime {
  readonly freshMs: Milliseconds;
  readonly staleMs: Milliseconds;
  readonly graceMs: Milliseconds;
  readonly loadMs: Milliseconds;
}

/** Draws the lifetime of a value; `ttlMs` is what its loader asked for, where it did. */
export function drawLifetime(
  options: ResolvedEntryOptions,
  value: unknown,
  ttlMs: Milliseconds | undefined,
  loadMs: Milliseconds,
  random: RandomSource,
): Lifetime {
  const isNegative = value === null || value === undefined;
  const wholeMs = ttlMs ?? (isNegative ? options.negativeTtlMs : options.ttlMs);
  const freshMs = Math.floor(wholeMs * (1 - options.jitterRatio * random()));
  return { freshMs, staleMs: options.staleMs, graceMs: options.graceMs, loadMs };
}

/**
 * How long before its expiry a value should be refreshed, drawn once a value and process.
 *
 * The longer the load takes the earlier; on average `beta` load times before the expiry, so that of
 * many processes one is first. Source: "Optimal Probabilistic Cache Stampede Prevention" (Vattani, 2015).
 */
export function drawEarlyRefreshMs(loadMs: Milliseconds, beta: number, random: RandomSource): Milliseconds {
  if (beta === 0 || loadMs === 0) return 0;
  return Math.ceil(-loadMs * beta * Math.log(1 - random()));
}

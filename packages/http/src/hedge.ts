import { type Milliseconds, optionReader } from '@hotpath/core';

/**
 * When a second try starts beside a slow first.
 *
 * Only for idempotent requests whose body can be sent again, where a place is free, and within the rate limit.
 */
export interface HttpHedgeOptions {
  /** Milliseconds after which, from 0; `'p95'` (default): what 95 % of the origin's requests take, once 100 were seen. */
  readonly delayMs?: Milliseconds | 'p95' | undefined;
  /** Second tries as a share (0 to 1) of an origin's requests, at most, besides a first one. Default 0.1. */
  readonly maxRatio?: number | undefined;
}

/** {@link HttpHedgeOptions}, checked and completed. */
export interface ResolvedHttpHedgeOptions {
  /** `undefined`: learned. */
  readonly delayMs: Milliseconds | undefined;
  readonly maxRatio: number;
}

/** @throws TypeError or RangeError naming the option that is wrong. */
export function resolveHttpHedgeOptions(options: HttpHedgeOptions): ResolvedHttpHedgeOptions {
  const read = optionReader("createHttpClient: option 'hedge'", options);
  const delayMs = options.delayMs === 'p95' ? undefined : read.number('delayMs', undefined, { min: 0 });
  read.any('delayMs');
  const maxRatio = read.number('maxRatio', 0.1, { min: 0, max: 1 });
  read.end();
  return Object.freeze({ delayMs, maxRatio });
}

/** What `true` means for a request whose client has it off. */
export const HTTP_HEDGE: ResolvedHttpHedgeOptions = resolveHttpHedgeOptions({});

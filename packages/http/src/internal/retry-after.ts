import type { Milliseconds } from '@hotpath/core';
import { parseRetryAfter } from '@hotpath/resilience';
import type { HttpResponseHeaders } from '../response.ts';

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

/**
 * How long the server asks to be left alone; `undefined` when it does not say.
 *
 * `Retry-After` in seconds or as a date (RFC 9110, 10.2.3); else a spent `RateLimit`
 * (`"policy";r=0;t=30`) or `RateLimit-Remaining: 0` with `RateLimit-Reset` (IETF drafts).
 */
export function retryAfterMs(
  headers: HttpResponseHeaders,
  wallTimeMs: Milliseconds,
): Milliseconds | undefined {
  const retryAfter = one(headers['retry-after']);
  if (retryAfter !== undefined) {
    const waitMs = parseRetryAfter(retryAfter, wallTimeMs);
    if (waitMs !== undefined) return waitMs;
  }
  const rateLimit = one(headers.ratelimit);
  if (rateLimit !== undefined) {
    const remaining = /(?:^|[;,\s])(?:r|remaining)=(\d+)/.exec(rateLimit)?.[1];
    const reset = /(?:^|[;,\s])(?:t|reset)=(\d+)/.exec(rateLimit)?.[1];
    if (remaining === '0' && reset !== undefined) return Number(reset) * 1_000;
  }
  const reset = one(headers['ratelimit-reset']);
  if (one(headers['ratelimit-remaining']) === '0' && reset !== undefined && /^\d+$/.test(reset)) {
    return Number(reset) * 1_000;
  }
  return undefined;
}

import type { Milliseconds } from '@hotpath/core';
import type { Admission } from './internal/gcra.ts';

/** A limiter's rule as the header fields tell it. */
export interface RateLimitPolicyDescription {
  /** The policy's name: printable ASCII without quotes and backslashes. */
  readonly name: string;
  /** How much may be spent per window, in whole units. */
  readonly quota: number;
  readonly windowMs: Milliseconds;
}

/** Header fields by name, ready for `response.setHeader` or `new Headers`. */
export type RateLimitHeaders = Record<string, string>;

/**
 * Makes the fields `RateLimit-Policy` and `RateLimit`, and `Retry-After` for a refusal.
 *
 * Seconds are rounded up, so that nobody returns too early; a refusal for ever has no `Retry-After`.
 * Source: draft-ietf-httpapi-ratelimit-headers; RFC 9110, section 10.2.3.
 *
 * @example
 * const limiter = rateLimiter({ limit: 100, perMs: 60_000, burst: 20 });
 * const headers = rateLimitHeaders(limiter.tryAcquire(), { name: 'client', quota: 100, windowMs: 60_000 });
 * headers.RateLimit; // '"client";r=19;t=1'
 *
 * @throws RangeError when the name can't be a structured-field string.
 */
export function rateLimitHeaders(admission: Admission, policy: RateLimitPolicyDescription): RateLimitHeaders {
  const { name, quota, windowMs } = policy;
  if (!/^[ !#-[\]-~]+$/.test(name)) {
    throw new RangeError(
      `rateLimitHeaders: 'name' must be printable ASCII without quotes, got ${JSON.stringify(name)}`,
    );
  }
  const headers: RateLimitHeaders = {
    'RateLimit-Policy': `"${name}";q=${Math.floor(quota)};w=${seconds(windowMs)}`,
    RateLimit: `"${name}";r=${admission.remaining};t=${seconds(admission.resetMs)}`,
  };
  if (!admission.allowed && Number.isFinite(admission.retryAfterMs)) {
    headers['Retry-After'] = String(Math.max(1, seconds(admission.retryAfterMs)));
  }
  return headers;
}

function seconds(durationMs: Milliseconds): number {
  return Math.ceil(durationMs / 1_000 - 1e-9);
}

/**
 * Reads a `Retry-After` value, seconds or an HTTP date, as milliseconds from `wallNowMs`; never negative.
 *
 * Returns `undefined` when the value is neither. Source: RFC 9110, section 10.2.3. Never throws.
 *
 * @example
 * parseRetryAfter('120', Date.now()); // 120000
 */
export function parseRetryAfter(value: string, wallNowMs: Milliseconds): Milliseconds | undefined {
  const text = value.trim();
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1_000, Number.MAX_SAFE_INTEGER);
  // `Date.parse` takes much that is no HTTP date, a bare negative number among it.
  if (!/^[A-Za-z]{3,9},? /.test(text)) return undefined;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - wallNowMs);
}

import { describe, expect, it } from 'vitest';
import { retryAfterMs } from '../../src/internal/retry-after.ts';

const NOW = Date.UTC(2026, 0, 1);

describe('how long a server asks to be left alone', () => {
  it('is read from Retry-After in seconds or as a date, never below 0', () => {
    expect(retryAfterMs({ 'retry-after': '3600' }, NOW)).toBe(3_600_000);
    expect(retryAfterMs({ 'retry-after': 'Thu, 01 Jan 2026 00:00:30 GMT' }, NOW)).toBe(30_000);
    expect(retryAfterMs({ 'retry-after': 'Wed, 31 Dec 2025 00:00:00 GMT' }, NOW)).toBe(0);
  });

  it('is read from a spent RateLimit, in the form of either draft', () => {
    expect(retryAfterMs({ ratelimit: '"default";r=0;t=30' }, NOW)).toBe(30_000);
    expect(retryAfterMs({ ratelimit: 'limit=10, remaining=0, reset=7' }, NOW)).toBe(7_000);
    expect(retryAfterMs({ 'ratelimit-remaining': '0', 'ratelimit-reset': '5' }, NOW)).toBe(5_000);
    expect(retryAfterMs({ ratelimit: '"default";r=3;t=30' }, NOW)).toBeUndefined();
  });

  it('is unknown when nothing sensible is said', () => {
    for (const value of ['soon', '-1', '1.5', ''])
      expect(retryAfterMs({ 'retry-after': value }, NOW)).toBeUndefined();
    expect(retryAfterMs({}, NOW)).toBeUndefined();
  });
});

import type { Milliseconds } from '@hotpath/core';
import { parseRetryAfter } from '../rate-limit-headers.ts';

/**
 * How long an error asks to wait: its `retryAfterMs`, or the `Retry-After` header of it or of its response.
 * 0 when it asks for nothing.
 */
export function retryAfterOf(error: unknown, wallNowMs: () => Milliseconds): Milliseconds {
  if (typeof error !== 'object' || error === null) return 0;
  const { retryAfterMs, headers, response } = error as {
    retryAfterMs?: unknown;
    headers?: unknown;
    response?: { headers?: unknown } | null;
  };
  if (typeof retryAfterMs === 'number' && retryAfterMs >= 0) return retryAfterMs;
  const value = retryAfterHeader(headers) ?? retryAfterHeader(response?.headers);
  return value === undefined ? 0 : (parseRetryAfter(value, wallNowMs()) ?? 0);
}

function retryAfterHeader(headers: unknown): string | undefined {
  if (typeof headers !== 'object' || headers === null) return undefined;
  const get = (headers as { get?: unknown }).get;
  const value =
    typeof get === 'function'
      ? get.call(headers, 'retry-after')
      : ((headers as Record<string, unknown>)['retry-after'] ??
        (headers as Record<string, unknown>)['Retry-After']);
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : undefined;
}

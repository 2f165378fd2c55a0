import { randomBytes } from 'node:crypto';
import type { TraceContext } from '../request.ts';
import { headerOf } from './headers.ts';

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZERO_TRACE = '0'.repeat(32);
const ZERO_SPAN = '0'.repeat(16);

/**
 * The `traceparent` for what is sent on behalf of another: the same trace and flags, a new parent.
 *
 * `undefined` when the given one is not valid: then nothing is sent, as the standard asks.
 * Source: W3C Trace Context, level 1.
 */
export function childTraceparent(parent: string): string | undefined {
  const match = TRACEPARENT.exec(parent);
  if (match === null) return undefined;
  const [, version, traceId, parentId, flags, rest] = match;
  if (version === 'ff' || traceId === ZERO_TRACE || parentId === ZERO_SPAN) return undefined;
  if (version === '00' && rest !== undefined) return undefined;
  return `00-${traceId}-${randomBytes(8).toString('hex')}-${flags}`;
}

// Printable ASCII, as the standard has it; it often comes from outside, and must not end a header.
const TRACESTATE = /^[\t\x20-\x7e]+$/;

/** Headers with those that carry a context on, unless the caller gave them or the context is not valid. */
export function withTrace(headers: string[], { traceparent: parent, tracestate }: TraceContext): string[] {
  const traceparent = childTraceparent(parent);
  if (traceparent === undefined || headerOf(headers, 'traceparent') !== undefined) return headers;
  const result = [...headers, 'traceparent', traceparent];
  if (typeof tracestate === 'string' && TRACESTATE.test(tracestate)) result.push('tracestate', tracestate);
  return result;
}

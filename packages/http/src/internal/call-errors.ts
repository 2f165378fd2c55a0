import type { Milliseconds } from '@hotpath/core';
import {
  type HttpAbortedError,
  HttpCorruptError,
  type HttpErrorDetails,
  HttpRejectedError,
  HttpTimeoutError,
  HttpUnavailableError,
} from '../errors.ts';
import type { Call } from './call.ts';
import { ClientClosed, toFailure } from './failure.ts';

/** The deadline has passed. */
export function timedOut(call: Call): HttpTimeoutError {
  const message = `not done within ${call.spec.timeoutMs} ms`;
  return new HttpTimeoutError('HOTPATH_HTTP_TIMEOUT', message, call.details());
}

/** The client is closed. */
export function clientClosed(call: Call): HttpAbortedError {
  return toFailure(new ClientClosed('the client is closed'), call.details()).error as HttpAbortedError;
}

export function circuitOpen(call: Call): HttpUnavailableError {
  const details = { ...call.details(), retryAfterMs: call.origin.breaker?.retryAfterMs };
  return new HttpUnavailableError('HOTPATH_HTTP_CIRCUIT_OPEN', 'the circuit of this origin is open', details);
}

export function queueFull(details: HttpErrorDetails): HttpRejectedError {
  return new HttpRejectedError('HOTPATH_HTTP_QUEUE_FULL', 'too many requests wait already', details);
}

export function rateLimited(call: Call, retryAfterMs: Milliseconds, cause: unknown): HttpRejectedError {
  const details = { ...call.details(), retryAfterMs, cause };
  return new HttpRejectedError('HOTPATH_HTTP_RATE_LIMITED', 'over the rate limit of this origin', details);
}

/** A body that streams was encoded although it was asked not to be. */
export function encodedStream(call: Call, encoding: string | string[]): HttpCorruptError {
  const message = `the body is encoded as '${String(encoding).slice(0, 20)}', which was not asked for`;
  return new HttpCorruptError('HOTPATH_HTTP_BAD_ENCODING', message, call.details());
}

import {
  HttpAbortedError,
  HttpCorruptError,
  type HttpError,
  type HttpErrorDetails,
  HttpRejectedError,
  HttpTimeoutError,
  HttpUnavailableError,
} from '../errors.ts';
import { ConnectTimeout } from './dialer.ts';
import { NOT_SENT } from './h1-connection.ts';

/** The answer is larger than it may be. */
export class TooLarge extends Error {
  constructor(maxBytes: number) {
    super(`the answer is larger than ${maxBytes} bytes`);
  }
}

/** An address that may not be connected to. */
export class AddressRefused extends Error {}

/** One try took longer than it may. */
export class AttemptTimeout extends Error {
  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs} ms`);
  }
}

/** The peer refused or gave up the exchange before it did anything with it. */
export class NotProcessed extends Error {}

/** The client was closed. */
export class ClientClosed extends Error {}

/** What a failed try means for the request. */
export interface Failure {
  readonly error: HttpError;
  /** Another try may end differently. */
  readonly isTransient: boolean;
  /** It says something about the server's health. */
  readonly countsAgainstOrigin: boolean;
}

// What undici and the platform call an answer that breaks the protocol.
const PROTOCOL_CODES = new Set([
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'UND_ERR_HEADERS_OVERFLOW',
  'UND_ERR_RES_EXCEEDED_MAX_SIZE',
  // undici takes it for granted that a status is at least 100.
  'ERR_ASSERTION',
  'ERR_HTTP2_PROTOCOL_ERROR',
]);

function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' ? code : '';
}

function isConnectFailure(error: unknown): boolean {
  const code = codeOf(error);
  return (
    code === 'ECONNREFUSED' ||
    code === 'ENOTFOUND' ||
    code === 'EAI_AGAIN' ||
    code === 'EHOSTUNREACH' ||
    code === 'ENETUNREACH' ||
    code.startsWith('ERR_TLS') ||
    code.startsWith('CERT_')
  );
}

/** Whether a socket ended under an exchange, as opposed to speaking nonsense on it. */
export function isConnectionLoss(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNABORTED';
}

function messageOf(error: unknown): string {
  return error instanceof Error && error.message !== '' ? error.message : codeOf(error) || String(error);
}

/** Puts what undici, the platform or this package failed with into the caller's terms. */
export function toFailure(raw: unknown, details: HttpErrorDetails): Failure {
  const withCause = { ...details, cause: raw };
  if (raw instanceof ConnectTimeout) {
    const error = new HttpTimeoutError('HOTPATH_HTTP_CONNECT_TIMEOUT', raw.message, details);
    return { error, isTransient: true, countsAgainstOrigin: true };
  }
  if (raw instanceof AttemptTimeout) {
    const error = new HttpTimeoutError('HOTPATH_HTTP_ATTEMPT_TIMEOUT', raw.message, details);
    return { error, isTransient: true, countsAgainstOrigin: true };
  }
  if (raw instanceof AddressRefused) {
    const error = new HttpRejectedError('HOTPATH_HTTP_ADDRESS_REFUSED', raw.message, details);
    return { error, isTransient: false, countsAgainstOrigin: false };
  }
  if (raw instanceof TooLarge) {
    const error = new HttpCorruptError('HOTPATH_HTTP_TOO_LARGE', raw.message, details);
    return { error, isTransient: false, countsAgainstOrigin: false };
  }
  if (raw instanceof ClientClosed) {
    const error = new HttpAbortedError('HOTPATH_HTTP_CLOSED', raw.message, details);
    return { error, isTransient: false, countsAgainstOrigin: false };
  }
  if (details.phase === 'connect' || isConnectFailure(raw)) {
    const message = `could not connect: ${messageOf(raw)}`;
    const error = new HttpUnavailableError('HOTPATH_HTTP_CONNECT_FAILED', message, withCause);
    return { error, isTransient: true, countsAgainstOrigin: true };
  }
  if (isConnectionLoss(raw) || raw === NOT_SENT || raw instanceof NotProcessed) {
    const message = `the connection was lost: ${messageOf(raw)}`;
    const error = new HttpUnavailableError('HOTPATH_HTTP_CONNECTION_LOST', message, withCause);
    return { error, isTransient: true, countsAgainstOrigin: true };
  }
  const code = codeOf(raw);
  if (PROTOCOL_CODES.has(code) || (raw as Error | undefined)?.name === 'HTTPParserError') {
    const message = `the answer is broken: ${messageOf(raw)}`;
    const error = new HttpCorruptError('HOTPATH_HTTP_BAD_RESPONSE', message, withCause);
    return { error, isTransient: true, countsAgainstOrigin: true };
  }
  const message = `the exchange failed: ${messageOf(raw)}`;
  const error = new HttpUnavailableError('HOTPATH_HTTP_CONNECTION_LOST', message, withCause);
  return { error, isTransient: false, countsAgainstOrigin: false };
}

import {
  AbortedError,
  CorruptError,
  type ErrorCode,
  type Milliseconds,
  RejectedError,
  TimeoutError,
  UnavailableError,
  UpstreamError,
} from '@hotpath/core';

/** How far a request had come: waiting for a place, for a socket, for the answer's head or for its body. */
export type HttpPhase = 'queue' | 'connect' | 'headers' | 'body';

/** What every error of this package tells about its request. */
export interface HttpErrorDetails {
  readonly method: string;
  /** Without user, password, query and fragment. */
  readonly url: string;
  /** Which try this was, from 1; 0 when none was begun. */
  readonly attempt: number;
  readonly phase: HttpPhase;
  /** The status that the server answered with; `undefined` when no head came. */
  readonly status?: number | undefined;
  /** Milliseconds after which another try may succeed; `undefined` when nobody said. */
  readonly retryAfterMs?: Milliseconds | undefined;
  readonly cause?: unknown;
}

/** The details without the cause, which `Error` keeps itself. */
type Carried = Omit<HttpErrorDetails, 'cause'>;

function carry(error: Error, details: HttpErrorDetails): void {
  const { method, url, attempt, phase, status, retryAfterMs } = details;
  Object.assign(error, { method, url, attempt, phase, status, retryAfterMs });
}

function told(message: string, { method, url }: HttpErrorDetails): string {
  return `${method} ${url}: ${message}`;
}

// An absent cause must not become a property that says `undefined`.
function causeOf(details: HttpErrorDetails): { cause?: unknown } {
  return details.cause === undefined ? {} : { cause: details.cause };
}

export interface HttpTimeoutError extends Carried {}
/** The time for the whole request, for one try or for connecting was over. The server may still have acted on it. */
export class HttpTimeoutError<
  Code extends ErrorCode =
    | 'HOTPATH_HTTP_TIMEOUT'
    | 'HOTPATH_HTTP_ATTEMPT_TIMEOUT'
    | 'HOTPATH_HTTP_CONNECT_TIMEOUT',
> extends TimeoutError<Code> {
  static {
    this.prototype.name = 'HttpTimeoutError';
  }

  constructor(code: Code, message: string, details: HttpErrorDetails) {
    super(code, told(message, details), causeOf(details));
    carry(this, details);
  }
}

export interface HttpAbortedError extends Carried {}
/** The client was closed before the request was done. */
export class HttpAbortedError<Code extends ErrorCode = 'HOTPATH_HTTP_CLOSED'> extends AbortedError<Code> {
  static {
    this.prototype.name = 'HttpAbortedError';
  }

  constructor(code: Code, message: string, details: HttpErrorDetails) {
    super(code, told(message, details), causeOf(details));
    carry(this, details);
  }
}

export interface HttpRejectedError extends Omit<Carried, 'retryAfterMs'> {}
/** The request was not sent: a queue was full, a limit reached, or an address not allowed. */
export class HttpRejectedError<
  Code extends ErrorCode =
    | 'HOTPATH_HTTP_QUEUE_FULL'
    | 'HOTPATH_HTTP_RATE_LIMITED'
    | 'HOTPATH_HTTP_ORIGINS_FULL'
    | 'HOTPATH_HTTP_ADDRESS_REFUSED',
> extends RejectedError<Code> {
  static {
    this.prototype.name = 'HttpRejectedError';
  }

  constructor(code: Code, message: string, details: HttpErrorDetails) {
    super(code, told(message, details), { ...causeOf(details), retryAfterMs: details.retryAfterMs });
    carry(this, details);
  }
}

export interface HttpUnavailableError extends Omit<Carried, 'retryAfterMs'> {}
/** The server can't be reached, its connection was lost, or its circuit is open. */
export class HttpUnavailableError<
  Code extends ErrorCode =
    | 'HOTPATH_HTTP_CIRCUIT_OPEN'
    | 'HOTPATH_HTTP_CONNECT_FAILED'
    | 'HOTPATH_HTTP_CONNECTION_LOST',
> extends UnavailableError<Code> {
  static {
    this.prototype.name = 'HttpUnavailableError';
  }

  constructor(code: Code, message: string, details: HttpErrorDetails) {
    super(code, told(message, details), { ...causeOf(details), retryAfterMs: details.retryAfterMs });
    carry(this, details);
  }
}

/** What an {@link HttpStatusError} keeps of the answer. */
export interface HttpFailedResponse {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The body, whole, as text. */
  readonly body: string;
}

export interface HttpStatusError extends Carried {
  readonly status: number;
}
/** The server answered with a status that means failure, or with a redirect that may not be followed. */
export class HttpStatusError<
  Code extends ErrorCode = 'HOTPATH_HTTP_STATUS' | 'HOTPATH_HTTP_REDIRECT_REFUSED',
> extends UpstreamError<Code> {
  static {
    this.prototype.name = 'HttpStatusError';
  }

  readonly #response: HttpFailedResponse;

  constructor(code: Code, message: string, details: HttpErrorDetails, response: HttpFailedResponse) {
    super(code, told(message, details), causeOf(details));
    carry(this, details);
    this.#response = response;
  }

  /** The answer. Not enumerable, so that logging the error does not log what the server said. */
  get response(): HttpFailedResponse {
    return this.#response;
  }
}

export interface HttpCorruptError extends Carried {}
/** The answer is broken, too large, or not what the caller's schema asks for. */
export class HttpCorruptError<
  Code extends ErrorCode =
    | 'HOTPATH_HTTP_BAD_RESPONSE'
    | 'HOTPATH_HTTP_BAD_BODY'
    | 'HOTPATH_HTTP_BAD_ENCODING'
    | 'HOTPATH_HTTP_SCHEMA'
    | 'HOTPATH_HTTP_TOO_LARGE',
> extends CorruptError<Code> {
  static {
    this.prototype.name = 'HttpCorruptError';
  }

  constructor(code: Code, message: string, details: HttpErrorDetails) {
    super(code, told(message, details), causeOf(details));
    carry(this, details);
  }
}

/** Every error that this package makes; tell them apart by `code`. */
export type HttpError =
  | HttpTimeoutError
  | HttpAbortedError
  | HttpRejectedError
  | HttpUnavailableError
  | HttpStatusError
  | HttpCorruptError;

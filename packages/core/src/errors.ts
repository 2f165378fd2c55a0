/** What went wrong, in the terms a caller acts on. */
export type ErrorFamily =
  | 'timeout'
  | 'aborted'
  | 'rejected'
  | 'unavailable'
  | 'upstream'
  | 'corrupt'
  | 'governance';

/** A stable, machine-readable error code. Codes are never renamed; `docs/errors.md` lists them all. */
export type ErrorCode = `HOTPATH_${string}`;

/** What every error constructor of this library takes besides its code and message. */
export interface HotpathErrorOptions {
  /** The error that led to this one. */
  readonly cause?: unknown;
}

/** Registered, so that two copies or versions of this module recognise each other's errors. */
export const hotpathErrorBrand: unique symbol = Symbol.for('hotpath.error');

/**
 * The base of every error that this library throws on purpose; tell them apart by `code`.
 *
 * Recognise one with {@link isHotpathError} rather than with `instanceof`: the former also works
 * when two versions of a package are installed.
 */
export abstract class HotpathError<Code extends ErrorCode = ErrorCode> extends Error {
  static {
    // Not by name, here and below: a bundler renames a class that its own body names, and stack traces tell it.
    Object.defineProperty(this.prototype, hotpathErrorBrand, { value: true });
  }

  abstract readonly family: ErrorFamily;
  readonly code: Code;

  constructor(code: Code, message: string, options?: HotpathErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * Whether a value is an error of this library, of whichever copy or version of it.
 *
 * @example
 * await sleep(1, { signal: AbortSignal.abort(deadlineError(500)) }).catch((error) => {
 *   if (!isHotpathError(error, 'HOTPATH_DEADLINE')) throw error;
 * });
 *
 * @param code Where given, whether it is also an error with exactly this code.
 */
export function isHotpathError<Code extends ErrorCode = ErrorCode>(
  value: unknown,
  code?: Code,
): value is HotpathError<Code> {
  if (typeof value !== 'object' || value === null) return false;
  const error = value as { [hotpathErrorBrand]?: unknown; code?: unknown };
  return error[hotpathErrorBrand] === true && (code === undefined || error.code === code);
}

/** A deadline passed before the work was done. The work may still have had its effect. */
export class TimeoutError<Code extends ErrorCode = ErrorCode> extends HotpathError<Code> {
  static {
    this.prototype.name = 'TimeoutError';
  }

  get family(): 'timeout' {
    return 'timeout';
  }
}

/** The work was given up by this library: its owner closed, or a sibling failed. */
export class AbortedError<Code extends ErrorCode = ErrorCode> extends HotpathError<Code> {
  static {
    this.prototype.name = 'AbortedError';
  }

  get family(): 'aborted' {
    return 'aborted';
  }
}

/** What {@link RejectedError} takes besides its code and message. */
export interface RejectedErrorOptions extends HotpathErrorOptions {
  /** Milliseconds after which another try may be admitted. Absent when that can't be known. */
  readonly retryAfterMs?: number | undefined;
}

/** The work was not begun, because a limit was reached or a queue was full. */
export class RejectedError<Code extends ErrorCode = ErrorCode> extends HotpathError<Code> {
  static {
    this.prototype.name = 'RejectedError';
  }

  /** Milliseconds after which another try may be admitted; `undefined` when that can't be known. */
  readonly retryAfterMs: number | undefined;

  constructor(code: Code, message: string, options?: RejectedErrorOptions) {
    super(code, message, options);
    this.retryAfterMs = options?.retryAfterMs;
  }

  get family(): 'rejected' {
    return 'rejected';
  }
}

/** The work was not begun, because what it needs is known to be away: a circuit is open, a server is lost. */
export class UnavailableError<Code extends ErrorCode = ErrorCode> extends HotpathError<Code> {
  static {
    this.prototype.name = 'UnavailableError';
  }

  /** Milliseconds after which another try may succeed; `undefined` when that can't be known. */
  readonly retryAfterMs: number | undefined;

  constructor(code: Code, message: string, options?: RejectedErrorOptions) {
    super(code, message, options);
    this.retryAfterMs = options?.retryAfterMs;
  }

  get family(): 'unavailable' {
    return 'unavailable';
  }
}

/** Another system answered, and its answer was a failure. */
export class UpstreamError<Code extends ErrorCode = ErrorCode> extends HotpathError<Code> {
  static {
    this.prototype.name = 'UpstreamError';
  }

  get family(): 'upstream' {
    return 'upstream';
  }
}

/** Data is not what it must be: a broken reply, a damaged file, a result of the wrong shape. */
export class CorruptError<Code extends ErrorCode = ErrorCode> extends HotpathError<Code> {
  static {
    this.prototype.name = 'CorruptError';
  }

  get family(): 'corrupt' {
    return 'corrupt';
  }
}

/** The work was refused because it is not bound to an accepted governing document. */
export class GovernanceError<Code extends ErrorCode = ErrorCode> extends HotpathError<Code> {
  static {
    this.prototype.name = 'GovernanceError';
  }

  get family(): 'governance' {
    return 'governance';
  }
}

/** What kept a server from starting. */
export type ServerErrorCode = 'NOT_INSTALLED' | 'START_FAILED' | 'START_TIMEOUT';

/** A server could not be started. */
export class ServerError extends Error {
  static {
    ServerError.prototype.name = 'ServerError';
  }

  readonly code: ServerErrorCode;

  constructor(code: ServerErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

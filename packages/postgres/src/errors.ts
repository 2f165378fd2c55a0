import {
  AbortedError,
  CorruptError,
  type Milliseconds,
  RejectedError,
  TimeoutError,
  UnavailableError,
  UpstreamError,
} from '@hotpath/core';

/** No connection came free in time: the pool is busy, the server is not known to be away. */
export function acquireTimeout(timeoutMs: Milliseconds): TimeoutError<'HOTPATH_PG_ACQUIRE_TIMEOUT'> {
  return new TimeoutError(
    'HOTPATH_PG_ACQUIRE_TIMEOUT',
    `timeout exceeded when trying to connect: no connection came free within ${timeoutMs} ms`,
  );
}

/** As many callers wait for a connection as may. */
export function queueFull(maxWaiting: number): RejectedError<'HOTPATH_PG_QUEUE_FULL'> {
  return new RejectedError(
    'HOTPATH_PG_QUEUE_FULL',
    `${maxWaiting} callers wait for a connection, the most that are allowed`,
  );
}

/**
 * There is no connection, and none can be made.
 *
 * @param hint What of the configuration may be the reason.
 */
export function serverDown(
  cause: unknown,
  retryAfterMs: Milliseconds | undefined,
  hint?: string,
): UnavailableError<'HOTPATH_PG_DOWN'> {
  const reason = `cannot connect to the server: ${messageOf(cause)}`;
  return new UnavailableError('HOTPATH_PG_DOWN', hint === undefined ? reason : `${reason} (${hint})`, {
    cause,
    retryAfterMs,
  });
}

/** The pool was closed before or while the call waited. */
export function poolClosed(): AbortedError<'HOTPATH_PG_CLOSED'> {
  return new AbortedError('HOTPATH_PG_CLOSED', 'Cannot use a pool after calling end on the pool');
}

/** A connection did not become usable in time. */
export function connectTimeout(timeoutMs: Milliseconds): TimeoutError<'HOTPATH_PG_CONNECT_TIMEOUT'> {
  return new TimeoutError(
    'HOTPATH_PG_CONNECT_TIMEOUT',
    `Connection terminated due to connection timeout: not usable within ${timeoutMs} ms`,
  );
}

/** A query was not answered in time; the server was asked to cancel it. */
export function queryTimeout(timeoutMs: Milliseconds): TimeoutError<'HOTPATH_PG_QUERY_TIMEOUT'> {
  return new TimeoutError('HOTPATH_PG_QUERY_TIMEOUT', `the query was not answered within ${timeoutMs} ms`);
}

/** The connection was lost while a query ran: a write may or may not have had its effect. */
export function connectionLost(cause: unknown): UnavailableError<'HOTPATH_PG_CONNECTION_LOST'> {
  return new UnavailableError(
    'HOTPATH_PG_CONNECTION_LOST',
    `the connection was lost during the query: ${messageOf(cause)}`,
    { cause },
  );
}

/** The connection was lost between COMMIT and its answer: whether it took effect is not known. */
export function commitUnknown(cause: unknown): UnavailableError<'HOTPATH_PG_COMMIT_UNKNOWN'> {
  return new UnavailableError(
    'HOTPATH_PG_COMMIT_UNKNOWN',
    'COMMIT was sent and not answered: the transaction may have taken effect',
    { cause },
  );
}

/** COMMIT was answered with ROLLBACK, because a statement before it had failed. */
export function rolledBack(): UpstreamError<'HOTPATH_PG_ROLLED_BACK'> {
  return new UpstreamError(
    'HOTPATH_PG_ROLLED_BACK',
    'COMMIT was answered with ROLLBACK: a statement of the transaction had failed',
  );
}

/** A transaction's handle was used after its callback had settled: its connection may be somebody else's by then. */
export function transactionOver(): RejectedError<'HOTPATH_PG_TRANSACTION_OVER'> {
  return new RejectedError(
    'HOTPATH_PG_TRANSACTION_OVER',
    'the transaction is over: its handle can be used only until its callback has settled',
  );
}

/** A savepoint was asked for while another one of the same handle was open. */
export function transactionBusy(): RejectedError<'HOTPATH_PG_TRANSACTION_BUSY'> {
  return new RejectedError(
    'HOTPATH_PG_TRANSACTION_BUSY',
    'a savepoint of this transaction is open: await its end, or use its own handle for what belongs within it',
  );
}

/** A name is not that of a table or column. */
export function unknownName(what: string): RejectedError<'HOTPATH_PG_UNKNOWN_NAME'> {
  return new RejectedError('HOTPATH_PG_UNKNOWN_NAME', what);
}

/** Two rows of one call have the same key. */
export function duplicateKey(key: string): RejectedError<'HOTPATH_PG_DUPLICATE_KEY'> {
  return new RejectedError('HOTPATH_PG_DUPLICATE_KEY', `two rows have the key ${key}`);
}

/** A page cursor is not one that `paginate` made for this order. */
export function badCursor(): CorruptError<'HOTPATH_PG_BAD_CURSOR'> {
  return new CorruptError('HOTPATH_PG_BAD_CURSOR', 'the cursor does not belong to this order of this table');
}

/** Another runner held the lock for index migrations all the time. */
export function indexLockTimeout(timeoutMs: Milliseconds): TimeoutError<'HOTPATH_PG_INDEX_LOCK_TIMEOUT'> {
  return new TimeoutError(
    'HOTPATH_PG_INDEX_LOCK_TIMEOUT',
    `another runner held the lock for index migrations for ${timeoutMs} ms`,
  );
}

/** An index could not be built. */
export function indexFailed(name: string, cause: unknown): UpstreamError<'HOTPATH_PG_INDEX_FAILED'> {
  return new UpstreamError('HOTPATH_PG_INDEX_FAILED', `index ${name}: ${messageOf(cause)}`, { cause });
}

/** Codes of SQLSTATE that always end the session. */
const lostStates = /^(?:57P0[1-5]|25P0[34])$/;
/** Codes that also come from within a statement (a foreign server is away, a value too many): then the session lives on. */
const sometimesLostStates = /^08/;

/** The SQLSTATE of an error of the server; `undefined` for others. */
export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && 'severity' in (error as object)
    ? code
    : undefined;
}

/** Whether an error means that the connection is gone. */
export function isConnectionLoss(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== undefined) {
    const { severity } = error as { severity?: unknown };
    return lostStates.test(state) || (sometimesLostStates.test(state) && severity === 'FATAL');
  }
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code === 'string' && /^(?:E[A-Z]+|ERR_(?:STREAM|SOCKET|SSL|TLS)\w*)$/.test(code)) return true;
  return (
    typeof message === 'string' &&
    /^(?:Connection terminated|Client has encountered|Client was closed)/.test(message)
  );
}

/** The server's own errors stay as they are; a lost connection becomes one error whatever its symptom. */
export function typedQueryError(error: unknown): unknown {
  return isConnectionLoss(error) ? connectionLost(error) : error;
}

function messageOf(error: unknown): string {
  const { message, errors, code } = (error ?? {}) as { message?: string; errors?: unknown[]; code?: string };
  if (message) return message;
  // What Node gives when each address of a name refused.
  if (Array.isArray(errors) && errors.length > 0) return errors.map(messageOf).join('; ');
  return code ?? String(error);
}

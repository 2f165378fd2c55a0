import { isHotpathError } from '@hotpath/core';

const PASSING_FAMILIES: readonly string[] = ['unavailable', 'timeout', 'rejected', 'aborted'];

/**
 * Classes of SQLSTATE under which the same statement may succeed later: connection lost (08), log-in refused (28),
 * no such database (3D), rolled back (40), out of disk, memory or connections (53), lock not free (55P03),
 * stopped by an operator or a timeout (57), input and output (58), and a server that only reads (25006).
 */
const PASSING_STATES = /^(?:08|28|3D|40|53|55P03|57|58|25006)/;

/** Whether an error tells of something away, full or busy, rather than of a wrong request or a mistake in the code. */
export function isOutage(error: unknown): boolean {
  if (isHotpathError(error)) {
    return PASSING_FAMILIES.includes(error.family) || (error.family === 'upstream' && isOutage(error.cause));
  }
  return PASSING_STATES.test(sqlStateOf(error) ?? '');
}

/** What an operator needs to know of an outage: one line, without a password. */
export function outageText(error: unknown): string {
  const { message, cause } = error as Error;
  const state = sqlStateOf(error) ?? sqlStateOf(cause) ?? '';
  return /^(?:28|3D)/.test(state) ? `${message}; is DATABASE_URL right?` : message;
}

/** The server's errors have a severity beside their code. */
function sqlStateOf(error: unknown): string | undefined {
  const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown };
  return typeof code === 'string' && severity !== undefined ? code : undefined;
}

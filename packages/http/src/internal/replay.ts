import type { HttpReplayEvent } from '../telemetry.ts';
import type { Attempt } from './attempt.ts';
import type { CallSpec } from './call-spec.ts';
import { isConnectionLoss, NotProcessed } from './failure.ts';
import { NOT_SENT } from './h1-connection.ts';

/**
 * Why a failed try may go out again at once, without counting as one; `undefined` when it may not.
 *
 * Nothing was written; or the server says that it did not begin; or a reused connection died before
 * a byte of the answer, which is how an idle connection looks that the server has closed. The last
 * can't be told from a server that died at work, so it needs an idempotent request.
 * Source: the rule of Go's `net/http` Transport.
 */
export function replayReason(
  { isReplayable, isIdempotent }: CallSpec,
  attempt: Attempt,
  raw: unknown,
): HttpReplayEvent['reason'] | undefined {
  if (raw === NOT_SENT) return 'not-sent';
  if (!isReplayable) return undefined;
  if (raw instanceof NotProcessed) return 'not-processed';
  const isStale = isIdempotent && attempt.reused && !attempt.responded && isConnectionLoss(raw);
  return isStale ? 'stale' : undefined;
}

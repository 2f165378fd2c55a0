import { type HttpReplayEvent, replayChannel } from '../telemetry.ts';
import type { Attempt } from './attempt.ts';
import type { Call } from './call.ts';
import type { WireBody } from './exchange.ts';
import { isConnectionLoss, NotProcessed } from './failure.ts';
import { NOT_SENT } from './h1-connection.ts';
import { headerOf } from './headers.ts';

/** How often a request may be sent again because nobody had begun to process it. */
export const MOST_RESENDS = 5;

/** Whose effect is the same however often they are sent (RFC 9110, 9.2.2). */
export const IDEMPOTENT_METHODS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'PUT',
  'DELETE',
]);

/** Whether a request may be sent twice: by its method, or because its headers hold a key that the server goes by. */
export function isIdempotent(method: string, headers: readonly string[]): boolean {
  return IDEMPOTENT_METHODS.has(method) || headerOf(headers, 'idempotency-key') !== undefined;
}

/** Whether a body can be sent twice. */
export function isReplayable(body: WireBody): boolean {
  return body === null || typeof body === 'string' || ArrayBuffer.isView(body) || body instanceof Blob;
}

/**
 * Why a failed try may go out again at once, without counting as one; `undefined` when it may not.
 *
 * Nothing was written; or the server says that it did not begin; or a reused connection died before
 * a byte of the answer, which is how an idle connection looks that the server has closed. The last
 * can't be told from a server that died at work, so it needs an idempotent request.
 * Source: the rule of Go's `net/http` Transport.
 */
function replayReason(
  { isReplayable, isIdempotent }: Call,
  attempt: Attempt,
  raw: unknown,
): HttpReplayEvent['reason'] | undefined {
  if (raw === NOT_SENT) return 'not-sent';
  if (!isReplayable) return undefined;
  if (raw instanceof NotProcessed) return 'not-processed';
  const isStale = isIdempotent && attempt.reused && !attempt.responded && isConnectionLoss(raw);
  return isStale ? 'stale' : undefined;
}

/** Sends again, without counting a try, what nobody has begun to process; whether it did. */
export function replay(call: Call, attempt: Attempt, raw: unknown): boolean {
  const reason = replayReason(call, attempt, raw);
  if (reason === undefined || (reason === 'stale' && call.isReplayed)) return false;
  if (call.rival !== undefined || ++call.resends > MOST_RESENDS) return false;
  call.conclude(attempt, 'ignored');
  call.origin.replays++;
  call.attempts--;
  if (reason === 'stale') {
    call.isReplayed = true;
    // Its idle siblings are of the same age, and the second try must not meet another dead one.
    call.engine.pool.dropIdle(attempt.target.pool);
  }
  if (replayChannel.hasSubscribers) {
    replayChannel.publish({ method: call.method, origin: call.origin.key, reason });
  }
  call.next();
  return true;
}

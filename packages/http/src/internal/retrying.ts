import type { Milliseconds } from '@hotpath/core';
import { retryChannel } from '../telemetry.ts';
import type { Call } from './call.ts';

/**
 * After a failed try: pauses and tries again where that is allowed and can still be in time, else fails.
 *
 * `retryAfterMs` is what the server asks for: the pause is never shorter. With a budget that is
 * spent, or too little time, the caller is better off knowing now.
 */
export function retryOrFail(
  call: Call,
  error: Error,
  isTransient: boolean,
  retryAfterMs: Milliseconds | undefined,
): void {
  // While its answer was looked at its time may have run out.
  if (call.isSettled) return;
  const { origin, attempts, method, isIdempotent, isReplayable } = call;
  const { retry } = call.spec;
  if (!isTransient || retry === undefined || !isIdempotent || !isReplayable || attempts >= retry.attempts) {
    call.fail(error);
    return;
  }
  const { clock, random } = call.engine.options;
  const backoffMs = random() * Math.min(retry.maxMs, retry.baseMs * 2 ** (attempts - 1));
  const pauseMs = Math.max(backoffMs, retryAfterMs ?? 0);
  const isInTime = clock.now() + pauseMs < call.deadlineMs;
  const reservation = isInTime ? origin.budget.tryReserve() : 0;
  if (reservation === 0) {
    call.fail(error);
    return;
  }
  call.reservation = reservation;
  origin.retries++;
  if (retryChannel.hasSubscribers) {
    retryChannel.publish({ method, origin: origin.key, attempt: attempts, error, pauseMs });
  }
  call.pause(pauseMs, () => call.next());
}

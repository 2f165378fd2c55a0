import { hedgeChannel } from '../telemetry.ts';
import { Attempt } from './attempt.ts';
import type { Call } from './call.ts';
import type { Verdict } from './origin.ts';

/** A loser's answer is read to its end when no more than this is left of it. */
const DRAIN_BYTES = 16 * 1024;
/** And when it is there within this time. */
const DRAIN_MS = 1_000;
/** Until so many were seen there is no tail to learn. */
const LEARN_FROM = 100;

/** Lets a second try start beside the call's first, if that is still silent after a while. */
export function armHedge(call: Call): void {
  const { hedge } = call.spec;
  if (hedge === undefined || !call.isIdempotent || !call.isReplayable) return;
  const { latency } = call.origin;
  const delayMs = hedge.delayMs ?? (latency.count < LEARN_FROM ? undefined : latency.quantileMs(0.95));
  if (delayMs !== undefined) call.pause(delayMs, () => startRival(call, delayMs, hedge.maxRatio));
}

function startRival(call: Call, delayMs: number, maxRatio: number): void {
  const { origin, engine, attempt: first } = call;
  if (first === undefined || first.isDone || first.phase === 'body') return;
  const requests = origin.pool.dispatched - origin.hedges;
  if (origin.hedges >= 1 + requests * maxRatio) return;
  if (origin.limiter !== undefined && origin.limiter.tryTake() > 0) return;
  const permit = origin.breaker === undefined ? 1 : origin.breaker.tryEnter();
  if (permit === 0) return;
  const rival = new Attempt(call, engine, permit, engine.clock.now());
  call.rival = rival;
  if (!rival.startIfFree()) {
    call.rival = undefined;
    call.conclude(rival, 'ignored');
    return;
  }
  origin.hedges++;
  if (hedgeChannel.hasSubscribers) hedgeChannel.publish({ method: call.method, origin: origin.key, delayMs });
}

/** One of two tries has ended: a good end settles it, a bad one is left to the other; says which. */
export function isWorthTaking(call: Call, attempt: Attempt, verdict: Verdict): boolean {
  const other = attempt === call.rival ? call.attempt : call.rival;
  if (verdict !== 'success' && other !== undefined && !other.isDone) {
    call.conclude(attempt, verdict);
    call.attempt = other;
    call.rival = undefined;
    return false;
  }
  dropRival(call, attempt);
  return true;
}

/** Gives up the other of two tries. */
export function dropRival(call: Call, winner: Attempt): void {
  const loser = winner === call.rival ? call.attempt : call.rival;
  call.attempt = winner;
  call.rival = undefined;
  if (loser === undefined || loser === winner || loser.isDone) return;
  call.conclude(loser, 'ignored');
  loser.abandon(DRAIN_BYTES, DRAIN_MS);
}

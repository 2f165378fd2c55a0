import type { ParentMessage, Timing } from './child-protocol.ts';
import { quantileOfSorted } from './statistics.ts';
import type { Case, Figures } from './suite.ts';

/** One call: when it should have begun, when it ended, and how. */
interface Call {
  readonly dueMs: number;
  endedMs: number;
  outcome: 'pending' | 'served' | 'fallback' | 'failed' | 'wrong';
}

/** How long calls that hang are waited for at the end. */
const SETTLE_MS = 5_000;
const TICK_MS = 2;

/**
 * Calls at a fixed rate, whatever becomes of earlier calls, while the parent takes the server away and brings it back.
 *
 * Latencies count from when a call was due, so a stalled process does not hide its stall.
 */
export async function measureFault(
  entry: Case,
  callsPerSecond: number,
  { warmupMs, durationMs, afterMs }: Timing,
  tellRunning: () => Promise<void>,
): Promise<Figures> {
  await entry.check(await entry.run(0), 0);
  const calls: Call[] = [];
  let index = 1;
  const call = (dueMs: number): void => {
    const record: Call = { dueMs, endedMs: Number.NaN, outcome: 'pending' };
    calls.push(record);
    void settle(entry, index++, record);
  };
  const startedMs = performance.now();
  let made = 0;
  const ticker = setInterval(() => {
    const due = ((performance.now() - startedMs) * callsPerSecond) / 1_000;
    for (; made < due; made++) call(startedMs + (made * 1_000) / callsPerSecond);
  }, TICK_MS);

  await later(warmupMs);
  const normalMs = performance.now();
  await later(durationMs);
  const outage = moment('outage');
  const restored = moment('restored');
  await tellRunning();
  const outageMs = await outage;
  const restoredMs = await restored;
  await later(afterMs);
  clearInterval(ticker);
  const endMs = performance.now();
  while (calls.some((record) => record.outcome === 'pending') && performance.now() < endMs + SETTLE_MS) {
    await later(10);
  }
  return figuresOf(calls, { normalMs, outageMs, restoredMs, endMs: performance.now() }, entry);
}

async function settle(entry: Case, index: number, record: Call): Promise<void> {
  try {
    const result = await entry.run(index);
    record.endedMs = performance.now();
    record.outcome = entry.usesServer?.(result) === false ? 'fallback' : 'served';
    await entry.check(result, index);
  } catch {
    if (record.outcome === 'pending') {
      record.endedMs = performance.now();
      record.outcome = 'failed';
    } else {
      record.outcome = 'wrong';
    }
  }
}

/** When things happened, on the clock of this process. */
interface Moments {
  readonly normalMs: number;
  readonly outageMs: number;
  readonly restoredMs: number;
  readonly endMs: number;
}

/** Turns what callers saw into figures. */
export function figuresOf(
  calls: readonly Call[],
  { normalMs, outageMs, restoredMs, endMs }: Moments,
  { usesServer }: Pick<Case, 'usesServer'> = {},
): Figures {
  const lastedMs = (call: Call): number => (call.outcome === 'pending' ? endMs : call.endedMs) - call.dueMs;
  const p99 = (some: readonly Call[]): number =>
    quantileOfSorted(Float64Array.from(some, lastedMs).sort(), 0.99);
  const normal = calls.filter((call) => call.dueMs >= normalMs && lastedMs(call) + call.dueMs < outageMs);
  const affected = calls.filter((call) => lastedMs(call) + call.dueMs >= outageMs);
  const p99NormalMs = p99(normal);
  const p99OutageMs = p99(affected.filter((call) => call.dueMs < restoredMs));
  const after = calls.filter((call) => call.dueMs >= restoredMs);
  const recoveredMs =
    usesServer === undefined
      ? steadyFrom(after, (call) => lastedMs(call) <= Math.max(10, 5 * p99NormalMs))
      : Math.min(...after.filter(({ outcome }) => outcome === 'served').map((call) => call.endedMs));
  // Not within the time watched: at least that long.
  const recoverMs = Math.max(0, Math.min(recoveredMs, endMs) - restoredMs);
  const count = (outcome: Call['outcome']): number => calls.filter((call) => call.outcome === outcome).length;
  return {
    calls: calls.length,
    errors: count('failed'),
    wrong: count('wrong'),
    unsettled: count('pending'),
    longestStallMs: affected.reduce((longest, call) => Math.max(longest, lastedMs(call)), 0),
    recoverMs,
    // Of no calls there is no percentile.
    ...finite({ p99NormalMs, p99OutageMs, p99OutageRatio: p99OutageMs / p99NormalMs }),
  };
}

function finite(figures: Figures): Figures {
  return Object.fromEntries(Object.entries(figures).filter(([, value]) => Number.isFinite(value)));
}

/** How long it must go well to count as recovered. */
const STEADY_MS = 200;
/** A busy machine delays some calls; errors are never excused. */
const PROMPT_SHARE = 0.95;

/** Since when all has gone well for a while: no error, and hardly a slow call. Calls are in order. */
function steadyFrom(calls: readonly Call[], isPrompt: (call: Call) => boolean): number {
  const lastMs = calls.at(-1)?.dueMs ?? Number.NEGATIVE_INFINITY;
  for (const { dueMs } of calls) {
    if (dueMs + STEADY_MS > lastMs) break;
    const some = calls.filter((call) => call.dueMs >= dueMs && call.dueMs < dueMs + STEADY_MS);
    const prompt = some.filter(isPrompt).length;
    if (some.every(({ outcome }) => outcome === 'served') && prompt >= PROMPT_SHARE * some.length)
      return dueMs;
  }
  return Number.POSITIVE_INFINITY;
}

function later(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

/** When the parent says so. */
function moment(kind: ParentMessage['kind']): Promise<number> {
  return new Promise((resolve) => {
    const onMessage = (message: ParentMessage): void => {
      if (message.kind !== kind) return;
      process.off('message', onMessage);
      resolve(performance.now());
    };
    process.on('message', onMessage);
  });
}

import type { Timing } from './child-protocol.ts';
import type { AnySuite } from './suite.ts';

/** How thoroughly a run measures. */
export interface Thoroughness {
  readonly mode: 'full' | 'quick';
  /** Overrides the suites' own numbers of rounds. */
  readonly rounds?: number | undefined;
}

const ROUNDS = { micro: 7, throughput: 5, scenario: 3, fault: 1 } as const;

export function roundsOf(suite: AnySuite, { mode, rounds }: Thoroughness): number {
  if (mode === 'quick') return 1;
  return rounds ?? suite.rounds ?? ROUNDS[suite.kind];
}

export function timingOf(suite: AnySuite, { mode }: Thoroughness): Timing {
  const isQuick = mode === 'quick';
  const timing = { warmupMs: 0, durationMs: 0, outageMs: 0, afterMs: 0 };
  switch (suite.kind) {
    case 'micro':
      return { ...timing, warmupMs: isQuick ? 20 : 200, durationMs: isQuick ? 40 : 400 };
    case 'throughput':
      return {
        ...timing,
        warmupMs: isQuick ? 50 : (suite.warmupMs ?? 700),
        durationMs: isQuick ? 150 : (suite.durationMs ?? 2_000),
      };
    case 'scenario':
      return timing;
    case 'fault':
      return {
        warmupMs: isQuick ? 200 : 1_000,
        durationMs: isQuick ? 300 : 2_000,
        outageMs: isQuick ? 500 : (suite.outageMs ?? 4_000),
        afterMs: isQuick ? 1_500 : 5_000,
      };
  }
}

/** About how long one process of a suite takes, for the time left. */
export function expectedMs(suite: AnySuite, thoroughness: Thoroughness): number {
  const { warmupMs, durationMs, outageMs, afterMs } = timingOf(suite, thoroughness);
  const startMs = 350;
  return startMs + warmupMs + durationMs + outageMs + afterMs + (suite.kind === 'scenario' ? 3_000 : 0);
}

/** How long one process may take before it counts as hung. */
export function deadlineMs(suite: AnySuite, thoroughness: Thoroughness): number {
  const scenarioMs = suite.kind === 'scenario' ? (suite.timeoutMs ?? 60_000) : 0;
  return 5 * expectedMs(suite, thoroughness) + 30_000 + scenarioMs;
}

/** The order of a round: each contender is once at each place, as far as there are rounds. */
export function rotate<T>(items: readonly T[], round: number): T[] {
  const start = items.length === 0 ? 0 : round % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

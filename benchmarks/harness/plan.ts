import type { Timing } from './child-protocol.ts';
import type { SuiteResult } from './results.ts';
import type { AnySuite } from './suite.ts';

/** How thoroughly a run measures. */
export interface Thoroughness {
  readonly mode: 'full' | 'quick';
  /** Overrides the suites' own numbers of rounds, but for faults, which are not compared by statistics. */
  readonly rounds?: number | undefined;
}

/** Of a whole run; a test holds all suites together against it. */
export const FULL_BUDGET_MS = 20 * 60_000;

/** When a quick run begins to leave out who is not ours; what is left then takes seconds. */
export const QUICK_BUDGET_MS = 50_000;

/** How many suites a quick run measures at once: much of a suite is waiting. */
export const QUICK_SUITES_PER_CORE = 2;

const ROUNDS = { micro: 5, throughput: 5, scenario: 3, fault: 1 } as const;
/** Of peers that no goal names: their medians are for the eye. */
const ROUNDS_BESIDE = { micro: 3, throughput: 3, scenario: 2, fault: 1 } as const;

/** How many processes a contender gets. */
export function roundsOf(suite: AnySuite, contender: string, { mode, rounds }: Thoroughness): number {
  if (mode === 'quick') return 1;
  const asked = suite.kind === 'fault' ? undefined : rounds;
  const full = asked ?? suite.rounds ?? ROUNDS[suite.kind];
  return isMeasuredBy(suite, contender) ? full : Math.min(full, ROUNDS_BESIDE[suite.kind]);
}

/** Whether it is ours, or what ours is measured by: a limit, a baseline, whom a goal names, or else any peer. */
function isMeasuredBy({ contenders, goals = [] }: AnySuite, name: string): boolean {
  if (contenders[name]?.role !== 'peer') return true;
  const hasOther = Object.values(contenders).some(({ role }) => role === 'limit' || role === 'baseline');
  return (
    !hasOther ||
    goals.some(({ contender, atMost, atLeast }) => {
      const bound = atMost ?? atLeast;
      return contender === name || (typeof bound === 'object' && bound.of === name);
    })
  );
}

export function timingOf(suite: AnySuite, { mode }: Thoroughness): Timing {
  const isQuick = mode === 'quick';
  const timing = { warmupMs: 0, durationMs: 0, outageMs: 0, afterMs: 0, series: 0 };
  switch (suite.kind) {
    case 'micro':
      return {
        ...timing,
        warmupMs: isQuick ? 5 : 100,
        durationMs: isQuick ? 15 : 300,
        series: isQuick ? 1 : 7,
      };
    case 'throughput':
      return {
        ...timing,
        warmupMs: isQuick ? 20 : (suite.warmupMs ?? 400),
        durationMs: isQuick ? 80 : (suite.durationMs ?? 1_200),
      };
    case 'scenario':
      return timing;
    case 'fault':
      return {
        ...timing,
        warmupMs: isQuick ? 100 : 500,
        durationMs: isQuick ? 100 : 800,
        outageMs: isQuick ? 500 : (suite.outageMs ?? 4_000),
        afterMs: isQuick ? 600 : 2_000,
      };
  }
}

/** To start a process and its libraries, to check, to count bytes, and to end. */
const AROUND_MS = { micro: 350, throughput: 550, scenario: 1_200, fault: 700 } as const;
/** More than alone, for several share the cores, and with nothing compiled in an earlier run. */
const AROUND_QUICK_MS = { micro: 170, throughput: 550, scenario: 800, fault: 650 } as const;

/** About how long one process of a suite takes, for the time left. */
export function expectedMs(suite: AnySuite, thoroughness: Thoroughness): number {
  const { warmupMs, durationMs, outageMs, afterMs } = timingOf(suite, thoroughness);
  const aroundMs = (thoroughness.mode === 'quick' ? AROUND_QUICK_MS : AROUND_MS)[suite.kind];
  return aroundMs + warmupMs + durationMs + outageMs + afterMs;
}

/** How many processes a suite takes. */
export function processesOf(suite: AnySuite, thoroughness: Thoroughness): number {
  const rounds = Object.keys(suite.contenders).map((name) => roundsOf(suite, name, thoroughness));
  return rounds.reduce((sum, one) => sum + one, 0);
}

/** About how long a suite takes; as long as last time, when it was measured alike. */
export function suiteMs(suite: AnySuite, thoroughness: Thoroughness, earlier?: SuiteResult): number {
  const processes = processesOf(suite, thoroughness);
  const earlierProcesses = (earlier?.contenders ?? []).reduce((sum, { rounds }) => sum + rounds.length, 0);
  return thoroughness.mode === 'full' && earlier?.tookMs != null && earlierProcesses === processes
    ? earlier.tookMs
    : SERVERS_MS + processes * expectedMs(suite, thoroughness);
}

const SERVERS_MS = 500;

/** How long one process may take before it counts as hung. */
export function deadlineMs(suite: AnySuite, thoroughness: Thoroughness): number {
  if (thoroughness.mode === 'quick') return expectedMs(suite, thoroughness) + QUICK_PATIENCE_MS;
  const scenarioMs = suite.kind === 'scenario' ? (suite.timeoutMs ?? 60_000) : 0;
  return 5 * expectedMs(suite, thoroughness) + 30_000 + scenarioMs;
}

const QUICK_PATIENCE_MS = 12_000;

/** The order of a round: each contender is once at each place, as far as there are rounds. */
export function rotate<T>(items: readonly T[], round: number): T[] {
  const start = items.length === 0 ? 0 : round % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

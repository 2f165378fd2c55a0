import type { Machine } from '../../harness/machine.ts';
import type { ContenderResult, Results, SuiteResult } from '../../harness/results.ts';
import { summarise } from '../../harness/statistics.ts';
import type { Figures } from '../../harness/suite.ts';

export const machine: Machine = {
  cpu: 'A CPU',
  cores: 2,
  memoryBytes: 8e9,
  os: 'Linux 6',
  node: 'v24.0.0',
  v8: '13',
  flags: ['--expose-gc'],
  pinned: true,
  commit: null,
};

/** A contender that measured these rounds; none: it failed. */
export function contenderOf(
  name: string,
  role: ContenderResult['role'],
  rounds: readonly Figures[],
): ContenderResult {
  const names = Object.keys(rounds[0] ?? {});
  return {
    name,
    role,
    library: null,
    version: null,
    note: null,
    status: rounds.length === 0 ? 'failed' : 'ok',
    error: rounds.length === 0 ? 'Error: <broken> & gone' : null,
    rounds,
    figures: Object.fromEntries(
      names.map((figure) => [figure, summarise(rounds.map((round) => round[figure] ?? Number.NaN))]),
    ),
    ratioToBestPeer: null,
    ratioToLimit: null,
  };
}

export function suiteOf(
  contenders: readonly ContenderResult[],
  more: Partial<SuiteResult> = {},
): SuiteResult {
  return {
    package: 'core',
    name: 'thing',
    title: 'A thing | done',
    kind: 'micro',
    figure: 'timeNs',
    better: 'lower',
    parameters: null,
    measuredAt: '2026-01-02T03:04:05.000Z',
    tookMs: 1_000,
    machine,
    contenders,
    goals: [],
    ...more,
  };
}

export function resultsOf(suites: readonly SuiteResult[], more: Partial<Results> = {}): Results {
  return { schema: 2, mode: 'full', suites, ...more };
}

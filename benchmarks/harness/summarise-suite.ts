import type { FoundSuite } from './discover.ts';
import { comparedFigure } from './figures.ts';
import { judgeGoals } from './goals.ts';
import { versionOf } from './machine.ts';
import type { ContenderResult, SuiteResult } from './results.ts';
import { median, summarise } from './statistics.ts';
import type { AnySuite, Figures } from './suite.ts';

/** What one contender has come to so far. */
export interface Entrant {
  readonly name: string;
  readonly rounds: Figures[];
  error: string | undefined;
  skipped: boolean;
}

/** A suite that was not measured yet: its goals are listed all the same. */
export function unmeasured(found: FoundSuite): SuiteResult {
  const entrants = Object.keys(found.suite.contenders).map(entrantOf);
  return summariseSuite(found, entrants, 'full');
}

export function entrantOf(name: string): Entrant {
  return { name, rounds: [], error: undefined, skipped: false };
}

/** Turns what was measured into a suite's result. */
export function summariseSuite(
  { package: owner, suite }: FoundSuite,
  entrants: readonly Entrant[],
  mode: 'full' | 'quick',
): SuiteResult {
  const { figure, better } = comparedFigure(suite);
  const order = Object.keys(suite.contenders);
  const sorted = [...entrants].sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  const plain = sorted.map((entrant) => contenderResult(suite, entrant));
  const ofRole = (role: string): ContenderResult[] =>
    plain.filter((contender) => contender.role === role && contender.figures[figure] !== undefined);
  const best = (some: readonly ContenderResult[]): ContenderResult | undefined =>
    [...some].sort((a, b) => {
      const difference = (a.figures[figure]?.median ?? 0) - (b.figures[figure]?.median ?? 0);
      return better === 'lower' ? difference : -difference;
    })[0];
  const bestPeer = best(ofRole('peer'));
  const limit = best(ofRole('limit'));
  const contenders = plain.map((contender) => ({
    ...contender,
    ratioToBestPeer: ratio(contender, bestPeer, figure),
    ratioToLimit: ratio(contender, limit, figure),
  }));
  return {
    package: owner,
    name: suite.name,
    title: suite.title,
    kind: suite.kind,
    figure,
    better,
    parameters: suite.parameters ?? null,
    measuredAt: null,
    tookMs: null,
    machine: null,
    contenders,
    goals: judgeGoals(suite, contenders, mode),
  };
}

function contenderResult(suite: AnySuite, { name, rounds, error, skipped }: Entrant): ContenderResult {
  const { role, library, note } = suite.contenders[name] as NonNullable<AnySuite['contenders'][string]>;
  const status = error !== undefined ? 'failed' : skipped || rounds.length === 0 ? 'notRun' : 'ok';
  // A fault may leave a figure out, such as a percentile of no calls.
  const figures =
    status === 'ok'
      ? Object.keys(rounds[0] as Figures).filter((key) => rounds.every((round) => key in round))
      : [];
  return {
    name,
    role,
    library: library ?? null,
    version: library === undefined ? null : versionOf(library),
    note: note ?? null,
    status,
    error: error ?? null,
    rounds: status === 'ok' ? rounds : [],
    figures: Object.fromEntries(
      figures.map((key) => [key, summarise(rounds.map((round) => round[key] ?? Number.NaN))]),
    ),
    ratioToBestPeer: null,
    ratioToLimit: null,
  };
}

function ratio(one: ContenderResult, other: ContenderResult | undefined, figure: string): number | null {
  if (other === undefined || one.status !== 'ok') return null;
  const common = Math.min(one.rounds.length, other.rounds.length);
  const ratios = one.rounds.slice(0, common).map((round, index) => {
    return (round[figure] ?? Number.NaN) / (other.rounds[index]?.[figure] ?? Number.NaN);
  });
  const middle = median(ratios);
  return Number.isFinite(middle) ? middle : null;
}

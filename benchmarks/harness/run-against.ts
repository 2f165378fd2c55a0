import type { FoundSuite } from './discover.ts';
import { comparedFigure } from './figures.ts';
import { confirm, type Judgement, judge } from './judge.ts';
import { expectedMs } from './plan.ts';
import { type Progress, startProgress } from './progress.ts';
import { readResults, type SuiteResult } from './results.ts';
import { measureSuite } from './run-suite.ts';
import type { Figures } from './suite.ts';
import { align } from './table.ts';

/** Enough for the statistics to find a change of 15 % nearly always. */
const ROUNDS = 15;

interface AgainstOptions {
  readonly rounds: number | undefined;
  readonly pinned: boolean;
}

/** One contender of ours in one suite, and the one that it is measured by. */
interface Pairing {
  readonly found: FoundSuite;
  readonly earlier: SuiteResult;
  readonly ours: string;
  readonly reference: string;
}

/**
 * Compares what there is now with earlier results; returns whether all of it is shown to be no worse.
 *
 * Ratios to a reference of the same run are compared, never absolute figures, so the earlier run may be from a
 * busier time. Each contender of ours runs twice in each round: what the two differ by is the noise.
 */
export async function runAgainst(
  suites: readonly FoundSuite[],
  file: string,
  { rounds = ROUNDS, pinned }: AgainstOptions,
): Promise<boolean> {
  const earlier = readResults(file);
  if (earlier.mode === 'quick')
    throw new RangeError(`${file} is of a quick run, which nothing can be compared with`);
  const { pairings, missing } = pair(suites, earlier.suites);
  const totalMs = pairings.reduce(
    (sum, { found }) => sum + 3 * rounds * expectedMs(found.suite, { mode: 'full' }),
    0,
  );
  const progress = startProgress(totalMs);
  const rows: string[][] = [['', 'change', '99 % interval', 'p', 'noise', '']];
  let isGood = missing.length === 0;
  for (const pairing of pairings) {
    const judgement = await judgePairing(pairing, rounds, pinned, progress);
    if (judgement.verdict === 'regression' || judgement.verdict === 'cannotJudge') isGood = false;
    rows.push([
      `${nameOf(pairing.found)}: ${pairing.ours} over ${pairing.reference}`,
      ...describe(judgement),
    ]);
  }
  progress.end();
  console.log(align(rows).join('\n'));
  for (const name of missing) console.log(`${name}: cannot judge, it is not in both runs`);
  console.log(isGood ? 'no regression' : 'not shown to be free of regressions');
  return isGood;
}

function nameOf({ package: owner, suite }: Pick<FoundSuite, 'package' | 'suite'>): string {
  return `${owner}/${suite.name}`;
}

function pair(
  suites: readonly FoundSuite[],
  earlier: readonly SuiteResult[],
): { pairings: Pairing[]; missing: string[] } {
  const pairings: Pairing[] = [];
  const missing: string[] = [];
  for (const found of suites) {
    const old = earlier.find(
      ({ package: owner, name }) => owner === found.package && name === found.suite.name,
    );
    const usable = (old?.contenders ?? []).filter(
      ({ name, status }) => status === 'ok' && found.suite.contenders[name] !== undefined,
    );
    const reference = ['limit', 'baseline', 'peer'].flatMap((role) =>
      usable.filter((one) => one.role === role),
    )[0];
    for (const [ours, { role }] of Object.entries(found.suite.contenders)) {
      if (role !== 'ours') continue;
      const hasEarlier = usable.some(({ name }) => name === ours);
      if (old === undefined || reference === undefined || !hasEarlier)
        missing.push(`${nameOf(found)}: ${ours}`);
      else pairings.push({ found, earlier: old, ours, reference: reference.name });
    }
  }
  return { pairings, missing };
}

async function judgePairing(
  pairing: Pairing,
  rounds: number,
  pinned: boolean,
  progress: Progress,
): Promise<Judgement> {
  const once = async (): Promise<Judgement> => judge(await measure(pairing, rounds, pinned, progress));
  const first = await once();
  const isChange = first.verdict === 'regression' || first.verdict === 'improvement';
  return isChange ? confirm(first, await once()) : first;
}

async function measure(
  { found, earlier, ours, reference }: Pairing,
  rounds: number,
  pinned: boolean,
  progress: Progress,
): Promise<Parameters<typeof judge>[0]> {
  const weightMs = expectedMs(found.suite, { mode: 'full' });
  const entrants = await measureSuite(found, {
    mode: 'full',
    rounds,
    pinned,
    contenders: [ours, reference, ours],
    onStep: (contender) => progress.step(weightMs, `${nameOf(found)}: ${contender}`),
  });
  const [after, other, again] = entrants.map((entrant) =>
    entrant.error === undefined ? entrant.rounds : [],
  );
  const costs = costsOf(found);
  const roundsOf = (name: string): readonly Figures[] =>
    earlier.contenders.find((contender) => contender.name === name)?.rounds ?? [];
  return {
    before: costs(roundsOf(ours), roundsOf(reference)),
    after: costs(after ?? [], other ?? []),
    again: costs(again ?? [], other ?? []),
  };
}

/** What one costs over the other, a ratio a round; higher is worse, whatever the figure. */
function costsOf({ suite }: FoundSuite): (one: readonly Figures[], other: readonly Figures[]) => number[] {
  const { figure, better } = comparedFigure(suite);
  return (one, other) =>
    one.slice(0, other.length).map((round, index) => {
      const ratio = (round[figure] ?? Number.NaN) / (other[index]?.[figure] ?? Number.NaN);
      return better === 'lower' ? ratio : 1 / ratio;
    });
}

function describe({ verdict, reason, change, interval, pValue, noiseFloor }: Judgement): string[] {
  const percent = (share: number): string =>
    Number.isNaN(share) ? '–' : `${share > 0 ? '+' : ''}${(share * 100).toFixed(1)} %`;
  const words = {
    regression: 'REGRESSION',
    improvement: 'improvement',
    unchanged: 'unchanged',
    cannotJudge: 'CANNOT JUDGE',
  };
  return [
    percent(change),
    `${percent(interval[0])} … ${percent(interval[1])}`,
    Number.isNaN(pValue) ? '–' : pValue.toPrecision(2),
    percent(noiseFloor),
    words[verdict] + (reason === '' ? '' : `: ${reason}`),
  ];
}

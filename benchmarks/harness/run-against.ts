import type { FoundSuite } from './discover.ts';
import { comparedFigure } from './figures.ts';
import { type Comparison, cannotJudge, confirm, type Judgement, judge } from './judge.ts';
import { describeMachine, isSameMachine } from './machine.ts';
import { type Pairing, pair } from './pairings.ts';
import { expectedMs } from './plan.ts';
import { formatLeft, type Progress, startProgress } from './progress.ts';
import { readResults } from './results.ts';
import { measureSuite, runSuite } from './run-suite.ts';
import type { Figures } from './suite.ts';
import { align } from './table.ts';

/** Enough for the statistics to find a change of 15 % nearly always. */
const ROUNDS = 15;

interface AgainstOptions {
  readonly rounds: number | undefined;
  readonly pinned: boolean;
  /** The packages that are compared, all when empty; undefined: a single suite is. */
  readonly packages: readonly string[] | undefined;
}

/**
 * Compares what there is now with earlier results; returns whether all of it is shown to be no worse.
 *
 * Ratios to a reference of the same run are compared, never absolute figures, so the earlier run may be from a
 * busier time. Each contender of ours runs twice in each round: what the two differ by is the noise.
 * A fault suite is held against its goals instead: how long a stall lasts is partly chance.
 */
export async function runAgainst(
  suites: readonly FoundSuite[],
  file: string,
  { rounds = ROUNDS, pinned, packages }: AgainstOptions,
): Promise<boolean> {
  const earlier = readResults(file);
  if (earlier.mode === 'quick')
    throw new RangeError(`${file} is of a quick run, which nothing can be compared with`);
  const { pairings, unpaired } = pair(suites, earlier, packages);
  const stepsOf = ({ found, reference, control }: Pairing): number =>
    found.suite.kind === 'fault' ? 1 : rounds * (2 + others({ reference, control }).length);
  const totalMs = pairings.reduce(
    (sum, pairing) => sum + stepsOf(pairing) * expectedMs(pairing.found.suite, { mode: 'full' }),
    0,
  );
  console.log(
    `${pairings.length} comparisons: about ${formatLeft(totalMs)}, more for each change that is found`,
  );
  const progress = startProgress(totalMs);
  const rows: string[][] = [['', 'change', '99 % interval', 'p', 'noise', '']];
  let isGood = unpaired.length === 0 && pairings.length > 0;
  for (const pairing of pairings) {
    const once = (): Promise<Judgement> =>
      pairing.found.suite.kind === 'fault'
        ? judgeByGoals(pairing, pinned, progress)
        : judgeByFigures(pairing, rounds, pinned, progress);
    const first = await once();
    const isChange = first.verdict === 'regression' || first.verdict === 'improvement';
    const judgement = isChange ? confirm(first, await once()) : first;
    if (judgement.verdict === 'regression' || judgement.verdict === 'cannotJudge') isGood = false;
    const { name, reference } = pairing;
    rows.push([reference === undefined ? name : `${name} over ${reference}`, ...describe(judgement)]);
  }
  progress.end();
  console.log(align(rows).join('\n'));
  for (const { name, reason } of unpaired) console.log(`${name}: CANNOT JUDGE: ${reason}`);
  console.log(isGood ? 'no regression' : 'not shown to be free of regressions');
  return isGood;
}

async function judgeByFigures(
  pairing: Pairing,
  rounds: number,
  pinned: boolean,
  progress: Progress,
): Promise<Judgement> {
  const { name, found, earlier, ours, reference } = pairing;
  if (reference === undefined && !isSameMachine(earlier.machine, describeMachine(pinned))) {
    return cannotJudge('it has nobody to be measured by, and the earlier run is from another machine');
  }
  const weightMs = expectedMs(found.suite, { mode: 'full' });
  const entrants = await measureSuite(found, {
    mode: 'full',
    rounds,
    pinned,
    contenders: [ours, ours, ...others(pairing)],
    onStep: () => progress.step(weightMs, name),
  });
  const failed = entrants.find(({ error }) => error !== undefined);
  if (failed !== undefined) {
    return cannotJudge(`${failed.name} failed: ${(failed.error ?? '').split('\n')[0]}`);
  }
  return judge(
    comparisonOf(
      pairing,
      entrants.map((entrant) => entrant.rounds),
    ),
  );
}

function others({ reference, control }: Pick<Pairing, 'reference' | 'control'>): string[] {
  return [reference, control].filter((name) => name !== undefined);
}

/** A ratio a round, or a figure a round where there is nobody to be measured by. */
function comparisonOf(
  { found, earlier, ours, reference, control }: Pairing,
  [after = [], again = [], referenceNow, controlNow]: readonly (readonly Figures[])[],
): Comparison {
  const costs = costsOf(found);
  const earlierOf = (name: string): readonly Figures[] =>
    earlier.contenders.find((contender) => contender.name === name)?.rounds ?? [];
  const referenceBefore = reference === undefined ? undefined : earlierOf(reference);
  return {
    before: costs(earlierOf(ours), referenceBefore),
    after: costs(after, referenceNow),
    again: costs(again, referenceNow),
    control:
      control === undefined || controlNow === undefined
        ? undefined
        : { before: costs(earlierOf(control), referenceBefore), after: costs(controlNow, referenceNow) },
  };
}

/** What one costs over the other, a ratio a round; higher is worse, whatever the figure. */
function costsOf({
  suite,
}: FoundSuite): (one: readonly Figures[], other: readonly Figures[] | undefined) => number[] {
  const { figure, better } = comparedFigure(suite);
  return (one, other = one.map(() => ({ [figure]: 1 }))) =>
    one.slice(0, other.length).map((round, index) => {
      const ratio = (round[figure] ?? Number.NaN) / (other[index]?.[figure] ?? Number.NaN);
      return better === 'lower' ? ratio : 1 / ratio;
    });
}

async function judgeByGoals(
  { name, found, ours }: Pairing,
  pinned: boolean,
  progress: Progress,
): Promise<Judgement> {
  const result = await runSuite(found, { mode: 'full', pinned, contenders: [ours] });
  progress.step(expectedMs(found.suite, { mode: 'full' }), name);
  const [contender] = result.contenders;
  if (contender?.status !== 'ok') return cannotJudge(`${ours} failed: ${contender?.error?.split('\n')[0]}`);
  const goals = result.goals.filter((goal) => goal.contender === ours && goal.status !== 'notMeasured');
  if (goals.length === 0)
    return cannotJudge('a fault suite is held against its goals, and it has none alone');
  const open = goals.filter(({ status }) => status !== 'met');
  const nothing = cannotJudge('');
  return open.length === 0
    ? { ...nothing, verdict: 'unchanged', reason: 'its goals are met' }
    : { ...nothing, verdict: 'regression', reason: `not met: ${open.map(({ text }) => text).join('; ')}` };
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

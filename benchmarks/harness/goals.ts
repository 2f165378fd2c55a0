import { formatFigure, labelOf } from './figures.ts';
import type { ContenderResult, GoalResult } from './results.ts';
import { median } from './statistics.ts';
import type { AnySuite, Bound, Goal } from './suite.ts';

/** Judges each goal of a suite by its figures. */
export function judgeGoals(
  suite: AnySuite,
  contenders: readonly ContenderResult[],
  mode: 'full' | 'quick',
): GoalResult[] {
  return (suite.goals ?? []).map((goal) => judgeGoal(goal, contenders, mode));
}

function judgeGoal(goal: Goal, contenders: readonly ContenderResult[], mode: 'full' | 'quick'): GoalResult {
  const { figure } = goal;
  const bound = (goal.atMost ?? goal.atLeast) as Bound;
  const ours =
    goal.contender === undefined
      ? contenders.find(({ role }) => role === 'ours')
      : contenders.find(({ name }) => name === goal.contender);
  const other = typeof bound === 'number' ? undefined : contenders.find(({ name }) => name === bound.of);
  const values = figuresOf(ours, figure);
  const bounds =
    typeof bound === 'number'
      ? values.map(() => bound)
      : figuresOf(other, figure).map((value) => value * (bound.times ?? 1) + (bound.plus ?? 0));
  const result = { text: describeGoal(goal), contender: ours?.name ?? goal.contender ?? '', figure };
  const isComplete =
    values.length > 0 &&
    values.length === bounds.length &&
    values.every(Number.isFinite) &&
    bounds.every(Number.isFinite);
  if (!isComplete) {
    const involved = typeof bound === 'number' ? [ours] : [ours, other];
    const isLeftOut = involved.some((one) => one === undefined || one.status === 'notRun');
    const leftOut = mode === 'quick' ? 'notJudged' : 'notMeasured';
    const status = isLeftOut ? leftOut : 'missing';
    return { ...result, status, value: null, bound: null };
  }
  // Within a round, because the machine's mood changes from one to the next.
  const excess = median(values.map((value, round) => value - (bounds[round] as number)));
  const isMet = goal.atMost === undefined ? excess >= 0 : excess <= 0;
  const status = mode === 'quick' ? 'notJudged' : isMet ? 'met' : 'notMet';
  const value = median(values);
  return { ...result, status, value, bound: value - excess };
}

function figuresOf(contender: ContenderResult | undefined, figure: string): number[] {
  if (contender === undefined || contender.status !== 'ok') return [];
  return contender.rounds.map((round) => round[figure] ?? Number.NaN);
}

/** Says a goal in words. */
export function describeGoal({ contender, figure, atMost, atLeast }: Goal): string {
  const bound = (atMost ?? atLeast) as Bound;
  const side = atMost === undefined ? 'at least' : 'at most';
  const whose = contender === undefined ? '' : `${contender}: `;
  const label = labelOf(figure);
  if (typeof bound === 'number') return `${whose}${label} ${side} ${formatFigure(figure, bound)}`;
  const times = bound.times === undefined ? '' : `${bound.times} × `;
  const plus = bound.plus === undefined ? '' : ` + ${formatFigure(figure, bound.plus)}`;
  return `${whose}${label} ${side} ${times}${bound.of}${plus}`;
}

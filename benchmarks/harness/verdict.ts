import { keyOf, type SuiteResult } from './results.ts';
import { renderGoal } from './table.ts';

/** What a run came to, with each goal that was not shown to be met. */
export function renderVerdict(suites: readonly SuiteResult[], brokenFiles: number): string {
  const contenders = suites.flatMap((suite) => suite.contenders);
  const goals = suites.flatMap((suite) => suite.goals.map((goal) => ({ ...goal, key: keyOf(suite) })));
  const count = (some: readonly { readonly status: string }[], status: string): number =>
    some.filter((one) => one.status === status).length;
  const open = goals.filter(({ status }) => status === 'notMet' || status === 'missing');
  return [
    '',
    `${suites.length} suites, ${contenders.length} contenders: ${count(contenders, 'failed')} failed, ${count(contenders, 'notRun')} not run for want of time`,
    `${goals.length} goals: ${count(goals, 'met')} met, ${count(goals, 'notMet')} not met, ${count(goals, 'missing')} without figures, ${count(goals, 'notJudged')} not judged`,
    ...(brokenFiles > 0 ? [`${brokenFiles} files of suites can not be loaded`] : []),
    ...open.map((goal) => `${goal.key}${renderGoal(goal)}`),
  ].join('\n');
}

/** The exit code: 0 only when every contender ran and was right, and every goal that was judged is met. */
export function worstOf(suites: readonly SuiteResult[], brokenFiles: number): 0 | 1 {
  const isBad =
    brokenFiles > 0 ||
    suites.length === 0 ||
    suites.some(
      ({ contenders, goals }) =>
        contenders.some(
          ({ role, status }) => status === 'failed' || (role === 'ours' && status === 'notRun'),
        ) || goals.some(({ status }) => status !== 'met' && status !== 'notJudged'),
    );
  return isBad ? 1 : 0;
}

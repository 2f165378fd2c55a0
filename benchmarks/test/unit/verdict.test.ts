import { expect, test } from 'vitest';
import type { GoalResult } from '../../harness/results.ts';
import { renderVerdict, worstOf } from '../../harness/verdict.ts';
import { contenderOf, suiteOf } from './results-of.ts';

const us = contenderOf('us', 'ours', [{ timeNs: 1 }]);
const them = contenderOf('them', 'peer', [{ timeNs: 1 }]);
const notRun = (one: typeof us) => ({ ...one, status: 'notRun', rounds: [], figures: {} }) as const;
const goalOf = (status: GoalResult['status']): GoalResult => ({
  text: 'time at most 2.00 ns',
  contender: 'us',
  figure: 'timeNs',
  status,
  value: 1,
  bound: 2,
});
const codeOf = (goal: GoalResult['status'], contenders = [us, them]): number =>
  worstOf([suiteOf(contenders, { goals: [goalOf(goal)] })], 0);

test('a run is good when all ran and every goal that was judged is met', () => {
  expect(codeOf('met')).toBe(0);
  expect(codeOf('notJudged')).toBe(0);
  expect(codeOf('notJudged', [us, notRun(them)])).toBe(0);
});

test.each(['notMet', 'missing', 'notMeasured'] as const)('a goal that is %s makes a run bad', (status) => {
  expect(codeOf(status)).toBe(1);
});

test('a contender that failed, one of ours that did not run, and a file that can not be loaded make a run bad', () => {
  expect(codeOf('met', [us, contenderOf('them', 'peer', [])])).toBe(1);
  expect(codeOf('notJudged', [notRun(us), them])).toBe(1);
  expect(worstOf([suiteOf([us])], 1)).toBe(1);
  expect(worstOf([], 0)).toBe(1);
});

test('a verdict counts, and repeats the goals that are open', () => {
  const goals = [goalOf('met'), goalOf('notMet'), goalOf('missing')];
  const text = renderVerdict([suiteOf([us, contenderOf('them', 'peer', [])], { goals })], 1);
  expect(text).toContain('1 suites, 2 contenders: 1 failed, 0 not run');
  expect(text).toContain('3 goals: 1 met, 1 not met, 1 without figures');
  expect(text).toContain('1 files of suites can not be loaded');
  expect(text).toContain('core/thing  ✗ NOT MET: time at most 2.00 ns (1.00 ns against 2.00 ns)');
});

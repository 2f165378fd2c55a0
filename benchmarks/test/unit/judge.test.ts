import { type RandomSource, seededRandom } from '@hotpath/core';
import { expect, test } from 'vitest';
import { type Comparison, confirm, type Judgement, judge } from '../../harness/judge.ts';

/** As many as a comparison makes. */
const ROUNDS = 15;
const PAIRS = 1_000;

/** Rounds as a shared machine gives them: scattered by a few percent, now and then much too slow. */
function series(centre: number, scatter: number, random: RandomSource, length = ROUNDS): number[] {
  return Array.from({ length }, () => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    const disturbed = random() < 0.05 ? 1 + random() / 2 : 1;
    return centre * Math.exp(scatter * normal) * disturbed;
  });
}

function comparison(change: number, scatter: number, random: RandomSource): Comparison {
  return {
    before: series(1, scatter, random),
    after: series(1 + change, scatter, random),
    again: series(1 + change, scatter, random),
  };
}

/** As a run does it: a change is measured once more. */
function verdictOf(change: number, scatter: number, random: RandomSource): Judgement['verdict'] {
  const before = series(1, scatter, random);
  const once = (): Judgement => judge({ ...comparison(change, scatter, random), before }, random);
  const first = once();
  const isChange = first.verdict === 'regression' || first.verdict === 'improvement';
  return (isChange ? confirm(first, once()) : first).verdict;
}

test.each([0.01, 0.03, 0.06, 0.12])(
  'of 1,000 pairs of the same code at most ten are called a change (scatter %d)',
  (scatter) => {
    const random = seededRandom(1);
    let alarms = 0;
    for (let pair = 0; pair < PAIRS; pair++) {
      const { verdict } = judge(comparison(0, scatter, random), random);
      if (verdict === 'regression' || verdict === 'improvement') alarms++;
    }
    expect(alarms).toBeLessThanOrEqual(PAIRS / 100);
  },
  60_000,
);

test.each([0.01, 0.02, 0.03])(
  'a true change of 15 per cent is found and confirmed in at least 95 of 100 cases (scatter %d)',
  (scatter) => {
    const random = seededRandom(2);
    let found = 0;
    for (let pair = 0; pair < PAIRS; pair++) if (verdictOf(0.15, scatter, random) === 'regression') found++;
    expect(found).toBeGreaterThanOrEqual(PAIRS * 0.95);
  },
  60_000,
);

test('a true change is never called unchanged in more than 1 % of cases, however noisy', () => {
  for (const scatter of [0.02, 0.05, 0.1, 0.2]) {
    const random = seededRandom(3);
    let passed = 0;
    for (let pair = 0; pair < 300; pair++) if (verdictOf(0.15, scatter, random) === 'unchanged') passed++;
    expect(passed).toBeLessThanOrEqual(3);
  }
}, 60_000);

test('the same code is called unchanged when the machine is quiet', () => {
  const random = seededRandom(4);
  let unchanged = 0;
  for (let pair = 0; pair < 300; pair++) if (verdictOf(0, 0.02, random) === 'unchanged') unchanged++;
  expect(unchanged).toBeGreaterThanOrEqual(285);
}, 60_000);

test('where the same code differs from itself by 10 % nothing can be judged', () => {
  const judgement = judge({
    before: [1, 1.01, 0.99, 1, 1.02, 0.98, 1, 1],
    after: [1.5, 1.51, 1.5, 1.49, 1.5, 1.5, 1.52, 1.5],
    again: [1.9, 1.91, 1.9, 1.89, 1.9, 1.9, 1.92, 1.9],
  });
  expect(judgement).toMatchObject({ verdict: 'cannotJudge', reason: expect.stringContaining('same code') });
  expect(judgement.noiseFloor).toBeGreaterThan(0.1);
});

/** As a run on a machine whose mood changed: others move against each other as much as ours does. */
test('of 1,000 pairs of the same code, measured on a machine that changed by 15 %, at most ten are called a change', () => {
  for (const scatter of [0.01, 0.02, 0.03]) {
    const random = seededRandom(8);
    let alarms = 0;
    for (let pair = 0; pair < PAIRS; pair++) {
      const control = { before: series(1, scatter, random), after: series(1.15, scatter, random) };
      const { verdict } = judge({ ...comparison(0.15, scatter, random), control }, random);
      if (verdict !== 'cannotJudge') alarms++;
    }
    expect(alarms).toBeLessThanOrEqual(PAIRS / 100);
  }
}, 60_000);

test('a control that stands still does not keep a true change from being found', () => {
  const random = seededRandom(9);
  let found = 0;
  for (let pair = 0; pair < PAIRS; pair++) {
    const control = { before: series(2, 0.03, random), after: series(2, 0.03, random) };
    const { verdict } = judge({ ...comparison(0.15, 0.03, random), control }, random);
    if (verdict === 'regression') found++;
  }
  expect(found).toBeGreaterThanOrEqual(PAIRS * 0.95);
}, 60_000);

test('too few rounds and missing figures can not be judged', () => {
  const good = Array.from({ length: 10 }, (_, index) => 1 + index / 1_000);
  expect(judge({ before: good.slice(0, 4), after: good, again: good })).toMatchObject({
    verdict: 'cannotJudge',
    reason: expect.stringContaining('too few'),
  });
  expect(judge({ before: [], after: good, again: good }).verdict).toBe('cannotJudge');
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, 0]) {
    expect(judge({ before: good, after: [...good.slice(1), bad], again: good })).toMatchObject({
      verdict: 'cannotJudge',
      reason: 'a figure is missing',
    });
  }
});

test('an improvement is told from a regression', () => {
  const random = seededRandom(5);
  expect(judge(comparison(-0.3, 0.01, random), random).verdict).toBe('improvement');
  expect(judge(comparison(0.3, 0.01, random), random).verdict).toBe('regression');
});

test('a change that the second run does not find is not one', () => {
  const random = seededRandom(6);
  const regression = judge(comparison(0.3, 0.01, random), random);
  const unchanged = judge(comparison(0, 0.01, random), random);
  expect(confirm(regression, regression).verdict).toBe('regression');
  expect(confirm(regression, unchanged)).toMatchObject({ verdict: 'cannotJudge' });
});

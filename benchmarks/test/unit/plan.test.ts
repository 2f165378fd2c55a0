import { expect, test } from 'vitest';
import { discover } from '../../harness/discover.ts';
import {
  deadlineMs,
  FULL_BUDGET_MS,
  processesOf,
  QUICK_BUDGET_MS,
  QUICK_SUITES_PER_CORE,
  rotate,
  roundsOf,
  suiteMs,
  type Thoroughness,
} from '../../harness/plan.ts';
import { type AnySuite, defineSuite } from '../../harness/suite.ts';
import { contenderOf, suiteOf } from './results-of.ts';

const idle = { setup: () => ({ run: () => 1, check: () => {} }) };
const suite = defineSuite({
  name: 'thing',
  title: 'A thing',
  kind: 'micro',
  contenders: {
    us: { role: 'ours', ...idle },
    bare: { role: 'limit', ...idle },
    rival: { role: 'peer', ...idle },
    other: { role: 'peer', ...idle },
  },
  goals: [{ figure: 'timeNs', atMost: { times: 0.5, of: 'rival' } }],
});
const full = { mode: 'full' } as const;

const namesOf = ({ contenders }: AnySuite): string[] => Object.keys(contenders);
const roundsIn = (of: AnySuite, thoroughness: Thoroughness = full): number[] =>
  namesOf(of).map((name) => roundsOf(of, name, thoroughness));

test('peers by whom nothing is measured have fewer rounds', () => {
  expect(roundsIn(suite)).toEqual([5, 5, 5, 3]);
  expect(roundsIn(suite, { mode: 'full', rounds: 15 })).toEqual([15, 15, 15, 3]);
  expect(roundsIn(suite, { mode: 'full', rounds: 2 })).toEqual([2, 2, 2, 2]);
  expect(roundsIn(suite, { mode: 'quick' })).toEqual([1, 1, 1, 1]);
});

test('where there is neither limit nor baseline ours is measured by any peer', () => {
  const { bare: _, ...contenders } = suite.contenders;
  expect(roundsIn({ ...suite, contenders } as AnySuite)).toEqual([5, 5, 5]);
});

test('a fault suite is played once, however many rounds the others have', () => {
  expect(roundsIn({ ...suite, kind: 'fault' } as AnySuite, { mode: 'full', rounds: 15 })).toEqual([
    1, 1, 1, 1,
  ]);
});

test('a suite is expected to take as long as it took, if it was measured alike', () => {
  const roundsOfLength = (length: number) => Array.from({ length }, () => ({ timeNs: 1 }));
  const contenders = [5, 5, 5, 3].map((length, index) =>
    contenderOf(`${index}`, 'peer', roundsOfLength(length)),
  );
  const earlier = suiteOf(contenders, { tookMs: 12_345 });
  expect(processesOf(suite, full)).toBe(18);
  expect(suiteMs(suite, full, earlier)).toBe(12_345);
  expect(suiteMs(suite, { ...full, rounds: 2 }, earlier)).not.toBe(12_345);
  expect(suiteMs(suite, full, suiteOf(contenders, { tookMs: null }))).toBe(suiteMs(suite, full));
});

test('a whole run is planned to take at most twenty minutes', async () => {
  const { all } = await discover([], undefined);
  const totalMs = all.reduce((sum, found) => sum + suiteMs(found.suite, full), 0);
  expect(totalMs).toBeLessThanOrEqual(FULL_BUDGET_MS);
});

test('a quick run is planned to measure everybody on two cores before it would leave any out', async () => {
  const { all } = await discover([], undefined);
  const totalMs = all.reduce((sum, found) => sum + suiteMs(found.suite, { mode: 'quick' }), 0);
  expect(totalMs / (2 * QUICK_SUITES_PER_CORE)).toBeLessThanOrEqual(QUICK_BUDGET_MS);
});

test('one that hangs costs a quick run less than its minute', async () => {
  const { all } = await discover([], undefined);
  for (const found of all) expect(deadlineMs(found.suite, { mode: 'quick' })).toBeLessThan(20_000);
});

test('each contender is once at each place', () => {
  const rounds = [0, 1, 2].map((round) => rotate(['a', 'b', 'c'], round));
  expect(rounds).toEqual([
    ['a', 'b', 'c'],
    ['b', 'c', 'a'],
    ['c', 'a', 'b'],
  ]);
});

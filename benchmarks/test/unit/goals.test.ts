import { expect, test } from 'vitest';
import { judgeGoals } from '../../harness/goals.ts';
import type { ContenderResult } from '../../harness/results.ts';
import { type AnySuite, defineSuite, type Goal } from '../../harness/suite.ts';
import { contenderOf } from './results-of.ts';

const idle = { setup: () => ({ run: () => 1, check: () => {} }) };

function suiteWith(...goals: Goal[]): AnySuite {
  return defineSuite({
    name: 'thing',
    title: 'A thing',
    kind: 'micro',
    contenders: { them: { role: 'peer', ...idle }, us: { role: 'ours', ...idle } },
    goals,
  });
}

const rounds = (figure: string, ...values: number[]) => values.map((value) => ({ [figure]: value }));
const statusOf = (goal: Goal, contenders: readonly ContenderResult[], mode: 'full' | 'quick' = 'full') =>
  judgeGoals(suiteWith(goal), contenders, mode)[0]?.status;

const them = contenderOf('them', 'peer', rounds('timeNs', 100, 200, 110));
const us = contenderOf('us', 'ours', rounds('timeNs', 90, 250, 99));

test('a fixed bound is held against the median', () => {
  expect(statusOf({ figure: 'timeNs', atMost: 99 }, [them, us])).toBe('met');
  expect(statusOf({ figure: 'timeNs', atMost: 98 }, [them, us])).toBe('notMet');
  expect(statusOf({ figure: 'timeNs', atLeast: 99 }, [them, us])).toBe('met');
  expect(statusOf({ figure: 'timeNs', atLeast: 100 }, [them, us])).toBe('notMet');
});

test('a bound by another contender is held against it round by round', () => {
  // The machine was busy in the second round; within the rounds 0.9, 1.25 and 0.9.
  expect(statusOf({ figure: 'timeNs', atMost: { times: 0.9, of: 'them' } }, [them, us])).toBe('met');
  expect(statusOf({ figure: 'timeNs', atMost: { times: 0.89, of: 'them' } }, [them, us])).toBe('notMet');
  expect(statusOf({ figure: 'timeNs', atMost: { of: 'them', plus: -10 } }, [them, us])).toBe('met');
  expect(statusOf({ figure: 'timeNs', atMost: { of: 'them', plus: -11 } }, [them, us])).toBe('notMet');
  expect(statusOf({ figure: 'timeNs', atMost: { of: 'them', plus: 50 } }, [them, us])).toBe('met');
});

test('what is shown of a goal agrees with its status', () => {
  const goal = { figure: 'timeNs', atMost: { times: 0.9, of: 'them' } };
  const [result] = judgeGoals(suiteWith(goal), [them, us], 'full');
  // Rounds lie 0, 70 and 0 above their bounds.
  expect(result).toMatchObject({ status: 'met', value: 99, bound: 99 });
});

test('a missing figure is never a pass', () => {
  const failed = contenderOf('us', 'ours', []);
  expect(statusOf({ figure: 'timeNs', atMost: 1e9 }, [them, failed])).toBe('missing');
  expect(statusOf({ figure: 'absentMs', atMost: 1e9 }, [them, us])).toBe('missing');
  const broken = contenderOf('us', 'ours', rounds('timeNs', 1, Number.NaN, 1));
  expect(statusOf({ figure: 'timeNs', atMost: 1e9 }, [them, broken])).toBe('missing');
  const noPeer = contenderOf('them', 'peer', []);
  expect(statusOf({ figure: 'timeNs', atMost: { times: 99, of: 'them' } }, [noPeer, us])).toBe('missing');
});

test('a goal of or by a contender that was not run is not measured, and that is no pass either', () => {
  const notRun = { ...contenderOf('us', 'ours', []), status: 'notRun' } as const;
  expect(statusOf({ figure: 'timeNs', atMost: 1e9 }, [them, notRun])).toBe('notMeasured');
  expect(statusOf({ figure: 'timeNs', atMost: 1e9 }, [them])).toBe('notMeasured');
  expect(statusOf({ figure: 'timeNs', atMost: { of: 'them' } }, [us])).toBe('notMeasured');
});

test('a quick run judges no goal, but still misses figures', () => {
  expect(statusOf({ figure: 'timeNs', atMost: 1 }, [them, us], 'quick')).toBe('notJudged');
  expect(statusOf({ figure: 'absentMs', atMost: 1 }, [them, us], 'quick')).toBe('missing');
});

test('in a quick run a bound by who was left out is not judged', () => {
  const leftOut = { ...contenderOf('them', 'peer', []), status: 'notRun' } as const;
  const failed = contenderOf('them', 'peer', []);
  const goal = { figure: 'timeNs', atMost: { of: 'them' } };
  expect(statusOf(goal, [leftOut, us], 'quick')).toBe('notJudged');
  expect(statusOf(goal, [failed, us], 'quick')).toBe('missing');
});

test('a goal is said in words with its unit', () => {
  const suite = suiteWith(
    { figure: 'timeNs', atMost: { times: 1.3, of: 'them', plus: 45 } },
    { contender: 'us', figure: 'bytesPerOp', atMost: 60 },
    { figure: 'opsPerSecond', atLeast: 250_000 },
  );
  expect(judgeGoals(suite, [them, us], 'full').map(({ text }) => text)).toEqual([
    'time at most 1.3 × them + 45.0 ns',
    'us: bytes/op at most 60 B',
    'ops/s at least 250 k/s',
  ]);
});

test.each<[string, Partial<Parameters<typeof defineSuite>[0]>, string]>([
  [
    'a goal of an unknown contender',
    { goals: [{ contender: 'nobody', figure: 'timeNs', atMost: 1 }] },
    'nobody',
  ],
  ['a bound by an unknown contender', { goals: [{ figure: 'timeNs', atMost: { of: 'nobody' } }] }, 'nobody'],
  ['a goal without a bound', { goals: [{ figure: 'timeNs' }] }, 'either atMost or atLeast'],
  ['nobody of ours', { contenders: { them: { role: 'peer', ...idle } } }, 'role ours'],
  ['a name with spaces', { name: 'a b' }, 'lower case'],
])('a suite with %s is refused', (_, wrong, complaint) => {
  const right = {
    name: 'thing',
    title: '',
    kind: 'micro',
    contenders: { us: { role: 'ours', ...idle } },
  } as const;
  expect(() => defineSuite({ ...right, ...wrong } as never)).toThrow(complaint);
});

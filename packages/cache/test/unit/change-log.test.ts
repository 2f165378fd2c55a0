import { expect, test } from 'vitest';
import { type Change, ChangeLog } from '../../src/internal/change-log.ts';

const ofKeys = (...keys: string[]): Change => ({ keys, marks: [], isAll: false });
const EVERYTHING: Change = { keys: [], marks: [], isAll: true };

function allOf(log: ChangeLog): Change[] {
  const taken: Change[] = [];
  for (let change = log.take(100); change !== undefined; change = log.take(100)) taken.push(change);
  return taken;
}

test('what was confirmed after a loss is queued again, once for each key', () => {
  const log = new ChangeLog(10);
  log.remember(1, 'first', ofKeys('a'));
  log.remember(2, 'first', ofKeys('b', 'c'));
  log.remember(3, 'first', ofKeys('c'));
  log.remember(4, 'second', ofKeys('d'));
  log.enqueueLost(1, 'second');
  expect(allOf(log)).toEqual([ofKeys('b', 'c')]);
});

test('keys are counted, not changes: what no longer fits is forgotten, and its loss clears everything', () => {
  const log = new ChangeLog(10);
  log.remember(1, 'first', ofKeys('a', 'b', 'c', 'd', 'e', 'f'));
  log.remember(2, 'first', ofKeys('g', 'h', 'i', 'j'));
  log.enqueueLost(0, '');
  expect(allOf(log)).toEqual([ofKeys('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j')]);
  log.remember(3, 'first', ofKeys('k'));
  log.enqueueLost(1, '');
  expect(allOf(log)).toEqual([ofKeys('g', 'h', 'i', 'j', 'k')]);
  log.enqueueLost(0, '');
  expect(allOf(log)).toEqual([EVERYTHING]);
});

test('one change that is larger than all that may be remembered is forgotten at once', () => {
  const log = new ChangeLog(3);
  log.remember(1, 'first', ofKeys('a', 'b', 'c', 'd'));
  log.remember(2, 'first', ofKeys('e'));
  log.enqueueLost(1, '');
  expect(allOf(log)).toEqual([ofKeys('e')]);
  log.enqueueLost(0, '');
  expect(allOf(log)).toEqual([EVERYTHING]);
});

test('remembering goes on for ever in the same memory', () => {
  const log = new ChangeLog(4);
  for (let sequence = 1; sequence <= 10_000; sequence++) {
    log.remember(sequence, 'first', ofKeys(`a${sequence}`, `b${sequence}`));
  }
  log.enqueueLost(9_998, '');
  expect(allOf(log)).toEqual([ofKeys('a9999', 'b9999', 'a10000', 'b10000')]);
  log.enqueueLost(9_997, '');
  expect(allOf(log)).toEqual([EVERYTHING]);
});

test('a queue that overflows becomes one invalidation of everything, and is whole again afterwards', () => {
  const log = new ChangeLog(2);
  log.enqueue(ofKeys('a', 'b'));
  expect(log.queued).toBe(2);
  log.enqueue({ keys: ['b'], marks: ['tx'], isAll: false });
  expect(log.queued).toBe(1);
  log.enqueue(ofKeys('c'));
  expect(allOf(log)).toEqual([EVERYTHING]);
  log.enqueue(ofKeys('d'));
  expect(allOf(log)).toEqual([ofKeys('d')]);
});

test('what is being repeated is queued until it has been, and waits again when it could not be', () => {
  const log = new ChangeLog(10);
  log.enqueue(ofKeys('a', 'b', 'c'));
  const first = log.take(2) as Change;
  expect(log.queued).toBe(3);
  log.settle(first, true);
  expect(log.queued).toBe(1);
  const second = log.take(2) as Change;
  expect([second, log.take(2), log.queued]).toEqual([ofKeys('c'), undefined, 1]);
  log.settle(second, false);
  expect([log.queued, log.take(2)]).toEqual([1, ofKeys('c')]);
  log.settle(second, true);
  log.enqueue(EVERYTHING);
  const all = log.take(2) as Change;
  expect([all, log.take(2), log.queued]).toEqual([EVERYTHING, undefined, 1]);
  log.settle(all, true);
  expect(log.queued).toBe(0);
});

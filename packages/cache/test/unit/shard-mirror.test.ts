import { expect, test } from 'vitest';
import { ShardMirror } from '../../src/internal/shard-state.ts';

const reader = { readableKey: 'a' };

test('a mark that is heard of late does not take the place of a younger one', () => {
  const mirror = new ShardMirror();
  mirror.add('ttag', 12);
  // The answer to this process's own invalidation, overtaken by another process's on the other connection.
  mirror.add('ttag', 10);
  expect(mirror.invalidates(11, ['tag'], reader)).toBe(true);
  expect(mirror.invalidates(12, ['tag'], reader)).toBe(false);
});

test('what is older than the floor is invalid, whatever its tags, and what is younger is judged by the marks left', () => {
  const mirror = new ShardMirror();
  for (const [mark, sequence] of [
    ['tfirst', 1],
    ['tsecond', 2],
    ['tlate', 1],
    ['tfirst', 3],
  ] as const) {
    mirror.add(mark, sequence);
  }
  expect(mirror.raiseFloor(2)).toBe(true);
  expect(mirror.raiseFloor(1)).toBe(false);
  expect(mirror.invalidates(1, [], reader)).toBe(true);
  expect(mirror.invalidates(2, ['second', 'late'], reader)).toBe(false);
  expect(mirror.invalidates(2, ['first'], reader)).toBe(true);
});

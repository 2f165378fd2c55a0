import { expect, test } from 'vitest';
import { batchSize } from '../../harness/batch-size.ts';

/** Calls on a clock of their own; `costMs` tells what each takes. */
function callsOf(costMs: (call: number) => number) {
  let nowMs = 0;
  let calls = 0;
  return {
    now: () => nowMs,
    run: (count: number) => {
      for (const until = calls + count; calls < until; calls++) nowMs += costMs(calls);
    },
  };
}

test('a batch takes half a millisecond or up to twice that', async () => {
  const { run, now } = callsOf(() => 100e-6);
  expect(await batchSize(100, run, now)).toBe(8_192);
});

test('calls that are slow before they are compiled do not make the batches small', async () => {
  const { run, now } = callsOf((call) => (call < 500 ? 0.05 : 100e-6));
  expect(await batchSize(100, run, now)).toBe(8_192);
});

test('a pause at any time does not make the batches small', async () => {
  const { run, now } = callsOf((call) => (call % 10_000 === 3 ? 2 : 100e-6));
  expect(await batchSize(100, run, now)).toBe(8_192);
});

test('what takes longer than a batch is called once a batch', async () => {
  const { run, now } = callsOf(() => 3);
  expect(await batchSize(100, run, now)).toBe(1);
});

test('what costs next to nothing has batches that are bounded', async () => {
  const { run, now } = callsOf(() => 1e-7);
  expect(await batchSize(1, run, now)).toBe(1 << 20);
});

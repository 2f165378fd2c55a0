import { expect, test } from 'vitest';
import { figuresOf } from '../../harness/measure-fault.ts';

type Calls = Parameters<typeof figuresOf>[0];
type Call = Calls[number];

const moments = { normalMs: 1_000, outageMs: 2_000, restoredMs: 4_000, endMs: 9_000 };

/** One call every 10 ms from 0 to 6 s, each ended as told. */
function callsOf(end: (dueMs: number) => Pick<Call, 'endedMs' | 'outcome'>): Calls {
  return Array.from({ length: 600 }, (_, index) => ({ dueMs: index * 10, ...end(index * 10) }));
}

test('who never stalls has no stall, no error and nothing to recover from', () => {
  const figures = figuresOf(
    callsOf((dueMs) => ({ endedMs: dueMs + 1, outcome: 'served' })),
    moments,
  );
  expect(figures).toMatchObject({ calls: 600, errors: 0, unsettled: 0, longestStallMs: 1, recoverMs: 0 });
  expect(figures.p99NormalMs).toBe(1);
});

test('who waits for the server stalls for as long as it is away', () => {
  const figures = figuresOf(
    callsOf((dueMs) => ({ endedMs: dueMs >= 2_000 && dueMs < 4_300 ? 4_300 : dueMs + 1, outcome: 'served' })),
    moments,
  );
  expect(figures).toMatchObject({ errors: 0, longestStallMs: 2_300, recoverMs: 280 });
});

test('the p99 of an outage is also told over the normal one', () => {
  const figures = figuresOf(
    callsOf((dueMs) => ({ endedMs: dueMs + (dueMs >= 2_000 && dueMs < 4_000 ? 3 : 2), outcome: 'served' })),
    moments,
  );
  expect(figures).toMatchObject({ p99NormalMs: 2, p99OutageMs: 3, p99OutageRatio: 1.5 });
});

test('errors count, and delay recovery until the last one', () => {
  const figures = figuresOf(
    callsOf((dueMs) => ({
      endedMs: dueMs + 5,
      outcome: dueMs >= 2_000 && dueMs < 4_500 ? 'failed' : 'served',
    })),
    moments,
  );
  expect(figures).toMatchObject({ errors: 250, longestStallMs: 5, recoverMs: 500 });
});

test('calls that never end are counted, and stall until the end', () => {
  const figures = figuresOf(
    callsOf((dueMs) =>
      dueMs === 3_000
        ? { endedMs: Number.NaN, outcome: 'pending' }
        : { endedMs: dueMs + 1, outcome: 'served' },
    ),
    moments,
  );
  expect(figures).toMatchObject({ unsettled: 1, longestStallMs: 6_000, recoverMs: 0 });
});

test('a slow call now and then does not put recovery off', () => {
  const figures = figuresOf(
    callsOf((dueMs) => ({ endedMs: dueMs + (dueMs % 300 === 0 ? 50 : 1), outcome: 'served' })),
    moments,
  );
  expect(figures.recoverMs).toBe(0);
});

test('errors all the time are no recovery', () => {
  const figures = figuresOf(
    callsOf((dueMs) => ({
      endedMs: dueMs + 1,
      outcome: dueMs > 2_000 && dueMs % 100 === 0 ? 'failed' : 'served',
    })),
    moments,
  );
  expect(figures.recoverMs).toBe(5_000);
});

test('with a fallback, recovery is when the server is used again', () => {
  const figures = figuresOf(
    callsOf((dueMs) => ({
      endedMs: dueMs + 1,
      outcome: dueMs >= 2_000 && dueMs < 4_800 ? 'fallback' : 'served',
    })),
    moments,
    { usesServer: () => true },
  );
  expect(figures).toMatchObject({ errors: 0, longestStallMs: 1, recoverMs: 801 });
});

test('a server that is never used again is not recovered within the time watched', () => {
  const figures = figuresOf(
    callsOf((dueMs) => ({ endedMs: dueMs + 1, outcome: dueMs >= 2_000 ? 'fallback' : 'served' })),
    moments,
    { usesServer: () => true },
  );
  expect(figures.recoverMs).toBe(5_000);
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CountWindow, TimeWindow } from '../../src/internal/outcome-window.ts';

const outcome = fc.integer({ min: 0, max: 3 });

function totals(bits: number[]): { calls: number; failures: number; slow: number } {
  return {
    calls: bits.length,
    failures: bits.filter((each) => each & 1).length,
    slow: bits.filter((each) => each & 2).length,
  };
}

describe('a count window', () => {
  it('has the totals of the latest outcomes, whatever came', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.array(outcome, { maxLength: 60, size: 'max' }),
        (size, series) => {
          const window = new CountWindow(size);
          for (const [index, bits] of series.entries()) {
            window.record(bits);
            const { calls, failures, slow } = window;
            expect({ calls, failures, slow }).toEqual(totals(series.slice(0, index + 1).slice(-size)));
          }
        },
      ),
    );
  });
});

describe('a time window', () => {
  it('has the totals of the buckets that are young enough, whatever pauses there were', () => {
    const step = fc.record({ pauseMs: fc.integer({ min: 0, max: 3_000 }), bits: outcome });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.array(step, { maxLength: 60, size: 'max' }),
        (buckets, steps) => {
          const bucketMs = 100;
          const window = new TimeWindow(bucketMs * buckets, buckets, 0);
          const recorded: { bucket: number; bits: number }[] = [];
          let nowMs = 0;
          for (const { pauseMs, bits } of steps) {
            nowMs += pauseMs;
            const bucket = Math.floor(nowMs / bucketMs);
            recorded.push({ bucket, bits });
            window.record(bits, nowMs);
            const young = recorded.filter((each) => each.bucket > bucket - buckets).map((each) => each.bits);
            const { calls, failures, slow } = window;
            expect({ calls, failures, slow }).toEqual(totals(young));
          }
        },
      ),
    );
  });
});

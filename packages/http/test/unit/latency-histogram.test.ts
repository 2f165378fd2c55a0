import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LatencyHistogram } from '../../src/internal/latency-histogram.ts';

describe('the latency histogram', () => {
  it('tells quantiles that are never too low and at most an eighth too high', () => {
    const durations = fc.array(fc.double({ min: 0.001, max: 100_000, noNaN: true }), {
      minLength: 1,
      maxLength: 200,
    });
    fc.assert(
      fc.property(durations, fc.constantFrom(0.5, 0.95, 0.99, 1), (given, share) => {
        const histogram = new LatencyHistogram();
        for (const duration of given) histogram.record(duration);
        const sorted = [...given].sort((a, b) => a - b);
        const exact = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)]!;
        const told = histogram.quantileMs(share);
        // Durations are kept in whole microseconds.
        expect(told).toBeGreaterThanOrEqual(exact - 0.0006);
        expect(told).toBeLessThanOrEqual(exact * 1.126 + 0.001);
      }),
    );
  });

  it('is all zeros while empty, and takes absurd durations', () => {
    const histogram = new LatencyHistogram();
    expect(histogram.summary()).toEqual({ count: 0, meanMs: 0, p50Ms: 0, p95Ms: 0, p99Ms: 0, maxMs: 0 });
    for (const duration of [-1, 0, 1e12]) histogram.record(duration);
    expect(histogram.summary()).toMatchObject({ count: 3, maxMs: 1e12 });
  });
});

import { seededRandom } from '@hotpath/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  bootstrapRatio,
  mannWhitney,
  median,
  quantileOfSorted,
  summarise,
} from '../../harness/statistics.ts';

test('a median is the middle value, or between the two middle ones', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([])).toBeNaN();
});

test('quantiles are interpolated linearly', () => {
  expect(quantileOfSorted([0, 10], 0.25)).toBe(2.5);
  expect(quantileOfSorted([1, 2, 3, 4, 5], 0.75)).toBe(4);
  expect(quantileOfSorted([7], 0.99)).toBe(7);
});

test('the spread is half the distance of the quartiles over the median', () => {
  expect(summarise([90, 95, 100, 105, 110])).toEqual({ median: 100, low: 90, high: 110, spread: 0.05 });
  expect(summarise([0, 0, 0]).spread).toBe(0);
});

// The last: Hollander and Wolfe (1973), p. 69; two-sided.
test.each([
  [[1, 2, 3], [4, 5, 6], 0.1],
  [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], 0.007936507936507936],
  [[0.8, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46], [1.15, 0.88, 0.9, 0.74, 1.21], 0.2544122544],
])('the exact Mann–Whitney p-value of %j and %j is %d', (a, b, p) => {
  expect(mannWhitney(a, b)).toBeCloseTo(p, 9);
});

test('with ties the normal approximation is used', () => {
  // By hand: ranks of the first 1, 3, 3, 5.5, 7, 8.5; U = 7 around 18; variance 3 (13 - 36 / 132); z = 1.6993.
  expect(mannWhitney([1, 2, 2, 3, 4, 5], [2, 3, 5, 6, 7, 8])).toBeCloseTo(0.0893, 4);
  expect(mannWhitney([1, 1, 1], [1, 1, 1])).toBe(1);
});

test('the exact p-value is the share of all orders that are as far apart', () => {
  const distinct = fc.uniqueArray(fc.integer({ min: 0, max: 1_000 }), { minLength: 2, maxLength: 9 });
  fc.assert(
    fc.property(distinct, fc.nat(), (values, choice) => {
      const size = 1 + (choice % (values.length - 1));
      expect(mannWhitney(values.slice(0, size), values.slice(size))).toBeCloseTo(
        shareOfOrders(values, size),
        10,
      );
    }),
  );
});

/** Slow and obvious: every way to choose the first series from the values. */
function shareOfOrders(values: readonly number[], size: number): number {
  const distanceOf = (isFirst: (index: number) => boolean): number => {
    let u = 0;
    for (const [i, a] of values.entries()) {
      for (const [j, b] of values.entries()) if (isFirst(i) && !isFirst(j) && a > b) u++;
    }
    return Math.abs(u - (size * (values.length - size)) / 2);
  };
  const seen = distanceOf((index) => index < size);
  let all = 0;
  let asFar = 0;
  for (let chosen = 0; chosen < 2 ** values.length; chosen++) {
    const isFirst = (index: number): boolean => ((chosen >> index) & 1) === 1;
    if (values.filter((_, index) => isFirst(index)).length !== size) continue;
    all++;
    if (distanceOf(isFirst) >= seen) asFar++;
  }
  return asFar / all;
}

test('Mann–Whitney does not depend on the order of its series nor of their values', () => {
  const series = fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(series, series, (a, b) => {
      const p = mannWhitney(a, b);
      expect(p).toBeGreaterThan(0);
      expect(p).toBeLessThanOrEqual(1);
      expect(mannWhitney(b, a)).toBeCloseTo(p, 10);
      expect(mannWhitney([...a].reverse(), b)).toBe(p);
    }),
  );
});

test('p-values of series from one source are spread evenly', () => {
  const random = seededRandom(7);
  const trials = 2_000;
  let below = 0;
  for (let trial = 0; trial < trials; trial++) {
    // The exact test for 64 pairs, the approximation for 441.
    const draw = () => Array.from({ length: trial % 2 === 0 ? 8 : 21 }, random);
    if (mannWhitney(draw(), draw()) < 0.05) below++;
  }
  expect(below / trials).toBeGreaterThan(0.03);
  expect(below / trials).toBeLessThan(0.06);
});

test('the bootstrap interval covers the true ratio about as often as it says', () => {
  const random = seededRandom(11);
  const trials = 300;
  let covered = 0;
  for (let trial = 0; trial < trials; trial++) {
    const before = Array.from({ length: 15 }, () => 100 + 10 * (random() + random() - 1));
    const after = Array.from({ length: 15 }, () => 120 + 12 * (random() + random() - 1));
    const [low, high] = bootstrapRatio(before, after, random, 0.95, 400);
    if (low <= 1.2 && high >= 1.2) covered++;
  }
  expect(covered / trials).toBeGreaterThan(0.9);
});

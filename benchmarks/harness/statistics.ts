import type { RandomSource } from '@hotpath/core';

/** The quantile `q` (0 to 1) of ascending values, interpolated linearly; NaN of none. */
export function quantileOfSorted(sorted: ArrayLike<number>, q: number): number {
  if (sorted.length === 0) return Number.NaN;
  const position = (sorted.length - 1) * q;
  const below = sorted[Math.floor(position)] as number;
  const above = sorted[Math.ceil(position)] as number;
  return below + (above - below) * (position - Math.floor(position));
}

export function median(values: readonly number[]): number {
  return quantileOfSorted(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}

/** What is known of a figure from several rounds. */
export interface Summary {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** Half the distance of the quartiles over the median: 0.02 says about ±2 %. */
  readonly spread: number;
}

export function summarise(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = quantileOfSorted(sorted, 0.5);
  const quartiles = quantileOfSorted(sorted, 0.75) - quantileOfSorted(sorted, 0.25);
  return {
    median: middle,
    low: sorted[0] ?? Number.NaN,
    high: sorted.at(-1) ?? Number.NaN,
    spread: quartiles === 0 ? 0 : quartiles / 2 / Math.abs(middle),
  };
}

/**
 * The two-sided p-value of the Mann–Whitney U test: how likely two series this far apart are when both come from one source.
 *
 * Exact without ties up to 400 pairs, else by the normal approximation, corrected for ties and continuity.
 * Mann and Whitney, 1947.
 */
export function mannWhitney(a: readonly number[], b: readonly number[]): number {
  if (a.length === 0 || b.length === 0) return 1;
  const pooled = [...a.map((value) => ({ value, ofA: true })), ...b.map((value) => ({ value, ofA: false }))];
  pooled.sort((x, y) => x.value - y.value);
  let rankSum = 0;
  let tieTerm = 0;
  for (let first = 0; first < pooled.length; ) {
    let end = first;
    while (end < pooled.length && pooled[end]?.value === pooled[first]?.value) end++;
    const ties = end - first;
    tieTerm += ties ** 3 - ties;
    const rank = (first + 1 + end) / 2;
    for (let index = first; index < end; index++) if (pooled[index]?.ofA) rankSum += rank;
    first = end;
  }
  const pairs = a.length * b.length;
  const u = rankSum - (a.length * (a.length + 1)) / 2;
  const smaller = Math.min(u, pairs - u);
  if (tieTerm === 0 && pairs <= 400) return Math.min(1, 2 * shareAtMost(smaller, a.length, b.length));
  const total = pooled.length;
  const variance = (pairs / 12) * (total + 1 - tieTerm / (total * (total - 1)));
  if (variance === 0) return 1;
  const z = Math.max(0, pairs / 2 - smaller - 0.5) / Math.sqrt(variance);
  return Math.min(1, 2 * upperTailOfNormal(z));
}

/** The share of all orders of n and m values whose U is at most `u`. */
function shareAtMost(u: number, n: number, m: number): number {
  // counts[i][j][k]: orders of i and j values with U = k; only the last row of i is kept.
  let rows: number[][] = Array.from({ length: m + 1 }, () => [1]);
  for (let i = 1; i <= n; i++) {
    const next: number[][] = [[1]];
    for (let j = 1; j <= m; j++) {
      const withLast = rows[j] as number[];
      const without = next[j - 1] as number[];
      const counts = new Array<number>(i * j + 1).fill(0);
      for (let k = 0; k <= i * j; k++) counts[k] = (withLast[k - j] ?? 0) + (without[k] ?? 0);
      next.push(counts);
    }
    rows = next;
  }
  const counts = rows[m] as number[];
  const all = counts.reduce((sum, count) => sum + count, 0);
  return counts.slice(0, Math.floor(u) + 1).reduce((sum, count) => sum + count, 0) / all;
}

/** Abramowitz and Stegun 7.1.26: off by less than 1.5e-7. */
function upperTailOfNormal(z: number): number {
  const x = z / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * x);
  const series =
    ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return (series * Math.exp(-x * x)) / 2;
}

/** Ends of an interval, ascending. */
export type Interval = readonly [low: number, high: number];

/**
 * The percentile bootstrap interval of `median(after) / median(before)`. Efron, 1979.
 *
 * @param confidence such as 0.99.
 */
export function bootstrapRatio(
  before: readonly number[],
  after: readonly number[],
  random: RandomSource,
  confidence = 0.99,
  resamples = 1_000,
): Interval {
  const ratios = new Float64Array(resamples);
  const medianBefore = resampler(before, random);
  const medianAfter = resampler(after, random);
  for (let index = 0; index < resamples; index++) ratios[index] = medianAfter() / medianBefore();
  ratios.sort();
  const tail = (1 - confidence) / 2;
  return [quantileOfSorted(ratios, tail), quantileOfSorted(ratios, 1 - tail)];
}

/** Medians of resamples. They are drawn as ranks, which are sorted by counting. */
function resampler(values: readonly number[], random: RandomSource): () => number {
  const sorted = Float64Array.from(values).sort();
  const counts = new Uint32Array(sorted.length);
  const lowerRank = (sorted.length - 1) >> 1;
  const upperRank = sorted.length >> 1;
  return () => {
    counts.fill(0);
    for (let drawn = 0; drawn < sorted.length; drawn++) {
      const rank = Math.floor(random() * sorted.length);
      counts[rank] = (counts[rank] as number) + 1;
    }
    let seen = 0;
    let rank = 0;
    while (seen + (counts[rank] as number) <= lowerRank) seen += counts[rank++] as number;
    const lower = sorted[rank] as number;
    while (seen + (counts[rank] as number) <= upperRank) seen += counts[rank++] as number;
    return (lower + (sorted[rank] as number)) / 2;
  };
}

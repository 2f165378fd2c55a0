import { type RandomSource, seededRandom } from '@hotpath/core';
import { bootstrapRatio, type Interval, mannWhitney, median } from './statistics.ts';

/** A move of less than this is not called a change. */
export const THRESHOLD = 0.1;
const CONFIDENCE = 0.99;
/** Of the noise floor: wider, and two disturbed rounds of ten would pass for noise of the whole series. */
const NOISE_CONFIDENCE = 0.9;
const SIGNIFICANT = 0.01;
const FEWEST_ROUNDS = 5;

export type Verdict = 'regression' | 'improvement' | 'unchanged' | 'cannotJudge';

/** What a comparison found. */
export interface Judgement {
  readonly verdict: Verdict;
  /** Why it can not be judged; empty when it can. */
  readonly reason: string;
  /** The median after over the median before, minus 1: above 0 is worse. */
  readonly change: number;
  /** Where the change lies with 99 % confidence. */
  readonly interval: Interval;
  /** Of a Mann–Whitney test. */
  readonly pValue: number;
  /** How far two series of the same code lay apart at most, with 90 % confidence. */
  readonly noiseFloor: number;
}

/** Costs of one contender over another of the same round, one a round; higher is worse. */
export interface Comparison {
  readonly before: readonly number[];
  /** Two interleaved series of the code as it is now, whose difference is noise. */
  readonly after: readonly number[];
  readonly again: readonly number[];
  /** Costs of one whose code did not change over the same other; what it moved by, the machine moved. */
  readonly control?: { readonly before: readonly number[]; readonly after: readonly number[] } | undefined;
}

/**
 * Tells a change from noise.
 *
 * It is a change only if the median moved by 10 % or more, a Mann–Whitney test finds it significant (p < 0.01) and the
 * bootstrap interval leaves no doubt about its direction. It is unchanged only if the interval lies within ±10 %.
 * All else can not be judged, and nothing can where the same code differs from itself by 10 % or more: two series of
 * now (the noise floor), or the control of now from that of before.
 */
export function judge(
  { before, after, again, control }: Comparison,
  random: RandomSource = seededRandom(0x5eed),
): Judgement {
  const all = [...after, ...again];
  const fewest = Math.min(before.length, after.length, again.length);
  if (fewest < FEWEST_ROUNDS) return cannotJudge(`${fewest} rounds are too few, ${FEWEST_ROUNDS} are needed`);
  if (![...before, ...all].every((cost) => Number.isFinite(cost) && cost > 0)) {
    return cannotJudge('a figure is missing');
  }
  const [low, high] = bootstrapRatio(after, again, random, NOISE_CONFIDENCE);
  const noiseFloor = Math.max(1 / low - 1, high - 1, 0);
  const change = median(all) / median(before) - 1;
  const [from, to] = bootstrapRatio(before, all, random, CONFIDENCE);
  const interval = [from - 1, to - 1] as const;
  const found = { change, interval, pValue: mannWhitney(before, all), noiseFloor };
  if (noiseFloor >= THRESHOLD) return cannotJudge('the same code differs from itself by as much', found);
  if (control !== undefined && hasMoved(control)) {
    return cannotJudge('others, which did not change, moved against each other as well', found);
  }
  const isSignificant = found.pValue < SIGNIFICANT;
  if (change >= THRESHOLD && isSignificant && interval[0] > 0) {
    return { ...found, verdict: 'regression', reason: '' };
  }
  if (change <= -THRESHOLD && isSignificant && interval[1] < 0) {
    return { ...found, verdict: 'improvement', reason: '' };
  }
  if (interval[0] > -THRESHOLD && interval[1] < THRESHOLD) {
    return { ...found, verdict: 'unchanged', reason: '' };
  }
  return cannotJudge('the figures scatter too much', found);
}

function hasMoved({ before, after }: NonNullable<Comparison['control']>): boolean {
  const move = Math.abs(Math.log(median(after) / median(before)));
  // What is no number has not been shown to stand still.
  return !(move < Math.log(1 + THRESHOLD)) && mannWhitney(before, after) < SIGNIFICANT;
}

/** The answer where there is none, with what was found all the same. */
export function cannotJudge(reason: string, found: Partial<Judgement> = {}): Judgement {
  return {
    change: Number.NaN,
    interval: [Number.NaN, Number.NaN],
    pValue: Number.NaN,
    noiseFloor: Number.NaN,
    ...found,
    verdict: 'cannotJudge',
    reason,
  };
}

/** A change counts only when a second, fresh run finds it too. */
export function confirm(first: Judgement, second: Judgement): Judgement {
  if (first.verdict === second.verdict) return second;
  return {
    ...second,
    verdict: 'cannotJudge',
    reason: `a second run says ${second.verdict}, the first ${first.verdict}`,
  };
}

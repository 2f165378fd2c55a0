import { createVirtualClock } from '@hotpath/core/testing';
import { describe, expect, it } from 'vitest';
import { BaseUrl, BaseUrls } from '../../src/internal/base-urls.ts';
import { Origin } from '../../src/internal/origin.ts';
import { OriginPool } from '../../src/internal/origin-pool.ts';
import { resolveHttpClientOptions } from '../../src/options.ts';

function several(count: number) {
  const clock = createVirtualClock();
  const options = resolveHttpClientOptions({ breaker: false, clock });
  const all = Array.from({ length: count }, (_, index) => {
    const pool = new OriginPool(new URL(`http://${index}.test`));
    return new BaseUrl(new Origin(pool, options), '');
  });
  const bases = new BaseUrls(all, clock, () => 0);
  const fail = (base: BaseUrl, times: number): void => {
    for (let time = 0; time < times; time++) bases.onOutcome(base, true);
  };
  const leftAloneMs = (base: BaseUrl): number => Math.max(0, base.ejectedUntilMs - clock.now());
  return { clock, all, bases, fail, leftAloneMs };
}

describe('a base URL', () => {
  it('is left alone after five failures in a row, longer each time, for five minutes at most', async () => {
    const { clock, all, bases, fail, leftAloneMs } = several(2);
    const [bad, good] = all as [BaseUrl, BaseUrl];
    fail(bad, 4);
    bases.onOutcome(bad, false);
    fail(bad, 4);
    expect(leftAloneMs(bad)).toBe(0);
    for (let time = 1; time <= 12; time++) {
      fail(bad, 5);
      expect(leftAloneMs(bad)).toBe(Math.min(time * 30_000, 300_000));
      expect(bases.pick(undefined)).toBe(good);
      await clock.advance(leftAloneMs(bad));
    }
    expect(bases.pick(undefined)).toBe(bad);
  });

  it('is forgiven when it does well after it came back, but not for what was still under way', async () => {
    const { clock, all, bases, fail, leftAloneMs } = several(2);
    const [bad] = all as [BaseUrl];
    fail(bad, 5);
    bases.onOutcome(bad, false);
    await clock.advance(30_000);
    fail(bad, 5);
    expect(leftAloneMs(bad)).toBe(60_000);
    await clock.advance(60_000);
    bases.onOutcome(bad, false);
    fail(bad, 5);
    expect(leftAloneMs(bad)).toBe(30_000);
  });

  it('is never left alone as the last one', () => {
    const { all, bases, fail, leftAloneMs } = several(3);
    for (const base of all) fail(base, 50);
    expect(all.map(leftAloneMs)).toEqual([30_000, 30_000, 0]);
    expect(bases.pick(all[2])).toBe(all[2]);
  });
});

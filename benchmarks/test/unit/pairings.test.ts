import { expect, test } from 'vitest';
import type { FoundSuite } from '../../harness/discover.ts';
import { versionOf } from '../../harness/machine.ts';
import { pair } from '../../harness/pairings.ts';
import type { ContenderResult, SuiteResult } from '../../harness/results.ts';
import { type AnySuite, defineSuite } from '../../harness/suite.ts';
import { contenderOf, resultsOf, suiteOf } from './results-of.ts';

const idle = { setup: () => ({ run: () => 1, check: () => {} }) };
const contenders = {
  them: { role: 'peer', ...idle },
  bare: { role: 'limit', ...idle },
  us: { role: 'ours', ...idle },
} as const;

const found = (more: Partial<AnySuite> = {}): FoundSuite => ({
  package: 'core',
  file: 'thing.bench.ts',
  suite: defineSuite({ name: 'thing', title: 'A thing', kind: 'micro', contenders, ...more } as AnySuite),
});

const rounds = [{ timeNs: 1 }, { timeNs: 2 }];
const us = contenderOf('us', 'ours', rounds);
const bare = contenderOf('bare', 'limit', rounds);
const them = contenderOf('them', 'peer', rounds);
const earlierOf = (some: readonly ContenderResult[], more: Partial<SuiteResult> = {}) =>
  resultsOf([suiteOf(some, more)]);
const reasonsOf = (
  suite: FoundSuite,
  earlier: ReturnType<typeof resultsOf>,
  packages: string[] | undefined = [],
) => pair([suite], earlier, packages).unpaired.map(({ name, reason }) => `${name}: ${reason}`);

test('ours is measured by the limit, else by another that both runs have', () => {
  const referenceIn = (...some: ContenderResult[]) =>
    pair([found()], earlierOf(some), []).pairings.map(({ reference }) => reference);
  expect(referenceIn(them, bare, us)).toEqual(['bare']);
  expect(referenceIn(them, us)).toEqual(['them']);
  expect(referenceIn(them, contenderOf('bare', 'limit', []), us)).toEqual(['them']);
});

test('one with fewer rounds than ours is nobody to be measured by', () => {
  const few = contenderOf('bare', 'limit', rounds.slice(1));
  expect(pair([found()], earlierOf([few, them, us]), []).pairings[0]?.reference).toBe('them');
});

test('a second one that both runs have shows whether the machine is as it was', () => {
  const controlIn = (...some: ContenderResult[]) =>
    pair([found()], earlierOf(some), []).pairings.map(({ control }) => control);
  expect(controlIn(them, bare, us)).toEqual(['them']);
  expect(controlIn(bare, us)).toEqual([undefined]);
});

test('a library of another version is nobody to be measured by', () => {
  const older = { ...bare, library: 'tinybench', version: '0.0.1' };
  expect(pair([found()], earlierOf([older, them, us]), []).pairings[0]?.reference).toBe('them');
  const same = { ...bare, library: 'tinybench', version: versionOf('tinybench') };
  expect(pair([found()], earlierOf([same, them, us]), []).pairings[0]?.reference).toBe('bare');
});

test('a fault suite needs nobody to be measured by', () => {
  const goals = [{ figure: 'errors', atMost: 0 }];
  const fault = found({
    kind: 'fault',
    server: 'none',
    script: 'kill',
    servers: { none: null },
    goals,
  } as never);
  const earlier = earlierOf([us], { figure: 'longestStallMs' });
  expect(pair([fault], earlier, []).pairings).toMatchObject([{ ours: 'us', reference: undefined }]);
});

test('a fault suite without goals of its own can not be judged', () => {
  const earlier = earlierOf([us], { figure: 'longestStallMs' });
  for (const goals of [[], [{ figure: 'errors', atMost: { of: 'them' } }]]) {
    const fault = found({
      kind: 'fault',
      server: 'none',
      script: 'kill',
      servers: { none: null },
      goals,
    } as never);
    expect(reasonsOf(fault, earlier)).toEqual([
      'core/thing: us: a fault suite is held against its goals, and it has none',
    ]);
  }
});

test('ours alone is compared with itself', () => {
  const alone = found({ contenders: { us: contenders.us } });
  expect(pair([alone], earlierOf([us]), []).pairings).toMatchObject([{ ours: 'us', reference: undefined }]);
});

test.each<[string, FoundSuite, ReturnType<typeof resultsOf>, string]>([
  [
    'a suite that is new',
    found({ name: 'new' }),
    earlierOf([]),
    'core/new: us: the suite is not in the earlier run',
  ],
  [
    'a suite that is gone',
    found({ name: 'new' }),
    earlierOf([bare, us]),
    'core/thing: the suite is only in the earlier run',
  ],
  [
    'a suite that was never measured',
    found(),
    earlierOf([bare, us], { measuredAt: null }),
    'core/thing: us: the suite is not in the earlier run',
  ],
  ['a contender that is new', found(), earlierOf([bare]), 'core/thing: us: it is not in the earlier run'],
  [
    'a contender that was renamed',
    found(),
    earlierOf([bare, us, contenderOf('we', 'ours', rounds)]),
    'core/thing: we: it is only in the earlier run',
  ],
  [
    'a contender that failed before',
    found(),
    earlierOf([bare, contenderOf('us', 'ours', [])]),
    'core/thing: us: it failed in the earlier run',
  ],
  [
    'nobody to be measured by',
    found(),
    earlierOf([us]),
    'core/thing: us: nobody to measure it by is the same in both runs',
  ],
  [
    'another figure',
    found({ kind: 'throughput' } as Partial<AnySuite>),
    earlierOf([bare, us]),
    'core/thing: us: the earlier run compared timeNs, this one opsPerSecond',
  ],
  [
    'other parameters',
    found({ parameters: { keys: 2 } }),
    earlierOf([bare, us], { parameters: { keys: 1 } }),
    'core/thing: us: the parameters of the suite have changed',
  ],
])('%s can not be judged', (_, suite, earlier, reason) => {
  expect(reasonsOf(suite, earlier)).toContain(reason);
});

test('what is gone counts only among the packages that are compared', () => {
  const elsewhere = earlierOf([bare, us], { package: 'http' });
  expect(reasonsOf(found(), elsewhere, ['core'])).not.toContain(
    'http/thing: the suite is only in the earlier run',
  );
  expect(reasonsOf(found(), elsewhere, ['core', 'http'])).toContain(
    'http/thing: the suite is only in the earlier run',
  );
  expect(pair([found()], earlierOf([bare, us]), undefined).unpaired).toEqual([]);
});

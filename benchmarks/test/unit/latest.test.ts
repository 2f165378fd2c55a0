import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { FoundSuite } from '../../harness/discover.ts';
import { collect, readEarlier } from '../../harness/latest.ts';
import { keyOf, type SuiteResult, writeResults } from '../../harness/results.ts';
import { defineSuite, type Goal } from '../../harness/suite.ts';
import { contenderOf, machine, resultsOf, suiteOf } from './results-of.ts';

const idle = { setup: () => ({ run: () => 1, check: () => {} }) };

function found(owner: string, name: string, goal: Goal = { figure: 'timeNs', atMost: 80 }): FoundSuite {
  const suite = defineSuite({
    name,
    title: 'As it is now',
    kind: 'micro',
    contenders: { us: { role: 'ours', ...idle } },
    goals: [goal],
  });
  return { package: owner, file: `${name}.bench.ts`, suite };
}

const us = contenderOf('us', 'ours', [{ timeNs: 75 }]);
const measuredOf = (owner: string, name: string, more: Partial<SuiteResult> = {}): SuiteResult =>
  suiteOf([us], { package: owner, name, title: 'As it was', ...more });
const mapOf = (...suites: SuiteResult[]): Map<string, SuiteResult> =>
  new Map(suites.map((suite) => [keyOf(suite), suite]));

test('a run of one package keeps the suites of the others, with their own dates and machines', () => {
  const elsewhere = { ...machine, cpu: 'Another CPU' };
  const earlier = mapOf(
    measuredOf('cache', 'hit', { measuredAt: '2025-12-31T00:00:00.000Z', machine: elsewhere }),
    measuredOf('http', 'json'),
  );
  const now = measuredOf('http', 'json', { title: 'Measured now', measuredAt: '2026-05-05T00:00:00.000Z' });
  const { suites } = collect([found('http', 'json'), found('cache', 'hit')], [], earlier, [now]);
  expect(suites).toMatchObject([
    { package: 'cache', measuredAt: '2025-12-31T00:00:00.000Z', machine: { cpu: 'Another CPU' } },
    { package: 'http', measuredAt: '2026-05-05T00:00:00.000Z', title: 'Measured now' },
  ]);
});

test('a suite that was never measured is listed with its goals, as not measured', () => {
  const { suites } = collect(
    [found('cache', 'hit'), found('cache', 'new')],
    [],
    mapOf(measuredOf('cache', 'hit')),
    [],
  );
  expect(suites.map(({ name, goals }) => [name, goals[0]?.status])).toEqual([
    ['hit', 'met'],
    ['new', 'notMeasured'],
  ]);
  expect(suites[1]).toMatchObject({ measuredAt: null, machine: null, contenders: [{ status: 'notRun' }] });
});

test('earlier figures are held against the goals of today', () => {
  const stricter = found('cache', 'hit', { figure: 'timeNs', atMost: 70 });
  const { suites } = collect([stricter], [], mapOf(measuredOf('cache', 'hit')), []);
  expect(suites[0]?.goals).toMatchObject([{ text: 'time at most 70.0 ns', status: 'notMet', value: 75 }]);
});

test('a suite that is no more is dropped, unless a file of its package can not be loaded', () => {
  const earlier = mapOf(measuredOf('cache', 'gone'), measuredOf('http', 'unreadable'));
  const broken = [{ package: 'http', file: 'http/a.bench.ts', error: 'syntax' }];
  const { suites } = collect([found('cache', 'hit')], broken, earlier, []);
  expect(suites.map(keyOf)).toEqual(['cache/hit', 'http/unreadable']);
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hotpath-latest-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

test('what was written is read again', () => {
  const file = join(folder, 'deep', 'latest.json');
  expect(readEarlier(file)).toEqual(new Map());
  writeResults(file, resultsOf([measuredOf('cache', 'hit')]));
  expect(readEarlier(file)).toEqual(mapOf(measuredOf('cache', 'hit')));
});

test('a file that can not be read is said to be lost, and does not stop a run', () => {
  const said = vi.spyOn(console, 'error').mockImplementation(() => {});
  const file = join(folder, 'latest.json');
  for (const text of ['{"schema": 1, "suites": []}', '{"schema"']) {
    writeFileSync(file, text);
    expect(readEarlier(file)).toEqual(new Map());
    expect(said).toHaveBeenLastCalledWith(expect.stringContaining('earlier results are not kept'));
  }
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { FoundSuite } from '../../harness/discover.ts';
import { loadSuites } from '../../harness/load-suites.ts';
import { describeMachine } from '../../harness/machine.ts';
import { type ContenderResult, type SuiteResult, writeResults } from '../../harness/results.ts';
import { runAgainst } from '../../harness/run-against.ts';
import type { AnySuite, Figures } from '../../harness/suite.ts';
import { unmeasured } from '../../harness/summarise-suite.ts';
import { contenderOf, resultsOf } from '../unit/results-of.ts';

const file = fileURLToPath(new URL('../fixtures/kinds.bench.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'hotpath-against-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let said: string[];
beforeEach(() => {
  said = [];
  vi.spyOn(console, 'log').mockImplementation((text) => void said.push(String(text)));
});
afterEach(() => vi.restoreAllMocks());

async function found(name: string, more: Partial<AnySuite> = {}): Promise<FoundSuite> {
  const suites = await loadSuites(pathToFileURL(file));
  const suite = { ...suites.find((one) => one.name === name), ...more } as AnySuite;
  return { package: 'fixtures', file, suite };
}

/** A suite that has only ours. */
async function alone(): Promise<FoundSuite> {
  const { suite } = await found('scenario');
  return found('scenario', { contenders: { one: suite.contenders.one } } as Partial<AnySuite>);
}

/** As if each contender had measured the same in five rounds. */
async function against(
  suite: FoundSuite,
  figures: Readonly<Record<string, Figures>>,
  more: Partial<SuiteResult> = {},
): Promise<{ isGood: boolean; output: string }> {
  const contenders = Object.entries(figures).map(([name, round]): ContenderResult => {
    const role = suite.suite.contenders[name]?.role ?? 'ours';
    return contenderOf(name, role, Array(5).fill(round));
  });
  const earlier = {
    ...unmeasured(suite),
    measuredAt: '2026-01-02T03:04:05.000Z',
    machine: describeMachine(false),
    contenders,
    ...more,
  };
  const earlierFile = join(folder, `${suite.suite.name}.json`);
  writeResults(earlierFile, resultsOf([earlier]));
  const isGood = await runAgainst([suite], earlierFile, { rounds: 5, pinned: false, packages: ['fixtures'] });
  return { isGood, output: said.join('\n') };
}

test('a count that is as it was is unchanged, and one that doubled is a regression that a second run confirms', async () => {
  const same = await against(await alone(), { one: { loads: 1 } });
  expect(same.output).toMatch(/scenario: one +0\.0 % .* unchanged/);
  expect(same.isGood).toBe(true);
  const worse = await against(await alone(), { one: { loads: 0.5 } });
  expect(worse.output).toMatch(/scenario: one +\+100\.0 % .* REGRESSION/);
  expect(worse.isGood).toBe(false);
});

test('figures without anybody to be measured by are not compared across machines', async () => {
  const machine = { ...describeMachine(false), cpu: 'Another CPU' };
  const { isGood, output } = await against(await alone(), { one: { loads: 1 } }, { machine });
  expect(output).toContain(
    'CANNOT JUDGE: it has nobody to be measured by, and the earlier run is from another',
  );
  expect(isGood).toBe(false);
});

test('a contender that fails now can not be judged, and the failure is said', async () => {
  const figures = { 'ends its process': { timeNs: 1 }, 'throws in setup': { timeNs: 1 } };
  const { isGood, output } = await against(await found('broken'), figures);
  expect(output).toMatch(/CANNOT JUDGE: .* failed: /);
  expect(output).not.toMatch(/no regression/);
  expect(isGood).toBe(false);
});

test('a fault suite is held against its goals, twice when they are not met', async () => {
  const quick = { outageMs: 600 };
  const figures = { 'gives up': { longestStallMs: 1 } };
  const right = await found('fault-freeze', { ...quick, goals: [{ figure: 'longestStallMs', atMost: 550 }] });
  const met = await against(right, figures);
  expect(met.output).toContain('unchanged: its goals are met');
  expect(met.isGood).toBe(true);
  const wrong = await found('fault-freeze', { ...quick, goals: [{ figure: 'errors', atMost: 1 }] });
  const missed = await against(wrong, figures);
  expect(missed.output).toContain('REGRESSION: not met: errors at most 1');
  expect(missed.isGood).toBe(false);
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { formatFigure } from '../../harness/figures.ts';
import { renderPage } from '../../harness/html.ts';
import { rotate } from '../../harness/plan.ts';
import { BEGIN, END, renderSection, replaceSection } from '../../harness/publish-section.ts';
import { mergeWithEarlier, readResults, writeResults } from '../../harness/results.ts';
import { align, renderSuite } from '../../harness/table.ts';
import { contenderOf, resultsOf, suiteOf } from './results-of.ts';

const us = contenderOf('us', 'ours', [{ timeNs: 75.4, bytesPerOp: 48 }]);
const them = contenderOf('them', 'peer', [{ timeNs: 1_234, bytesPerOp: 3_200 }]);
const failed = contenderOf('other', 'peer', []);
const suite = suiteOf([them, failed, us], {
  goals: [
    {
      text: 'timeNs at most 75 ns',
      contender: 'us',
      figure: 'timeNs',
      status: 'notMet',
      value: 75.4,
      bound: 75,
    },
    {
      text: 'absent at most 1',
      contender: 'us',
      figure: 'absent',
      status: 'missing',
      value: null,
      bound: null,
    },
  ],
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hotpath-results-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  ['timeNs', 75.44, '75.4 ns'],
  ['timeNs', 1_234, '1.23 µs'],
  ['cpuUs', 18, '18.0 µs'],
  ['p99Ms', 0.25, '250 µs'],
  ['longestStallMs', 12_000, '12.0 s'],
  ['bytesPerOp', 48, '48 B'],
  ['rssBytes', 100 * 1024 ** 2, '100 MiB'],
  ['opsPerSecond', 302_000, '302 k/s'],
  ['reuseRatio', 0.9931, '0.993'],
  ['errors', 0, '0'],
  ['loads', 1, '1'],
  ['timeNs', Number.NaN, '–'],
])('%s of %d is shown as %s', (name, value, text) => {
  expect(formatFigure(name, value)).toBe(text);
});

test('a table shows failures and goals that were not shown to be met', () => {
  const text = renderSuite(suite);
  expect(text).toContain('✗ other FAILED: Error: <broken> & gone');
  expect(text).toContain('✗ NOT MET: timeNs at most 75 ns (75.4 ns against 75.0 ns)');
  expect(text).toContain('✗ MISSING: absent at most 1 (no figure)');
});

test('columns are as wide as their widest cell', () => {
  expect(
    align([
      ['a', 'bb'],
      ['µµµ', 'c'],
    ]),
  ).toEqual(['a    bb', 'µµµ   c']);
});

test('the page needs no network and escapes what it shows', () => {
  const page = renderPage(resultsOf([suite]));
  expect(page).not.toMatch(/(src|href)="(https?:)?\/\//);
  expect(page).not.toContain('<broken>');
  expect(page).toContain('75.4 ns');
  expect(page).toContain('<svg');
});

test('the section of the README names the machine and each goal with its status', () => {
  const section = renderSection(resultsOf([suite]));
  expect(section).toContain('Measured 2026-01-02 on A CPU, 2 cores, Linux 6, Node v24.0.0');
  expect(section).toContain(
    '| A thing \\| done | 75.4 ns | 1.23 µs them | – | timeNs at most 75 ns: **not met**; absent at most 1: **no figure** |',
  );
});

test('a quick run is not published', () => {
  expect(() => renderSection(resultsOf([suite], { mode: 'quick' }))).toThrow('too short');
});

test('only what is between the two comments is replaced', () => {
  const readme = `# A\n\n${BEGIN}\nold\n${END}\n\nrest\n`;
  const once = replaceSection(readme, 'new');
  expect(once).toBe(`# A\n\n${BEGIN}\nnew\n${END}\n\nrest\n`);
  expect(replaceSection(once, 'new')).toBe(once);
  for (const wrong of ['# A\n', `${END}\n${BEGIN}`, BEGIN, readme + readme]) {
    expect(() => replaceSection(wrong, 'new')).toThrow('must hold');
  }
});

test('suites that were not measured again are kept, unless they are from another machine', () => {
  const file = join(folder, 'deep', 'latest.json');
  const other = suiteOf([us], { name: 'other' });
  const first = resultsOf([suite, other]);
  expect(mergeWithEarlier(file, first)).toEqual(first);
  writeResults(file, first);
  expect(readResults(file)).toEqual(first);
  const again = resultsOf([suiteOf([us], { title: 'measured again' })]);
  expect(mergeWithEarlier(file, again).suites.map(({ title }) => title)).toEqual([
    'A thing | done',
    'measured again',
  ]);
  const elsewhere = resultsOf(again.suites, { machine: { ...again.machine, cpu: 'Another CPU' } });
  expect(mergeWithEarlier(file, elsewhere)).toEqual(elsewhere);
});

test('a file of another schema is refused', () => {
  const file = join(folder, 'old.json');
  writeResults(file, { ...resultsOf([]), schema: 0 as 1 });
  expect(() => readResults(file)).toThrow('schema 1');
});

test('each contender is once at each place', () => {
  const rounds = [0, 1, 2].map((round) => rotate(['a', 'b', 'c'], round));
  expect(rounds).toEqual([
    ['a', 'b', 'c'],
    ['b', 'c', 'a'],
    ['c', 'a', 'b'],
  ]);
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { formatFigure, labelOf } from '../../harness/figures.ts';
import { renderPage } from '../../harness/html.ts';
import { BEGIN, END, renderSection, replaceSection } from '../../harness/publish-section.ts';
import { readResults, writeResults } from '../../harness/results.ts';
import { align, renderSuite } from '../../harness/table.ts';
import { contenderOf, machine, resultsOf, suiteOf } from './results-of.ts';

const us = contenderOf('us', 'ours', [{ timeNs: 75.4, bytesPerOp: 48 }]);
const them = contenderOf('them', 'peer', [{ timeNs: 1_234, bytesPerOp: 3_200 }]);
const failed = contenderOf('other', 'peer', []);
const suite = suiteOf([them, failed, us], {
  goals: [
    {
      text: 'time at most 75 ns',
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
  expect(text).toContain('✗ NOT MET: time at most 75 ns (75.4 ns against 75.0 ns)');
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

test.each([
  ['timeNs', 'time'],
  ['opsPerSecond', 'ops/s'],
  ['bytesPerOp', 'bytes/op'],
  ['p99OutageMs', 'p99 outage'],
  ['longestStallMs', 'longest stall'],
  ['errors', 'errors'],
])('%s is called %s', (name, label) => {
  expect(labelOf(name)).toBe(label);
});

test('the page may load nothing, and escapes what it shows', () => {
  const page = renderPage(resultsOf([suite]));
  expect(page).toContain(`content="default-src 'none'; img-src data:; style-src 'unsafe-inline'"`);
  expect(page).not.toMatch(/(src|href)="(https?:)?\/\//);
  expect(page).not.toMatch(/<script|url\(/);
  expect(page).not.toContain('<broken>');
});

test('the page says in words what its charts and colours show', () => {
  const page = renderPage(resultsOf([suite]));
  expect(page).toContain('aria-label="time, lower is better: them 1.23 µs, us 75.4 ns"');
  expect(page).toContain('2 goals: 0 met, 2 not met');
  expect(page).toContain('✗ NOT MET');
  expect(page).toContain('✗ failed: Error: ');
});

test('the page draws bars in proportion, from 0', () => {
  const half = suiteOf([
    contenderOf('them', 'peer', [{ timeNs: 200 }]),
    contenderOf('us', 'ours', [{ timeNs: 50 }]),
  ]);
  const page = renderPage(resultsOf([half]));
  expect(page).toContain('<span class="bar peer" style="width:100.00%">');
  expect(page).toContain('<span class="bar ours" style="width:25.00%">');
});

const elsewhere = suiteOf([us], {
  package: 'http',
  measuredAt: '2026-02-03T00:00:00.000Z',
  machine: { ...machine, cpu: 'Another CPU' },
});
const notYet = suiteOf([], {
  package: 'postgres',
  title: 'Not yet',
  measuredAt: null,
  tookMs: null,
  machine: null,
});

test('the page names each machine where there are several, and suites that are not measured', () => {
  const page = renderPage(resultsOf([suite, elsewhere, notYet]));
  expect(page).toContain('Measured on several machines');
  expect(page).toMatch(/http\/thing; micro; measured 2026-02-03 00:00 UTC; Another CPU, 2 cores/);
  expect(page).toMatch(/core\/thing; micro; measured 2026-01-02 03:04 UTC; A CPU, 2 cores/);
  expect(page).toContain('postgres/thing; micro; not measured yet');
});

test('the section of the README names the machine and each goal with its status', () => {
  const section = renderSection(resultsOf([suite]));
  expect(section).toContain('Measured 2026-01-02 on A CPU, 2 cores, Linux 6, Node v24.0.0');
  expect(section).toContain('Of 2 goals 0 are met, 2 are not, 0 are not measured.');
  expect(section).toContain(
    '| A thing \\| done | 75.4 ns | 1.23 µs them | – | time at most 75 ns: **not met** (75.4 ns); absent at most 1: **no figure** |',
  );
});

test('the section says of each package on which machine it was measured, when there are several', () => {
  const section = renderSection(resultsOf([suite, elsewhere, notYet]));
  expect(section).toContain(
    'Measured 2026-01-02 on A CPU, 2 cores, Linux 6, Node v24.0.0, contenders and servers on a core each (core).',
  );
  expect(section).toContain(
    'Measured 2026-02-03 on Another CPU, 2 cores, Linux 6, Node v24.0.0, contenders and servers on a core each (http).',
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

test('a file of another schema is refused', () => {
  const file = join(folder, 'old.json');
  writeResults(file, { ...resultsOf([]), schema: 1 as 2 });
  expect(() => readResults(file)).toThrow('schema 2');
});

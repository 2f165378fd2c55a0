import { afterEach, expect, test, vi } from 'vitest';
import { formatLeft, startProgress, type Terminal } from '../../harness/progress.ts';

afterEach(() => vi.restoreAllMocks());

/** A terminal that remembers what stands on its last line. */
function terminal(
  more: Partial<Terminal> = {},
): Terminal & { readonly line: () => string; readonly all: string[] } {
  const all: string[] = [];
  const write = (text: string): number => all.push(text);
  return {
    isTTY: true,
    columns: 100,
    write,
    all,
    line: () => (all.at(-1) ?? '').replace('\r\u001b[2K', ''),
    ...more,
  };
}

test('the time left is what was planned, and then learns from how long the steps really took', () => {
  const clock = { ms: 0 };
  const screen = terminal();
  const progress = startProgress(100_000, screen, () => clock.ms);
  expect(screen.line()).toContain('0 %  1 min 40 s left');
  // Twice as slow as planned.
  clock.ms = 50_000;
  progress.step(25_000, 'core/gather: p-map');
  expect(screen.line()).toBe(`${'█'.repeat(8)}${'░'.repeat(22)} 25 %  2 min 30 s left  core/gather: p-map`);
  clock.ms = 200_000;
  progress.step(75_000, 'core/gather: hotpath');
  expect(screen.line()).toContain('100 %  0 s left');
});

test('more steps than planned are no more than all of it', () => {
  const clock = { ms: 0 };
  const screen = terminal();
  const progress = startProgress(1_000, screen, () => clock.ms);
  clock.ms = 2_000;
  progress.step(2_000, 'x');
  expect(screen.line()).toContain('100 %  0 s left');
});

test('a line is never longer than the terminal is wide', () => {
  const screen = terminal({ columns: 40 });
  startProgress(1_000, screen).step(1, 'a very long name of a very long suite');
  expect(screen.line()).toHaveLength(39);
});

test('text is printed on cleared lines, and the bar drawn again below it', () => {
  const screen = terminal();
  const printed = vi.spyOn(console, 'log').mockImplementation((text) => screen.all.push(`${text}\n`));
  const progress = startProgress(1_000, screen);
  progress.print('a table');
  expect(printed).toHaveBeenCalledOnce();
  expect(screen.all.slice(1, 3)).toEqual(['\r\u001b[2K', 'a table\n']);
  expect(screen.line()).toContain('0 %');
  progress.end();
  expect(screen.line()).toBe('');
});

test('where there is no terminal only text is printed', () => {
  const screen = terminal({ isTTY: false });
  const printed = vi.spyOn(console, 'log').mockImplementation(() => {});
  const progress = startProgress(1_000, screen);
  progress.step(500, 'x');
  progress.print('a table');
  progress.end();
  expect(printed).toHaveBeenCalledWith('a table');
  expect(screen.all).toEqual([]);
});

test.each([
  [0, '0 s'],
  [59_400, '59 s'],
  [61_000, '1 min 01 s'],
  [3_720_000, '1 h 02 min'],
])('%d ms are said as %s', (ms, text) => {
  expect(formatLeft(ms)).toBe(text);
});

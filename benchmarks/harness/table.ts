import { formatFigure, labelOf } from './figures.ts';
import type { ContenderResult, GoalResult, SuiteResult } from './results.ts';

export const GOAL_SIGNS = {
  met: '✓ met',
  notMet: '✗ NOT MET',
  missing: '✗ MISSING',
  notMeasured: '· not measured',
  notJudged: '· not judged',
} as const;

/** A suite's result as lines of text. */
export function renderSuite(suite: SuiteResult): string {
  const columns = columnsOf(suite);
  const rows = suite.contenders.map((contender) => [
    label(contender),
    ...columns.map((column) => cell(contender, column, suite)),
  ]);
  const lines = [
    '',
    `${suite.package} / ${suite.name}: ${suite.title}`,
    ...align([['', ...columns.map(heading)], ...rows]),
    ...suite.contenders
      .filter(({ status }) => status === 'failed')
      .map(
        ({ name, error }) => `  ✗ ${name} FAILED: ${(error ?? '').split('\n').slice(0, 6).join('\n    ')}`,
      ),
    ...suite.goals.map(renderGoal),
  ];
  return lines.join('\n');
}

const EXTRA = ['spread', 'ratioToBestPeer', 'ratioToLimit'] as const;

function columnsOf({ figure, contenders }: SuiteResult): string[] {
  const figures = new Set(contenders.flatMap((contender) => Object.keys(contender.figures)));
  figures.delete(figure);
  return [figure, ...EXTRA, ...figures];
}

function heading(column: string): string {
  if (column === 'ratioToBestPeer') return '× best peer';
  if (column === 'ratioToLimit') return '× limit';
  return labelOf(column);
}

function label({ name, role, version }: ContenderResult): string {
  const mark = role === 'ours' ? '▶' : ' ';
  const details = version === null ? '' : ` (${version})`;
  return `${mark} ${name}${details}${role === 'peer' || role === 'ours' ? '' : ` [${role}]`}`;
}

function cell(contender: ContenderResult, column: string, { figure }: SuiteResult): string {
  if (contender.status !== 'ok')
    return column === figure ? (contender.status === 'failed' ? 'FAILED' : 'not run') : '';
  if (column === 'spread') {
    return contender.rounds.length < 2
      ? '–'
      : `±${((contender.figures[figure]?.spread ?? 0) * 100).toFixed(1)} %`;
  }
  if (column === 'ratioToBestPeer' || column === 'ratioToLimit') return contender[column]?.toFixed(2) ?? '–';
  return formatFigure(column, contender.figures[column]?.median);
}

/** A goal, its status and its figures as a line. */
export function renderGoal({ status, text, value, bound, figure }: GoalResult): string {
  const found =
    value === null ? 'no figure' : `${formatFigure(figure, value)} against ${formatFigure(figure, bound)}`;
  return `  ${GOAL_SIGNS[status]}: ${text} (${found})`;
}

/** Columns of equal width: the first to the left, the others to the right. */
export function align(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => [...(row[column] ?? '')].length)),
  );
  return rows.map((row) =>
    row
      .map((text, column) => {
        const padding = ' '.repeat((widths[column] as number) - [...text].length);
        return column === 0 ? text + padding : padding + text;
      })
      .join('  ')
      .trimEnd(),
  );
}

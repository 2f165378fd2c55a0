import { formatFigure } from './figures.ts';
import { describeMachineBriefly } from './machine.ts';
import type { ContenderResult, GoalResult, Results, SuiteResult } from './results.ts';

export const BEGIN = '<!-- performance:begin -->';
export const END = '<!-- performance:end -->';

const WRITTEN = '<!-- Written by pnpm bench:publish from benchmarks/results/latest.json. -->';

/**
 * Puts the section between the two comments, in place of what was there.
 *
 * @throws RangeError when the text does not hold the two comments, once each and in order.
 */
export function replaceSection(text: string, section: string): string {
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  const isOnce = (mark: string): boolean => text.split(mark).length === 2;
  if (!(isOnce(BEGIN) && isOnce(END) && begin < end)) {
    throw new RangeError(`the README must hold "${BEGIN}" and "${END}", once each and in this order`);
  }
  return `${text.slice(0, begin)}${BEGIN}\n${section}\n${text.slice(end)}`;
}

/**
 * The results as Markdown: for each package a table with each suite's best of ours, best peer and limit, and its goals.
 *
 * @throws RangeError for results of a quick run.
 */
export function renderSection({ mode, suites }: Results): string {
  if (mode === 'quick') throw new RangeError('a quick run is too short to publish');
  const packages = [...new Set(suites.map((suite) => suite.package))];
  const statuses = suites.flatMap(({ goals }) => goals.map(({ status }) => status));
  const count = (...some: readonly GoalResult['status'][]): number =>
    statuses.filter((status) => some.includes(status)).length;
  return [
    WRITTEN,
    '',
    '## Performance',
    '',
    'Each contender in processes of its own, rounds interleaved; medians. Trust the ratios more than the figures.',
    `Of ${statuses.length} goals ${count('met')} are met, ${count('notMet', 'missing')} are not, ${count('notMeasured', 'notJudged')} are not measured.`,
    '',
    ...describeConditions(suites),
    '',
    ...packages.flatMap((name) => [
      `**${name}**`,
      '',
      ...renderTable(suites.filter((suite) => suite.package === name)),
      '',
    ]),
  ]
    .join('\n')
    .trimEnd();
}

/**
 * The results of one package as Markdown, for its own README.
 *
 * @throws RangeError for results of a quick run.
 */
export function renderPackageSection({ mode, suites }: Results, owner: string): string {
  if (mode === 'quick') throw new RangeError('a quick run is too short to publish');
  const own = suites.filter((suite) => suite.package === owner);
  return [WRITTEN, '', ...describeConditions(own), '', ...renderTable(own)].join('\n');
}

function renderTable(suites: readonly SuiteResult[]): string[] {
  return [
    '| case | hotpath | best peer | limit | goal |',
    '|---|---|---|---|---|',
    ...suites.flatMap(renderRows),
  ];
}

/** When and where, a line for each machine. */
function describeConditions(suites: readonly SuiteResult[]): string[] {
  const measured = suites.flatMap(({ machine, measuredAt, package: owner }) =>
    machine === null || measuredAt === null
      ? []
      : [{ where: describeMachineBriefly(machine), day: measuredAt.slice(0, 10), owner }],
  );
  const machines = [...new Set(measured.map(({ where }) => where))];
  return machines.map((where) => {
    const here = measured.filter((one) => one.where === where);
    const days = [...new Set(here.map(({ day }) => day))].sort();
    const when = days.length > 1 ? `${days[0]} to ${days.at(-1)}` : days[0];
    const owners = [...new Set(here.map(({ owner }) => owner))];
    const which = machines.length > 1 ? ` (${owners.join(', ')})` : '';
    return `Measured ${when} on ${where}${which}.`;
  });
}

function renderRows(suite: SuiteResult): string[] {
  const ours = suite.contenders.filter(({ role }) => role === 'ours');
  return ours.map((contender, index) => {
    const title = ours.length > 1 ? `${suite.title} (${contender.name})` : suite.title;
    const goals = suite.goals.filter(
      (goal) => goal.contender === contender.name || (index === 0 && goal.contender === ''),
    );
    return `| ${[title, figureOf(suite, contender), best(suite, 'peer'), best(suite, 'limit'), renderGoals(contender, goals)].map(cell).join(' | ')} |`;
  });
}

function best(suite: SuiteResult, role: ContenderResult['role']): string {
  const sign = suite.better === 'lower' ? 1 : -1;
  const value = ({ figures }: ContenderResult): number => figures[suite.figure]?.median ?? Number.NaN;
  const [first] = suite.contenders
    .filter((contender) => contender.role === role && contender.status === 'ok')
    .sort((a, b) => sign * (value(a) - value(b)));
  return first === undefined ? '–' : `${figureOf(suite, first)} ${first.name}`;
}

function figureOf({ figure }: SuiteResult, { status, figures }: ContenderResult): string {
  if (status === 'notRun') return 'not measured';
  return status === 'ok' ? formatFigure(figure, figures[figure]?.median) : '**failed**';
}

function renderGoals(contender: ContenderResult, goals: readonly GoalResult[]): string {
  const words = {
    met: 'met',
    notMet: '**not met**',
    missing: '**no figure**',
    notMeasured: 'not measured',
    notJudged: 'not judged',
  } as const;
  const said = goals.map(({ text, figure, value, status }) => {
    const goal = text.startsWith(`${contender.name}: `) ? text.slice(contender.name.length + 2) : text;
    return `${goal}: ${words[status]}${value === null ? '' : ` (${formatFigure(figure, value)})`}`;
  });
  return said.length === 0 ? '–' : said.join('; ');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

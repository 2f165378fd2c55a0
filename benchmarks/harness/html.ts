import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { formatFigure, labelOf } from './figures.ts';
import { describeMachineBriefly, type Machine } from './machine.ts';
import { type ContenderResult, type GoalResult, keyOf, type Results, type SuiteResult } from './results.ts';
import { GOAL_SIGNS } from './table.ts';

export function writePage(file: string, page: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, page);
}

/** All results as one page that needs nothing from the network, and may load nothing. */
export function renderPage({ mode, suites }: Results): string {
  const style = readFileSync(new URL('page.css', import.meta.url), 'utf8');
  const packages = [...new Set(suites.map((suite) => suite.package))];
  const machines = new Set(suites.flatMap(({ machine }) => (machine === null ? [] : [machineText(machine)])));
  const common = machines.size === 1 ? [...machines][0] : undefined;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>hotpath benchmarks</title>
<link rel="icon" href="data:,">
<style>
${style}</style>
</head>
<body>
<header>
<h1>hotpath benchmarks</h1>
${mode === 'quick' ? '<p><strong>A quick run: nothing can be concluded from these figures.</strong></p>' : ''}
<p>${escapeHtml(common === undefined ? 'Measured on several machines, each named below its suite.' : `Measured on ${common}.`)}
Each contender ran in processes of its own, in interleaved rounds. A figure is the median of the rounds; its spread is half the distance of the quartiles. Trust the ratios more than the figures.</p>
<nav aria-label="Packages">${packages.map((name) => `<a href="#${escapeHtml(name)}">${escapeHtml(name)}</a>`).join(' · ')}</nav>
</header>
<main>
${renderGoalTable(suites)}
${packages
  .map((name) => {
    const own = suites.filter((suite) => suite.package === name);
    return `<section aria-labelledby="${escapeHtml(name)}">
<h2 id="${escapeHtml(name)}">${escapeHtml(name)}</h2>
${own.map((suite) => renderSuite(suite, common !== undefined)).join('\n')}
</section>`;
  })
  .join('\n')}
</main>
</body>
</html>
`;
}

function machineText(machine: Machine): string {
  const memory = formatFigure('memoryBytes', machine.memoryBytes);
  return `${describeMachineBriefly(machine)} (V8 ${machine.v8}, ${memory} memory, flags ${machine.flags.join(' ')})`;
}

function renderGoalTable(suites: readonly SuiteResult[]): string {
  const rows = suites.flatMap((suite) => suite.goals.map((goal) => ({ suite, goal })));
  const count = (...statuses: readonly GoalResult['status'][]): number =>
    rows.filter(({ goal }) => statuses.includes(goal.status)).length;
  return `<section aria-labelledby="goals">
<h2 id="goals">Goals</h2>
<p>${rows.length} goals: ${count('met')} met, ${count('notMet', 'missing')} not met, ${count('notMeasured', 'notJudged')} not measured or not judged.</p>
<div class="wide" tabindex="0" role="region" aria-label="All goals">
<table>
<thead><tr><th scope="col">suite</th><th scope="col" class="text status">status</th><th scope="col" class="text">goal</th><th scope="col">measured</th><th scope="col">bound</th></tr></thead>
<tbody>
${rows
  .map(
    ({ suite, goal }) =>
      `<tr><th scope="row"><a href="#${escapeHtml(idOf(suite))}">${escapeHtml(keyOf(suite))}</a></th><td class="text status ${goal.status}">${GOAL_SIGNS[goal.status]}</td><td class="text">${escapeHtml(goal.text)}</td><td>${escapeHtml(formatFigure(goal.figure, goal.value))}</td><td>${escapeHtml(formatFigure(goal.figure, goal.bound))}</td></tr>`,
  )
  .join('\n')}
</tbody>
</table>
</div>
</section>`;
}

function idOf({ package: owner, name }: SuiteResult): string {
  return `${owner}-${name}`;
}

function renderSuite(suite: SuiteResult, isMachineKnown: boolean): string {
  const parameters = suite.parameters === null ? [] : [`parameters ${JSON.stringify(suite.parameters)}`];
  const where = suite.machine === null || isMachineKnown ? [] : [machineText(suite.machine)];
  const when =
    suite.measuredAt === null
      ? 'not measured yet'
      : `measured ${suite.measuredAt.slice(0, 16).replace('T', ' ')} UTC${suite.machine?.commit ? ` at ${suite.machine.commit}` : ''}`;
  const head = `<article aria-labelledby="${escapeHtml(idOf(suite))}">
<h3 id="${escapeHtml(idOf(suite))}">${escapeHtml(suite.title)}</h3>
<p class="quiet">${escapeHtml([keyOf(suite), suite.kind, when, ...where, ...parameters].join('; '))}</p>`;
  if (suite.measuredAt === null) return `${head}\n</article>`;
  const names = [...new Set(suite.contenders.flatMap((contender) => Object.keys(contender.figures)))];
  const figures = names.filter((name) => name !== suite.figure);
  const columns = [labelOf(suite.figure), 'spread', '× best peer', '× limit', ...figures.map(labelOf)];
  return `${head}
${renderChart(suite)}
${suite.goals.length === 0 ? '' : `<ul class="goals">${suite.goals.map(renderGoal).join('')}</ul>`}
<div class="wide" tabindex="0" role="region" aria-label="Figures of ${escapeHtml(keyOf(suite))}">
<table>
<thead><tr><th scope="col">contender</th>${columns.map((name) => `<th scope="col">${escapeHtml(name)}</th>`).join('')}</tr></thead>
<tbody>
${suite.contenders.map((contender) => renderRow(contender, figures, suite.figure)).join('\n')}
</tbody>
</table>
</div>
</article>`;
}

function renderGoal({ status, text, figure, value, bound }: GoalResult): string {
  const found =
    value === null ? '' : `: ${formatFigure(figure, value)} against ${formatFigure(figure, bound)}`;
  return `<li><span class="${status}">${GOAL_SIGNS[status]}</span> ${escapeHtml(text + found)}</li>`;
}

function renderRow(contender: ContenderResult, figures: readonly string[], compared: string): string {
  const { name, role, library, version, note, status, error } = contender;
  const release = library === null || role === 'ours' ? null : `${library} ${version ?? ''}`.trim();
  const details = [role === 'ours' ? null : role, release, note].filter((detail) => detail !== null);
  const label = `<th scope="row"${role === 'ours' ? ' class="ours"' : ''}>${escapeHtml(name)} <small>${escapeHtml(details.join(', '))}</small></th>`;
  if (status !== 'ok') {
    const why = status === 'failed' ? `✗ failed: ${(error ?? '').split('\n')[0]}` : 'not run';
    return `<tr class="failed">${label}<td colspan="${figures.length + 4}">${escapeHtml(why)}</td></tr>`;
  }
  const spread =
    contender.rounds.length < 2 ? '–' : `±${((contender.figures[compared]?.spread ?? 0) * 100).toFixed(1)} %`;
  const ratios = [contender.ratioToBestPeer, contender.ratioToLimit].map((ratio) => ratio?.toFixed(2) ?? '–');
  const cells = [
    formatFigure(compared, contender.figures[compared]?.median),
    spread,
    ...ratios,
    ...figures.map((figure) => formatFigure(figure, contender.figures[figure]?.median)),
  ];
  return `<tr>${label}${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`;
}

/** Bars from 0 with a line from the lowest to the highest round; a dashed line where the goal is. */
function renderChart({ contenders, figure, better, goals }: SuiteResult): string {
  const shown = contenders.flatMap(({ name, role, figures }) => {
    const summary = figures[figure];
    return summary === undefined ? [] : [{ name, role, ...summary }];
  });
  const bounds = new Map(
    goals.flatMap((goal) =>
      goal.figure === figure && goal.bound !== null ? [[goal.contender, goal.bound] as const] : [],
    ),
  );
  const highest = Math.max(0, ...shown.map(({ high }) => high), ...bounds.values());
  if (!(highest > 0)) return '';
  const percent = (value: number): string => `${((100 * value) / highest).toFixed(2)}%`;
  const rows = shown.map(({ name, role, median, low, high }) => {
    const bound = bounds.get(name);
    const goal = bound === undefined ? '' : `<span class="goal" style="left:${percent(bound)}"></span>`;
    return `<span class="name ${role}">${escapeHtml(name)}</span><span class="track"><span class="bar ${role}" style="width:${percent(median)}"></span><span class="range" style="left:${percent(low)};width:${percent(high - low)}"></span>${goal}</span><span class="value">${escapeHtml(formatFigure(figure, median))}</span>`;
  });
  const said = shown.map(({ name, median }) => `${name} ${formatFigure(figure, median)}`).join(', ');
  return `<p class="quiet">${escapeHtml(labelOf(figure))}, ${better} is better${bounds.size > 0 ? '; the dashed line is the goal' : ''}</p>
<div class="chart" role="img" aria-label="${escapeHtml(`${labelOf(figure)}, ${better} is better: ${said}`)}">${rows.join('\n')}</div>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

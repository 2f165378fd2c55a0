import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { formatFigure } from './figures.ts';
import type { ContenderResult, Results, SuiteResult } from './results.ts';

const STYLE = `
:root { color-scheme: light dark; --ours: #0a7d4f; --peer: #5b7bb0; --limit: #a0a0a0; --bad: #c0392b; --line: #8884 }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin: 2.5rem 0 .3rem; font-size: 1.15rem } h2 small { font-weight: normal; opacity: .7 }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .15rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; font-weight: normal }
th { opacity: .7; font-size: .85em } th:first-child, td:first-child { text-align: left }
td small { opacity: .7 } .wide { overflow-x: auto } .ours td:first-child { font-weight: 600 }
.failed td { color: var(--bad) } .met::before { content: '✓ '; color: var(--ours) }
.notMet::before, .missing::before { content: '✗ '; color: var(--bad) } .notJudged::before { content: '· ' }
ul { list-style: none; padding: 0; margin: .4rem 0 } svg { display: block; width: 100%; margin: .4rem 0 }
text { font: 12px system-ui, sans-serif; fill: currentColor }`;

const COLOURS = {
  ours: 'var(--ours)',
  peer: 'var(--peer)',
  limit: 'var(--limit)',
  baseline: 'var(--limit)',
} as const;

export function writePage(file: string, page: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, page);
}

/** All results as one page that needs nothing from the network. */
export function renderPage({ machine, mode, suites }: Results): string {
  const packages = [...new Set(suites.map((suite) => suite.package))];
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>hotpath benchmarks</title><style>${STYLE}</style>
<h1>hotpath benchmarks</h1>
<p>${escapeHtml(`${machine.cpu}, ${machine.cores} cores, ${formatFigure('memoryBytes', machine.memoryBytes)}, ${machine.os}, Node ${machine.node} (V8 ${machine.v8}), flags ${machine.flags.join(' ')}; ${machine.pinned ? 'contenders and servers on a core each' : 'not pinned to cores'}; commit ${machine.commit ?? 'unknown'}.`)}
${mode === 'quick' ? '<strong>A quick run: nothing can be concluded from these figures.</strong>' : ''}</p>
<nav>${packages.map((name) => `<a href="#${escapeHtml(name)}">${escapeHtml(name)}</a>`).join(' · ')}</nav>
${packages
  .map(
    (name) =>
      `<section id="${escapeHtml(name)}">${suites
        .filter((suite) => suite.package === name)
        .map(renderSuite)
        .join('')}</section>`,
  )
  .join('\n')}
</html>
`;
}

function renderSuite(suite: SuiteResult): string {
  const figures = [...new Set(suite.contenders.flatMap((contender) => Object.keys(contender.figures)))];
  return `<h2>${escapeHtml(suite.package)} / ${escapeHtml(suite.name)} <small>${escapeHtml(suite.title)}</small></h2>
${renderChart(suite)}
<div class="wide"><table><tr><th>contender</th>${figures.map((name) => `<th>${escapeHtml(name)}</th>`).join('')}<th>spread</th><th>× best peer</th><th>× limit</th></tr>
${suite.contenders.map((contender) => renderRow(contender, figures, suite.figure)).join('\n')}
</table></div>
<ul>${suite.goals
    .map(
      ({ status, text, figure, value, bound }) =>
        `<li class="${status}">${escapeHtml(`${text} (${status === 'missing' ? 'no figure' : `${formatFigure(figure, value)} against ${formatFigure(figure, bound)}`})`)}</li>`,
    )
    .join('')}</ul>
<p><small>${escapeHtml(`${suite.kind}; measured ${suite.measuredAt}; parameters ${JSON.stringify(suite.parameters)}`)}</small></p>`;
}

function renderRow(contender: ContenderResult, figures: readonly string[], compared: string): string {
  const { name, role, version, note, status, error } = contender;
  const details = [role, version, note].filter((detail) => detail !== null).join(', ');
  const label = `<td>${escapeHtml(name)} <small>${escapeHtml(details)}</small></td>`;
  if (status !== 'ok') {
    const why = status === 'failed' ? `failed: ${(error ?? '').split('\n')[0]}` : 'not run for want of time';
    return `<tr class="failed">${label}<td colspan="${figures.length + 3}">${escapeHtml(why)}</td></tr>`;
  }
  const cells = figures.map((figure) => formatFigure(figure, contender.figures[figure]?.median));
  const spread = `±${((contender.figures[compared]?.spread ?? 0) * 100).toFixed(1)} %`;
  const ratios = [contender.ratioToBestPeer, contender.ratioToLimit].map((ratio) => ratio?.toFixed(2) ?? '–');
  return `<tr class="${role}">${label}${[...cells, spread, ...ratios].map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`;
}

const ROW = 22;
const LABELS = 260;
const WIDTH = 1_000;

/** Bars from 0, with a line from the lowest to the highest round. */
function renderChart({ contenders, figure, better }: SuiteResult): string {
  const shown = contenders.filter(({ figures }) => figures[figure] !== undefined);
  const highest = Math.max(...shown.map(({ figures }) => figures[figure]?.high ?? 0));
  if (!(highest > 0)) return '';
  const x = (value: number): number => LABELS + (value / highest) * (WIDTH - LABELS - 110);
  const bars = shown.map(({ name, role, figures }, row) => {
    const summary = figures[figure] as NonNullable<(typeof figures)[string]>;
    const y = row * ROW;
    const middle = y + ROW / 2;
    return `<text x="${LABELS - 8}" y="${middle + 4}" text-anchor="end">${escapeHtml(name)}</text>
<rect x="${LABELS}" y="${y + 3}" width="${Math.max(1, x(summary.median) - LABELS).toFixed(1)}" height="${ROW - 6}" rx="2" fill="${COLOURS[role]}"/>
<line x1="${x(summary.low).toFixed(1)}" x2="${x(summary.high).toFixed(1)}" y1="${middle}" y2="${middle}" stroke="currentColor"/>
<text x="${(x(summary.high) + 6).toFixed(1)}" y="${middle + 4}">${escapeHtml(formatFigure(figure, summary.median))}</text>`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${shown.length * ROW}" role="img" aria-label="${escapeHtml(figure)}, ${better} is better">${bars.join('')}</svg>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

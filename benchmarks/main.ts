import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { benchmarksFolder, discover } from './harness/discover.ts';
import { renderPage, writePage } from './harness/html.ts';
import { describeMachine, pinToServerCore } from './harness/machine.ts';
import { expectedMs, roundsOf, type Thoroughness } from './harness/plan.ts';
import { startProgress } from './harness/progress.ts';
import { mergeWithEarlier, type Results, SCHEMA, type SuiteResult, writeResults } from './harness/results.ts';
import { runAgainst } from './harness/run-against.ts';
import { runSuite } from './harness/run-suite.ts';
import { renderSuite } from './harness/table.ts';

const USAGE = `pnpm bench [package …] [--suite NAME] [--quick] [--rounds N] [--json FILE] [--against FILE] [--results FOLDER]`;

const QUICK_BUDGET_MS = 50_000;

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`bench: ${(error as Error).message}`);
  process.exitCode = 2;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      suite: { type: 'string' },
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      json: { type: 'string' },
      against: { type: 'string' },
      results: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const resultsFolder = resolve(values.results ?? join(benchmarksFolder, 'results'));
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) {
    throw new RangeError(`--rounds must be a whole number above 0, got ${values.rounds}`);
  }
  if (values.quick && values.against !== undefined) {
    throw new RangeError('--quick is too short to compare with --against');
  }
  const { suites, broken } = await discover(positionals, values.suite);
  for (const { file, error } of broken) console.error(`✗ ${file} can not be loaded: ${error}`);
  if (values.against !== undefined) {
    const isGood = await runAgainst(suites, resolve(values.against), { rounds, pinned: pinToServerCore() });
    return isGood && broken.length === 0 ? 0 : 1;
  }

  const thoroughness: Thoroughness = { mode: values.quick ? 'quick' : 'full', rounds };
  // A quick run only sees that all works, and uses both cores for that.
  const pinned = values.quick ? false : pinToServerCore();
  const machine = describeMachine(pinned);
  const results = await runAll();
  const full: Results = { schema: SCHEMA, mode: thoroughness.mode, machine, suites: results };
  if (values.json !== undefined) writeResults(resolve(values.json), full);
  if (values.quick) {
    writeResults(join(resultsFolder, 'quick.json'), full);
  } else {
    const latest = mergeWithEarlier(join(resultsFolder, 'latest.json'), full);
    writeResults(join(resultsFolder, 'latest.json'), latest);
    writePage(join(resultsFolder, 'index.html'), renderPage(latest));
  }
  return verdict(results, broken.length);

  async function runAll(): Promise<SuiteResult[]> {
    const weights = suites.map(({ suite }) => {
      return (
        Object.keys(suite.contenders).length * roundsOf(suite, thoroughness) * expectedMs(suite, thoroughness)
      );
    });
    const progress = startProgress(weights.reduce((sum, weight) => sum + weight, 0));
    const startedMs = performance.now();
    const done: SuiteResult[] = [];
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let index = next++; index < suites.length; index = next++) {
        const found = suites[index] as (typeof suites)[number];
        const shareMs = ((index + 1) / suites.length) * QUICK_BUDGET_MS;
        const result = await runSuite(found, {
          ...thoroughness,
          pinned,
          ...(values.quick ? { untilMs: startedMs + shareMs } : {}),
          onStep: (contender) => {
            progress.step(
              expectedMs(found.suite, thoroughness),
              `${found.package}/${found.suite.name}: ${contender}`,
            );
          },
        });
        done.push(result);
        progress.print(renderSuite(result));
      }
    };
    const workers = values.quick ? availableParallelism() : 1;
    await Promise.all(Array.from({ length: workers }, worker));
    progress.end();
    return done;
  }
}

/** Says what was not shown to be well, and returns the exit code. */
function verdict(suites: readonly SuiteResult[], brokenFiles: number): number {
  const contenders = suites.flatMap((suite) => suite.contenders);
  const goals = suites.flatMap((suite) => suite.goals);
  const count = (status: string): number =>
    [...contenders, ...goals].filter((result) => result.status === status).length;
  const oursNotRun = contenders.filter(({ role, status }) => role === 'ours' && status === 'notRun').length;
  console.log(
    `\n${suites.length} suites, ${contenders.length} contenders: ${count('failed')} failed, ${count('notRun')} not run for want of time` +
      `\n${goals.length} goals: ${count('met')} met, ${count('notMet')} not met, ${count('missing')} without figures, ${count('notJudged')} not judged` +
      (brokenFiles > 0 ? `\n${brokenFiles} files of suites can not be loaded` : ''),
  );
  const bad = count('failed') + count('notMet') + count('missing') + oursNotRun + brokenFiles;
  return bad > 0 ? 1 : 0;
}

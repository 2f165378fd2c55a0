import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { benchmarksFolder, discover, type FoundSuite } from './harness/discover.ts';
import { renderPage, writePage } from './harness/html.ts';
import { collect, readEarlier } from './harness/latest.ts';
import { pinToServerCore } from './harness/machine.ts';
import {
  processesOf,
  QUICK_BUDGET_MS,
  QUICK_SUITES_PER_CORE,
  suiteMs,
  type Thoroughness,
} from './harness/plan.ts';
import { formatLeft, type Progress, startProgress } from './harness/progress.ts';
import { keyOf, SCHEMA, type SuiteResult, writeResults } from './harness/results.ts';
import { runAgainst } from './harness/run-against.ts';
import { runSuite } from './harness/run-suite.ts';
import { renderSuite } from './harness/table.ts';
import { renderVerdict, worstOf } from './harness/verdict.ts';

const USAGE = `pnpm bench [package …] [--suite NAME] [--quick] [--rounds N] [--json FILE] [--against FILE] [--results FOLDER]`;

/** As a shell counts: 128 and the number of the signal. */
const STOPPED = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

for (const [signal, code] of Object.entries(STOPPED)) {
  // What it started is ended by its guardian.
  process.once(signal, () => {
    console.error(`\nbench: stopped by ${signal}; suites that were measured whole are kept`);
    process.exit(code);
  });
}

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
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) {
    throw new RangeError(`--rounds must be a whole number above 0, got ${values.rounds}`);
  }
  if (values.quick && values.against !== undefined) {
    throw new RangeError('--quick is too short to compare with --against');
  }
  const { all, suites, broken } = await discover(positionals, values.suite);
  for (const { file, error } of broken) console.error(`✗ ${file} can not be loaded: ${error}`);
  const brokenHere = broken.filter((file) => positionals.length === 0 || positionals.includes(file.package));
  if (values.against !== undefined) {
    const isWhole = values.suite === undefined;
    const isGood = await runAgainst(suites, resolve(values.against), {
      rounds,
      pinned: pinToServerCore(),
      packages: isWhole ? positionals : undefined,
    });
    return isGood && brokenHere.length === 0 ? 0 : 1;
  }

  const results = resolve(values.results ?? join(benchmarksFolder, 'results'));
  const latest = join(results, 'latest.json');
  const earlier = readEarlier(latest);
  const thoroughness: Thoroughness = { mode: values.quick ? 'quick' : 'full', rounds };
  const measured = await runAll(suites, thoroughness, earlier, (done) => {
    if (values.json !== undefined) {
      writeResults(resolve(values.json), { schema: SCHEMA, mode: thoroughness.mode, suites: done });
    }
    if (values.quick) return;
    // After each suite: whoever stops a long run has what it measured, and can go on with the rest.
    const collected = collect(all, broken, earlier, done);
    writeResults(latest, collected);
    writePage(join(results, 'index.html'), renderPage(collected));
  });
  console.log(renderVerdict(measured, brokenHere.length));
  if (!values.quick) console.log(`Results: ${latest}, ${join(results, 'index.html')}`);
  return worstOf(measured, brokenHere.length);
}

/** Measures the suites in turn; a quick run several at once, for it only sees that all of it works. */
async function runAll(
  suites: readonly FoundSuite[],
  thoroughness: Thoroughness,
  earlier: ReadonlyMap<string, SuiteResult>,
  save: (done: readonly SuiteResult[]) => void,
): Promise<SuiteResult[]> {
  const isQuick = thoroughness.mode === 'quick';
  const pinned = isQuick ? false : pinToServerCore();
  const planned = suites.map((found) => {
    const key = keyOf({ package: found.package, name: found.suite.name });
    return { found, key, expectedMs: suiteMs(found.suite, thoroughness, earlier.get(key)) };
  });
  // The longest first, so that none is left over when the others are done.
  if (isQuick) planned.sort((a, b) => b.expectedMs - a.expectedMs);
  const workers = isQuick ? QUICK_SUITES_PER_CORE * availableParallelism() : 1;
  const totalMs = planned.reduce((sum, { expectedMs }) => sum + expectedMs, 0);
  const contenders = suites.reduce((sum, { suite }) => sum + Object.keys(suite.contenders).length, 0);
  console.log(
    `${suites.length} suites, ${contenders} contenders: ${isQuick ? 'a quick run, below a minute' : `about ${formatLeft(totalMs)}`}`,
  );
  const progress: Progress = startProgress(totalMs);
  const untilMs = isQuick ? { untilMs: performance.now() + QUICK_BUDGET_MS } : {};
  const done: SuiteResult[] = [];
  const queue = planned.values();
  const work = async (): Promise<void> => {
    for (const { found, key, expectedMs } of queue) {
      const stepMs = expectedMs / processesOf(found.suite, thoroughness);
      const onStep = (contender: string): void => progress.step(stepMs, `${key}: ${contender}`);
      const result = await runSuite(found, { ...thoroughness, ...untilMs, pinned, onStep });
      done.push(result);
      progress.print(renderSuite(result));
      save(done);
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  progress.end();
  return done;
}

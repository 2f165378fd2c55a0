// Measures one contender once, in a process of its own, and tells its parent the figures.
import './keep-ticks.ts';
import { execFileSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import type { ChildMessage, ChildOrder } from './child-protocol.ts';
import { loadSuites } from './load-suites.ts';
import { measureFault } from './measure-fault.ts';
import { measureMicro } from './measure-micro.ts';
import { measureScenario } from './measure-scenario.ts';
import { measureThroughput } from './measure-throughput.ts';
import type { AnySuite, Case, Figures, Role } from './suite.ts';

const order = JSON.parse(process.argv[2] as string) as ChildOrder;
if (order.core !== undefined) {
  execFileSync('taskset', ['-acp', String(order.core), String(process.pid)], { stdio: 'ignore' });
}

function tell(message: ChildMessage): Promise<void> {
  return new Promise((resolve) => {
    process.send?.(message, () => resolve());
  });
}

async function measure(): Promise<Figures> {
  const suites = await loadSuites(pathToFileURL(order.file));
  const suite = suites.find(({ name }) => name === order.suite) as AnySuite;
  const contender = suite.contenders[order.contender] as NonNullable<(typeof suite.contenders)[string]>;
  const callers = suite.kind === 'throughput' ? (suite.callers ?? 64) : 1;
  const entry: Case = await contender.setup({
    parameters: suite.parameters,
    servers: order.servers,
    callers,
    quick: order.quick,
  });
  const figures = await measureKind(suite, entry, callers);
  const own = (await entry.figures?.()) ?? {};
  await closed(entry, contender.role);
  const all = { ...figures, ...own };
  for (const [name, value] of Object.entries(all)) {
    if (!Number.isFinite(value)) throw new TypeError(`the figure ${name} is ${String(value)}`);
  }
  return all;
}

/** A quick run only sees that all of it works, several suites at once. */
function callsPerSecond(asked = 1_000): number {
  return order.quick ? Math.min(asked, 500) : asked;
}

/** How long a contender may take to close; a server that it lost may keep it. */
const CLOSE_MS = 3_000;

/** Waits for a contender to close. That others hang in it takes nothing from their figures; of ours it is a failure. */
async function closed(entry: Case, role: Role): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  // The timer also keeps the process from ending without a word, where nothing else is left to wait for.
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, CLOSE_MS, 'late');
  });
  const outcome = await Promise.race([Promise.resolve(entry.close?.()), late]);
  clearTimeout(timer);
  if (outcome === 'late' && role === 'ours') throw new Error(`it did not close within ${CLOSE_MS} ms`);
}

function measureKind(suite: AnySuite, entry: Case, callers: number): Promise<Figures> {
  switch (suite.kind) {
    case 'micro':
      return measureMicro(entry, order.timing);
    case 'throughput':
      return measureThroughput(entry, callers, order.timing);
    case 'scenario':
      return measureScenario(entry);
    case 'fault':
      return measureFault(entry, callsPerSecond(suite.callsPerSecond), order.timing, () =>
        tell({ kind: 'running' }),
      );
  }
}

// A contender's stray rejection is its failure, not a reason to say nothing.
process.on('unhandledRejection', (error) => void fail(error));
process.on('uncaughtException', (error) => void fail(error));

async function fail(error: unknown): Promise<never> {
  await tell({
    kind: 'failed',
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
  process.exit(1);
}

measure().then(async (figures) => {
  await tell({ kind: 'figures', figures });
  process.exit(0);
}, fail);

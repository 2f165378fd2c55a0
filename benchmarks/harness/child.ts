// Measures one contender once, in a process of its own, and tells its parent the figures.
import { execFileSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import type { ChildMessage, ChildOrder } from './child-protocol.ts';
import { loadSuites } from './load-suites.ts';
import { measureFault } from './measure-fault.ts';
import { measureMicro } from './measure-micro.ts';
import { measureScenario } from './measure-scenario.ts';
import { measureThroughput } from './measure-throughput.ts';
import type { AnySuite, Case, Figures } from './suite.ts';

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
  await entry.close?.();
  const all = { ...figures, ...own };
  for (const [name, value] of Object.entries(all)) {
    if (!Number.isFinite(value)) throw new TypeError(`the figure ${name} is ${String(value)}`);
  }
  return all;
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
      return measureFault(entry, suite.callsPerSecond ?? 1_000, order.timing, () =>
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

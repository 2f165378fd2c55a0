import type { FoundSuite } from './discover.ts';
import { CONTENDER_CORE, describeMachine } from './machine.ts';
import { deadlineMs, rotate, roundsOf, type Thoroughness, timingOf } from './plan.ts';
import type { SuiteResult } from './results.ts';
import { runChild } from './run-child.ts';
import { addressesOf, type Servers, startServers, stopServers, within } from './run-servers.ts';
import type { AnySuite } from './suite.ts';
import { type Entrant, entrantOf, summariseSuite } from './summarise-suite.ts';

const PREPARE_TIMEOUT_MS = 60_000;
const FIGURES_TIMEOUT_MS = 5_000;

/** What a run of one suite is told. */
export interface SuiteRun extends Thoroughness {
  readonly pinned: boolean;
  /** Only these contenders, in this order; one named twice is measured twice. Default: all. */
  readonly contenders?: readonly string[];
  /** When to leave out the contenders that are not ours (`performance.now()`). */
  readonly untilMs?: number;
  /** How long one process may take. Default: by the kind of suite. */
  readonly timeoutMs?: number;
  /** Told after each process. */
  readonly onStep?: (contender: string) => void;
}

/** Measures one suite and judges its goals. A failure of a contender is part of the result. */
export async function runSuite(found: FoundSuite, run: SuiteRun): Promise<SuiteResult> {
  const startedMs = performance.now();
  const entrants = await measureSuite(found, run);
  return {
    ...summariseSuite(found, entrants, run.mode),
    measuredAt: new Date().toISOString(),
    tookMs: Math.round(performance.now() - startedMs),
    machine: describeMachine(run.pinned),
  };
}

/** Measures the contenders of a suite in interleaved rounds. */
export async function measureSuite({ suite, file }: FoundSuite, run: SuiteRun): Promise<Entrant[]> {
  const names = run.contenders ?? inOrderOfImportance(suite);
  const entrants = names.map(entrantOf);
  const shared: Servers = {};
  const context = { parameters: suite.parameters, callers: 1, quick: run.mode === 'quick' };
  const rounds = Math.max(...names.map((name) => roundsOf(suite, name, run)));
  try {
    await startServers(suite.servers ?? {}, shared);
    await within(
      PREPARE_TIMEOUT_MS,
      'prepare',
      suite.prepare?.({ ...context, servers: addressesOf(shared) }),
    );
    for (let round = 0; round < rounds; round++) {
      for (const entrant of rotate(entrants, round)) {
        if (round >= roundsOf(suite, entrant.name, run)) continue;
        if (!isOurs(suite, entrant) && run.untilMs !== undefined && performance.now() > run.untilMs)
          entrant.skipped = true;
        if (entrant.error === undefined && !entrant.skipped) {
          await measureOnce(suite, file, entrant, shared, run);
        }
        run.onStep?.(entrant.name);
      }
    }
  } catch (error) {
    for (const entrant of entrants) entrant.error ??= `the suite failed: ${messageOf(error)}`;
  } finally {
    await stopServers(shared);
  }
  return entrants;
}

function isOurs({ contenders }: AnySuite, { name }: Entrant): boolean {
  return contenders[name]?.role === 'ours';
}

async function measureOnce(
  suite: AnySuite,
  file: string,
  entrant: Entrant,
  shared: Servers,
  run: SuiteRun,
): Promise<void> {
  const own: Servers = {};
  try {
    await startServers(suite.contenders[entrant.name]?.servers ?? {}, own);
    const servers = { ...shared, ...own };
    const order = {
      file,
      suite: suite.name,
      contender: entrant.name,
      servers: addressesOf(servers),
      timing: timingOf(suite, run),
      quick: run.mode === 'quick',
      core: run.pinned ? CONTENDER_CORE : undefined,
    };
    const figures = { ...(await runChild(suite, order, servers, run.timeoutMs ?? deadlineMs(suite, run))) };
    if (suite.kind === 'throughput') {
      for (const [name, server] of Object.entries(servers)) {
        const read = await within(FIGURES_TIMEOUT_MS, `the figures of ${name}`, server.figures?.());
        for (const [figure, value] of Object.entries(read ?? {})) {
          figures[`${name}${figure.charAt(0).toUpperCase()}${figure.slice(1)}`] = value;
        }
      }
    }
    if (isOurs(suite, entrant) && (figures.wrong ?? 0) > 0) throw new Error(`${figures.wrong} wrong results`);
    entrant.rounds.push(figures);
  } catch (error) {
    entrant.error = messageOf(error);
  } finally {
    await stopServers(own);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Ours first, so that a quick run that runs out of time has seen them. */
function inOrderOfImportance(suite: AnySuite): string[] {
  const importance = ['ours', 'baseline', 'limit', 'peer'];
  const importanceOf = (name: string): number => importance.indexOf(suite.contenders[name]?.role ?? 'peer');
  return Object.keys(suite.contenders).sort((a, b) => importanceOf(a) - importanceOf(b));
}

import type { FoundSuite } from './discover.ts';
import { comparedFigure } from './figures.ts';
import { judgeGoals } from './goals.ts';
import { CONTENDER_CORE, describeMachine, versionOf } from './machine.ts';
import { deadlineMs, rotate, roundsOf, type Thoroughness, timingOf } from './plan.ts';
import type { ContenderResult, SuiteResult } from './results.ts';
import { runChild } from './run-child.ts';
import { median, summarise } from './statistics.ts';
import type { AnySuite, Figures, RunningServer, ServerStarters } from './suite.ts';

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

type Servers = Record<string, RunningServer>;

/** What one contender has come to so far. */
export interface Entrant {
  readonly name: string;
  readonly rounds: Figures[];
  error: string | undefined;
  skipped: boolean;
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

/** A suite that was not measured yet: its goals are listed all the same. */
export function unmeasured(found: FoundSuite): SuiteResult {
  const entrants = Object.keys(found.suite.contenders).map(entrantOf);
  return summariseSuite(found, entrants, 'full');
}

function entrantOf(name: string): Entrant {
  return { name, rounds: [], error: undefined, skipped: false };
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

/** A server of a contender, too, may hang; the others are measured all the same. */
const PREPARE_TIMEOUT_MS = 60_000;
const FIGURES_TIMEOUT_MS = 5_000;
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;

/** What the promise gives, or an error when that takes too long. */
async function within<T>(timeoutMs: number, what: string, promise: Promise<T> | T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
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

async function startServers(starters: ServerStarters, into: Servers): Promise<void> {
  for (const [name, start] of Object.entries(starters)) {
    into[name] = await within(START_TIMEOUT_MS, `the start of ${name}`, start());
  }
}

/** One that does not stop is left to end with this process; its figures are good. */
async function stopServers(servers: Servers): Promise<void> {
  await Promise.all(
    Object.entries(servers).map(([name, server]) =>
      within(STOP_TIMEOUT_MS, `the stop of ${name}`, server.close()).catch((error) =>
        console.error(messageOf(error)),
      ),
    ),
  );
}

function addressesOf(servers: Servers): Record<string, RunningServer['address']> {
  return Object.fromEntries(Object.entries(servers).map(([name, { address }]) => [name, address]));
}

/** Turns what was measured into a suite's result. */
export function summariseSuite(
  { package: owner, suite }: FoundSuite,
  entrants: readonly Entrant[],
  mode: 'full' | 'quick',
): SuiteResult {
  const { figure, better } = comparedFigure(suite);
  const order = Object.keys(suite.contenders);
  const sorted = [...entrants].sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  const plain = sorted.map((entrant) => contenderResult(suite, entrant));
  const ofRole = (role: string): ContenderResult[] =>
    plain.filter((contender) => contender.role === role && contender.figures[figure] !== undefined);
  const best = (some: readonly ContenderResult[]): ContenderResult | undefined =>
    [...some].sort((a, b) => {
      const difference = (a.figures[figure]?.median ?? 0) - (b.figures[figure]?.median ?? 0);
      return better === 'lower' ? difference : -difference;
    })[0];
  const bestPeer = best(ofRole('peer'));
  const limit = best(ofRole('limit'));
  const contenders = plain.map((contender) => ({
    ...contender,
    ratioToBestPeer: ratio(contender, bestPeer, figure),
    ratioToLimit: ratio(contender, limit, figure),
  }));
  return {
    package: owner,
    name: suite.name,
    title: suite.title,
    kind: suite.kind,
    figure,
    better,
    parameters: suite.parameters ?? null,
    measuredAt: null,
    tookMs: null,
    machine: null,
    contenders,
    goals: judgeGoals(suite, contenders, mode),
  };
}

function contenderResult(suite: AnySuite, { name, rounds, error, skipped }: Entrant): ContenderResult {
  const { role, library, note } = suite.contenders[name] as NonNullable<AnySuite['contenders'][string]>;
  const status = error !== undefined ? 'failed' : skipped || rounds.length === 0 ? 'notRun' : 'ok';
  // A fault may leave a figure out, such as a percentile of no calls.
  const figures =
    status === 'ok'
      ? Object.keys(rounds[0] as Figures).filter((key) => rounds.every((round) => key in round))
      : [];
  return {
    name,
    role,
    library: library ?? null,
    version: library === undefined ? null : versionOf(library),
    note: note ?? null,
    status,
    error: error ?? null,
    rounds: status === 'ok' ? rounds : [],
    figures: Object.fromEntries(
      figures.map((key) => [key, summarise(rounds.map((round) => round[key] ?? Number.NaN))]),
    ),
    ratioToBestPeer: null,
    ratioToLimit: null,
  };
}

function ratio(one: ContenderResult, other: ContenderResult | undefined, figure: string): number | null {
  if (other === undefined || one.status !== 'ok') return null;
  const common = Math.min(one.rounds.length, other.rounds.length);
  const ratios = one.rounds.slice(0, common).map((round, index) => {
    return (round[figure] ?? Number.NaN) / (other.rounds[index]?.[figure] ?? Number.NaN);
  });
  const middle = median(ratios);
  return Number.isFinite(middle) ? middle : null;
}

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';

/** Where and with what a run was made. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly os: string;
  readonly node: string;
  readonly v8: string;
  /** Flags of the measured processes. */
  readonly flags: readonly string[];
  /** Whether contenders and servers had a core each. */
  readonly pinned: boolean;
  /** The checkout that was measured; null outside of one. `+` behind it: with changes that are not committed. */
  readonly commit: string | null;
}

export const CHILD_FLAGS: readonly string[] = ['--expose-gc'];

export function describeMachine(pinned: boolean): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    // Of the machine: this process may be pinned to one of them.
    cores: cpus().length,
    memoryBytes: totalmem(),
    os: `${type()} ${release()}`,
    node: process.version,
    v8: process.versions.v8,
    flags: CHILD_FLAGS,
    pinned,
    commit: commit(),
  };
}

/** In one line, for people. */
export function describeMachineBriefly({ cpu, cores, os, node, pinned }: Machine): string {
  const place = pinned ? ', contenders and servers on a core each' : '';
  return `${cpu}, ${cores} cores, ${os}, Node ${node}${place}`;
}

/** Whether absolute figures of the two may be compared. */
export function isSameMachine(a: Machine | null, b: Machine | null): boolean {
  const identity = (machine: Machine | null): string =>
    JSON.stringify([machine?.cpu, machine?.cores, machine?.node, machine?.pinned]);
  return a !== null && b !== null && identity(a) === identity(b);
}

function commit(): string | null {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return (
      git('rev-parse', '--short=12', 'HEAD') +
      (git('status', '--porcelain', '--', ':(top,exclude)benchmarks/results') === '' ? '' : '+')
    );
  } catch {
    return null;
  }
}

/** The core for contenders; the other one is for servers and for this process. */
export const CONTENDER_CORE = 0;
const SERVER_CORE = 1;

/** Moves this process, and all that it starts from now on, to the servers' core; returns whether that could be done. */
export function pinToServerCore(): boolean {
  // Of the machine, not of this process, which may have been pinned by whoever started it.
  if (process.platform !== 'linux' || cpus().length < 2) return false;
  try {
    execFileSync('taskset', ['-acp', String(SERVER_CORE), String(process.pid)], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** The version of an installed package; null when it is not there. */
export function versionOf(library: string): string | null {
  const file = new URL(`../node_modules/${library}/package.json`, import.meta.url);
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  } catch {
    return null;
  }
}

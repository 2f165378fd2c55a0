import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Machine } from './machine.ts';
import type { Summary } from './statistics.ts';
import type { Role } from './suite.ts';

/** The format of `latest.json`; grows by one with every change that old readers would misread. */
export const SCHEMA = 1;

/** All that a run found. */
export interface Results {
  readonly schema: typeof SCHEMA;
  /** `quick` runs are too short to judge goals by. */
  readonly mode: 'full' | 'quick';
  readonly machine: Machine;
  readonly suites: readonly SuiteResult[];
}

export interface SuiteResult {
  readonly package: string;
  readonly name: string;
  readonly title: string;
  readonly kind: 'micro' | 'throughput' | 'scenario' | 'fault';
  /** The figure that contenders are compared by, and which way is better. */
  readonly figure: string;
  readonly better: 'lower' | 'higher';
  readonly parameters: unknown;
  /** When it was measured (ISO 8601). */
  readonly measuredAt: string;
  readonly contenders: readonly ContenderResult[];
  readonly goals: readonly GoalResult[];
}

export interface ContenderResult {
  readonly name: string;
  readonly role: Role;
  readonly library: string | null;
  readonly version: string | null;
  readonly note: string | null;
  /** `failed`: it threw or gave a wrong result; `notRun`: there was no time (quick runs only). Both have no figures. */
  readonly status: 'ok' | 'failed' | 'notRun';
  readonly error: string | null;
  /** What each process measured, in order. */
  readonly rounds: readonly Readonly<Record<string, number>>[];
  readonly figures: Readonly<Record<string, Summary>>;
  /** The compared figure over that of the best peer and of the limit, as the median of the rounds' ratios. */
  readonly ratioToBestPeer: number | null;
  readonly ratioToLimit: number | null;
}

export interface GoalResult {
  readonly text: string;
  readonly contender: string;
  readonly figure: string;
  /** `missing`: a figure is not there, which is never a pass; `notJudged`: the run was a quick one. */
  readonly status: 'met' | 'notMet' | 'missing' | 'notJudged';
  readonly value: number | null;
  /** What `value` is held against: `value - bound` is the median of the rounds' differences. */
  readonly bound: number | null;
}

/** @throws TypeError when the file is not of this schema. */
export function readResults(file: string): Results {
  const results = JSON.parse(readFileSync(file, 'utf8')) as Partial<Results>;
  if (results.schema !== SCHEMA || !Array.isArray(results.suites) || results.machine === undefined) {
    throw new TypeError(`${file} holds no benchmark results of schema ${SCHEMA}`);
  }
  return results as Results;
}

export function writeResults(file: string, results: Results): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
}

/**
 * Keeps the suites of an earlier run that the new one did not measure.
 *
 * What comes from another machine or another Node is dropped: one file tells of one machine.
 */
export function mergeWithEarlier(file: string, results: Results): Results {
  if (!existsSync(file)) return results;
  let earlier: Results;
  try {
    earlier = readResults(file);
  } catch {
    return results;
  }
  const identity = ({ cpu, cores, node }: Machine): string => JSON.stringify([cpu, cores, node]);
  if (identity(earlier.machine) !== identity(results.machine)) return results;
  const key = (suite: SuiteResult): string => `${suite.package}/${suite.name}`;
  const measured = new Set(results.suites.map(key));
  const suites = [...earlier.suites.filter((suite) => !measured.has(key(suite))), ...results.suites];
  return { ...results, suites: suites.sort((a, b) => (key(a) < key(b) ? -1 : 1)) };
}

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Machine } from './machine.ts';
import type { Summary } from './statistics.ts';
import type { Role } from './suite.ts';

/** The format of `latest.json` (`results.schema.json`); grows by one with every change that old readers would misread. */
export const SCHEMA = 2;

/** What runs found; each suite says when and where. */
export interface Results {
  readonly schema: typeof SCHEMA;
  /** `quick` runs are too short to judge goals by. */
  readonly mode: 'full' | 'quick';
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
  /** When it was measured (ISO 8601), how long that took, and where; null: not yet. */
  readonly measuredAt: string | null;
  readonly tookMs: number | null;
  readonly machine: Machine | null;
  readonly contenders: readonly ContenderResult[];
  readonly goals: readonly GoalResult[];
}

export interface ContenderResult {
  readonly name: string;
  readonly role: Role;
  readonly library: string | null;
  readonly version: string | null;
  readonly note: string | null;
  /** `failed`: it threw or gave a wrong result; `notRun`: a quick run had no time, or the suite is not measured yet. Both have no figures. */
  readonly status: 'ok' | 'failed' | 'notRun';
  readonly error: string | null;
  /** What each process measured, in order; peers that no goal names have fewer. */
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
  readonly status: 'met' | 'notMet' | 'missing' | 'notMeasured' | 'notJudged';
  readonly value: number | null;
  /** What `value` is held against: `value - bound` is the median of the rounds' differences. */
  readonly bound: number | null;
}

/** @throws TypeError when the file is not of this schema. */
export function readResults(file: string): Results {
  const results = JSON.parse(readFileSync(file, 'utf8')) as Partial<Results>;
  if (results.schema !== SCHEMA || !Array.isArray(results.suites)) {
    throw new TypeError(`${file} holds no benchmark results of schema ${SCHEMA}`);
  }
  return results as Results;
}

/** Replaces the file in one step, so that whoever stops a run never leaves half of it. */
export function writeResults(file: string, results: Results): void {
  mkdirSync(dirname(file), { recursive: true });
  const next = `${file}.${process.pid}`;
  writeFileSync(next, `${JSON.stringify(results, null, 1)}\n`);
  renameSync(next, file);
}

export function keyOf({ package: owner, name }: Pick<SuiteResult, 'package' | 'name'>): string {
  return `${owner}/${name}`;
}

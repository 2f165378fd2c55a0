import { existsSync } from 'node:fs';
import type { BrokenFile, FoundSuite } from './discover.ts';
import { judgeGoals } from './goals.ts';
import { keyOf, type Results, readResults, SCHEMA, type SuiteResult } from './results.ts';
import { unmeasured } from './summarise-suite.ts';

/** The suites of a results file by their keys; none when it is not there, or can not be read, which is said. */
export function readEarlier(file: string): Map<string, SuiteResult> {
  if (!existsSync(file)) return new Map();
  try {
    return new Map(readResults(file).suites.map((suite) => [keyOf(suite), suite]));
  } catch (error) {
    console.error(`bench: earlier results are not kept: ${(error as Error).message}`);
    return new Map();
  }
}

/**
 * All suites that there are: as measured now, else as measured earlier (with their own date and machine, held against
 * the goals of today), else as not measured.
 *
 * Suites that are no more are dropped, except in packages some of whose suites can not be loaded.
 */
export function collect(
  known: readonly FoundSuite[],
  broken: readonly BrokenFile[],
  earlier: ReadonlyMap<string, SuiteResult>,
  measured: readonly SuiteResult[],
): Results {
  const now = new Map(measured.map((suite) => [keyOf(suite), suite]));
  const suites = known.map((found): SuiteResult => {
    const key = keyOf({ package: found.package, name: found.suite.name });
    const old = earlier.get(key);
    const result = now.get(key) ?? (old?.measuredAt == null ? unmeasured(found) : old);
    return { ...result, goals: judgeGoals(found.suite, result.contenders, 'full') };
  });
  const listed = new Set(suites.map(keyOf));
  const unreadable = new Set(broken.map(({ package: owner }) => owner));
  const kept = [...earlier.values()].filter(
    (suite) => !listed.has(keyOf(suite)) && unreadable.has(suite.package),
  );
  return {
    schema: SCHEMA,
    mode: 'full',
    suites: [...suites, ...kept].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)),
  };
}

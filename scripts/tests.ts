import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root, run } from './steps.ts';

/** Where a task leaves what it counted, for whoever adds it up. */
export function reportOf(task: string): string {
  const path = join(root, '.hotpath', 'reports', `${task}.json`);
  mkdirSync(dirname(path), { recursive: true });
  return path;
}

/** Leaves the report of a task that is no run of vitest. */
export function writeReport(
  task: string,
  counts: { readonly passed: number; readonly failed: number },
): void {
  writeFileSync(reportOf(task), JSON.stringify(counts));
}

/** Runs vitest with a report for `task`; resolves with its exit code. */
export function runTests(task: string, args: readonly string[]): Promise<number> {
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportOf(task)}`];
  // Not by its shim, which would take the pinned Node in place of the one that runs this.
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  return run(process.execPath, [vitest, 'run', ...reporters, ...args]);
}

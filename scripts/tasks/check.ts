import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { build } from '../build.ts';
import { exec } from '../release/step.ts';
import { packages, root } from '../steps.ts';
import { writeReport } from '../tests.ts';

const PATH = `${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH}`;
const TIMEOUT_MS = 300_000;

/** What a command wrote when it failed; undefined when all is well. */
function run(command: string, args: readonly string[]): Promise<string | undefined> {
  return exec(command, args, { cwd: root, timeoutMs: TIMEOUT_MS, env: { PATH: withNode(PATH) } }).then(
    () => undefined,
    (error: Error) => error.message,
  );
}

function withNode(path: string): string {
  return `${dirname(process.execPath)}${delimiter}${path}`;
}

const steps: [name: string, step: () => Promise<string | undefined>][] = [
  ['format and lint', () => run('biome', ['check', '--error-on-warnings', '.'])],
  [
    'imports and syntax of the sources',
    () => run(process.execPath, [join(root, 'scripts/check-imports.ts')]),
  ],
  ['optional options', () => run(process.execPath, [join(root, 'scripts/check-options.ts')])],
  ['workflows', () => run(process.execPath, [join(root, 'scripts/release/workflows.ts')])],
  ['licences of dependencies', () => run(process.execPath, [join(root, 'scripts/release/licences.ts')])],
  ['packed size and dependencies', () => run(process.execPath, [join(root, 'scripts/release/budget.ts')])],
  ['public API', () => run(process.execPath, [join(root, 'scripts/release/public-api.ts')])],
  ['documented errors', () => run(process.execPath, [join(root, 'scripts/errors-page.ts')])],
  ['published figures', () => run(process.execPath, [join(root, 'benchmarks/publish.ts'), '--check'])],
  ...globSync(
    ['tsconfig.json', '{packages,examples}/*/tsconfig.json', '{testkit,benchmarks}/tsconfig.json'],
    { cwd: root },
  )
    .sort()
    .map((project): [string, () => Promise<string | undefined>] => [
      `types of ${dirname(project)}`,
      () => run('tsc', ['--project', join(root, project)]),
    ]),
  ['unused code', () => run('knip', ['--no-progress'])],
  ...packages.flatMap((name): [string, () => Promise<string | undefined>][] => [
    [`publint of ${name}`, () => run('publint', ['--strict', '--pack', 'npm', join(root, 'packages', name)])],
    [
      `attw of ${name}`,
      () => run('attw', ['--pack', join(root, 'packages', name), '--profile', 'esm-only', '--quiet']),
    ],
  ]),
];

await build();
const failed: string[] = [];
const queue = steps.values();
async function work(): Promise<void> {
  for (const [name, step] of queue) {
    const problem = await step();
    console.error(`${problem === undefined ? 'ok    ' : 'FAILED'} ${name}`);
    if (problem === undefined) continue;
    console.error(problem);
    failed.push(name);
  }
}
// As many at once as there are cores: what a step writes is shown when it has failed, and in one piece.
await Promise.all(Array.from({ length: availableParallelism() }, work));
writeReport('check', { passed: steps.length - failed.length, failed: failed.length });
if (failed.length > 0) {
  console.error(`\n${failed.length} of ${steps.length} checks failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}

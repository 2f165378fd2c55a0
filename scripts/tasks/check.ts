import { existsSync, globSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build } from '../build.ts';
import { packages, root, run } from '../steps.ts';

const steps: [name: string, step: () => Promise<number>][] = [
  ['format and lint', () => run('biome', ['check', '--error-on-warnings', '.'])],
  ['import directions and cycles', () => run(process.execPath, [join(root, 'scripts/check-imports.ts')])],
  ['workflows', () => run(process.execPath, [join(root, 'scripts/release/workflows.ts')])],
  ['licences of dependencies', () => run(process.execPath, [join(root, 'scripts/release/licences.ts')])],
  ['packed size and dependencies', () => run(process.execPath, [join(root, 'scripts/release/budget.ts')])],
  ['public API', () => run(process.execPath, [join(root, 'scripts/release/public-api.ts')])],
  ['documented errors', () => run(process.execPath, [join(root, 'scripts/errors-page.ts')])],
  ...globSync(
    ['tsconfig.json', '{packages,examples}/*/tsconfig.json', '{testkit,benchmarks}/tsconfig.json'],
    { cwd: root },
  )
    .sort()
    .map((project): [string, () => Promise<number>] => [
      `types of ${dirname(project)}`,
      () => run('tsc', ['--project', join(root, project)]),
    ]),
  ['unused code', () => run('knip', ['--no-progress'])],
  ...packages.flatMap((name): [string, () => Promise<number>][] => [
    [`publint of ${name}`, () => run('publint', ['--strict', '--pack', 'npm', join(root, 'packages', name)])],
    [
      `attw of ${name}`,
      () => run('attw', ['--pack', join(root, 'packages', name), '--profile', 'esm-only', '--quiet']),
    ],
  ]),
];

await build();
const failed: string[] = [];
for (const [name, step] of steps) {
  const code = await step();
  console.error(`${code === 0 ? 'ok    ' : 'FAILED'} ${name}`);
  if (code !== 0) failed.push(name);
}
const report = join(root, '.hotpath', 'checks.json');
if (!existsSync(dirname(report))) mkdirSync(dirname(report), { recursive: true });
writeFileSync(report, JSON.stringify({ passed: steps.length - failed.length, failed: failed.length }));
if (failed.length > 0) {
  console.error(`\n${failed.length} of ${steps.length} checks failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}

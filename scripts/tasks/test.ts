import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from '../build.ts';
import { root, run } from '../steps.ts';

await build();
mkdirSync(join(root, '.hotpath'), { recursive: true });
const report = join(root, '.hotpath', 'tests.json');
process.exitCode = await run('vitest', [
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${report}`,
  ...process.argv.slice(2),
]);

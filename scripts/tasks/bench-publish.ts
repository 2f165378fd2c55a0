import { join } from 'node:path';
import { root, run } from '../steps.ts';

process.exitCode = await run(process.execPath, [
  join(root, 'benchmarks', 'publish.ts'),
  ...process.argv.slice(2),
]);

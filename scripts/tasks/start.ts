import { join } from 'node:path';
import { build } from '../build.ts';
import { root, run } from '../steps.ts';

await build();
process.exitCode = await run(process.execPath, [
  join(root, 'examples', 'governed-service', 'src', 'main.ts'),
  ...process.argv.slice(2),
]);

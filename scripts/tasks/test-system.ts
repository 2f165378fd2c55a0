import { build } from '../build.ts';
import { run } from '../steps.ts';

await build();
process.exitCode = await run('vitest', ['run', '--config', 'vitest.system.config.ts', ...process.argv.slice(2)]);

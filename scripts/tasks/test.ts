import { build } from '../build.ts';
import { runTests } from '../tests.ts';

await build();
process.exitCode = await runTests('test', process.argv.slice(2));

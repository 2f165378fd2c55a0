import { build } from '../build.ts';
import { testDocs } from '../docs/test.ts';

await build();
process.exit((await testDocs(process.argv.slice(2))) ? 0 : 1);

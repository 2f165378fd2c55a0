import { build } from '../build.ts';
import { testDocs } from '../docs/test.ts';
import { writeReport } from '../tests.ts';

await build();
const counts = await testDocs(process.argv.slice(2));
writeReport('docs-test', counts);
process.exit(counts.failed === 0 ? 0 : 1);

import { build } from '../build.ts';
import { buildSite } from '../docs/site.ts';
import { writeReport } from '../tests.ts';

await build();
console.error(`hotpath: the site is in ${await buildSite()}`);
writeReport('docs-build', { passed: 1, failed: 0 });

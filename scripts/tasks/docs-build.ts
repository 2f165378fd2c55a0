import { build } from '../build.ts';
import { buildSite } from '../docs/site.ts';

await build();
console.error(`hotpath: the site is in ${await buildSite()}`);

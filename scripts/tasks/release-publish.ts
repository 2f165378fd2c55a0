import { join } from 'node:path';
import { publishPackages } from '../release/changesets.ts';
import { installTools } from '../release/tools.ts';
import { root } from '../steps.ts';

await installTools();
console.log(await publishPackages(root, join(root, '.hotpath', 'release')));

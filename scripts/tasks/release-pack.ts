import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from '../build.ts';
import { nameRepository, packPackages } from '../release/changesets.ts';
import { installTools } from '../release/tools.ts';
import { checkTarballs } from '../release/tree.ts';
import { root } from '../steps.ts';

const folder = join(root, '.hotpath', 'release');
rmSync(folder, { recursive: true, force: true });
await build();
await installTools();
const { GITHUB_SERVER_URL, GITHUB_REPOSITORY } = process.env;
if (GITHUB_REPOSITORY) nameRepository(root, `git+${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}.git`);
console.log(await packPackages(root, folder));
await checkTarballs(root, join(folder, 'packages'));

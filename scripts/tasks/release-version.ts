import { versionPackages } from '../release/changesets.ts';
import { installTools } from '../release/tools.ts';
import { root, run } from '../steps.ts';

await installTools();
await versionPackages(root);
process.exitCode = await run('biome', ['check', '--write', '--error-on-warnings', '.']);

// Holds the packed size and the number of installed packages against budget.json. With --write the budget
// becomes what is there now, with a tenth more of bytes.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packages, root } from '../steps.ts';
import { dependenciesOf } from './dependencies.ts';
import { exec } from './step.ts';

interface Cost {
  /** Of the tarball. */
  readonly packedBytes: number;
  /** Packages that `npm install` of this one brings besides it, at any depth, without peers. */
  readonly installedPackages: number;
}

async function costOf(name: string): Promise<Cost> {
  const cwd = join(root, 'packages', name);
  const output = await exec('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd,
    timeoutMs: 60_000,
  });
  // An array of one, or since npm 12 an object with one.
  const [packed] = Object.values(JSON.parse(output)) as { size: number }[];
  if (packed === undefined) throw new Error(`npm packs nothing of ${name}`);
  return { packedBytes: packed.size, installedPackages: dependenciesOf(name, { peers: false }).length };
}

const path = join(import.meta.dirname, 'budget.json');
const costs = new Map(await Promise.all(packages.map(async (name) => [name, await costOf(name)] as const)));
if (process.argv.includes('--write')) {
  const budget = [...costs].map(([name, { packedBytes, installedPackages }]) => [
    name,
    { packedBytes: Math.ceil((packedBytes * 1.1) / 1024) * 1024, installedPackages },
  ]);
  writeFileSync(path, `${JSON.stringify(Object.fromEntries(budget), undefined, 2)}\n`);
} else {
  const budget: Record<string, Cost> = JSON.parse(readFileSync(path, 'utf8'));
  for (const [name, cost] of costs) {
    for (const figure of ['packedBytes', 'installedPackages'] as const) {
      const most = budget[name]?.[figure] ?? 0;
      if (cost[figure] <= most) continue;
      console.error(`@hotpath/${name}: ${figure} is ${cost[figure]}, the budget allows ${most}`);
      process.exitCode = 1;
    }
  }
}

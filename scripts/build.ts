import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isStopped, packages, root, run } from './steps.ts';

/**
 * Builds each of the named packages whose inputs changed since its last build.
 *
 * Output is made beside `dist` and swapped in, so that a reader never sees half of it.
 */
export async function build(names: readonly string[] = packages): Promise<void> {
  const broken: string[] = [];
  for (const name of packages.filter((candidate) => names.includes(candidate))) {
    const folder = join(root, 'packages', name);
    const digest = digestOfInputs(folder);
    const stamp = join(root, 'node_modules', '.hotpath', `built-${name}`);
    const isFresh = existsSync(stamp) && readFileSync(stamp, 'utf8') === digest;
    if (isFresh && existsSync(join(folder, 'dist'))) continue;
    console.error(`hotpath: building @hotpath/${name} …`);
    const next = `.dist-${process.pid}`;
    const code = await run('tsup', ['--silent', '--out-dir', next], folder);
    if (code !== 0) {
      rmSync(join(folder, next), { recursive: true, force: true });
      if (isStopped()) process.exit(1);
      broken.push(name);
      continue;
    }
    const old = `${next}-old`;
    if (existsSync(join(folder, 'dist'))) renameSync(join(folder, 'dist'), join(folder, old));
    renameSync(join(folder, next), join(folder, 'dist'));
    rmSync(join(folder, old), { recursive: true, force: true });
    mkdirSync(dirname(stamp), { recursive: true });
    writeFileSync(stamp, digest);
  }
  if (broken.length > 0) {
    console.error(`hotpath: these packages do not build: ${broken.join(', ')}`);
    process.exit(1);
  }
}

function digestOfInputs(folder: string): string {
  const hash = createHash('sha256');
  const inputs = globSync(['src/**/*.ts', 'package.json', 'tsup.config.ts', 'tsconfig.json'], { cwd: folder })
    .sort()
    .map((path) => join(folder, path));
  for (const file of [...inputs, join(root, 'tsconfig.base.json')]) {
    hash.update(file.slice(root.length)).update('\0').update(readFileSync(file)).update('\0');
  }
  return hash.digest('hex');
}

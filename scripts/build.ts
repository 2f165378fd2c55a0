import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { packages, root, run } from './steps.ts';

/**
 * Builds each package whose sources, or whose dependencies' sources, changed since its last build.
 * Output is made beside `dist` and swapped in, so that a reader never sees half of it.
 */
export async function build(): Promise<void> {
  const hashes = new Map<string, string>();
  for (const name of packages) {
    const folder = join(root, 'packages', name);
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
      dependencies?: Record<string, string>;
    };
    const hash = createHash('sha256');
    const inputs = globSync(['src/**/*', 'package.json', 'tsup.config.ts', 'tsconfig.json'], {
      cwd: folder,
      withFileTypes: true,
    })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
    for (const file of [...inputs, join(root, 'tsconfig.base.json')]) {
      hash.update(file.slice(root.length)).update('\0').update(readFileSync(file)).update('\0');
    }
    for (const dependency of Object.keys(manifest.dependencies ?? {})) {
      hash.update(hashes.get(dependency) ?? '');
    }
    const digest = hash.digest('hex');
    hashes.set(`@hotpath/${name}`, digest);

    const stamp = join(root, 'node_modules', '.hotpath', `built-${name}`);
    const isFresh = existsSync(stamp) && readFileSync(stamp, 'utf8') === digest;
    if (isFresh && existsSync(join(folder, 'dist'))) continue;
    console.error(`hotpath: building @hotpath/${name} …`);
    const next = `.dist-${process.pid}`;
    const code = await run('tsup', ['--silent', '--out-dir', next], folder);
    if (code !== 0) {
      rmSync(join(folder, next), { recursive: true, force: true });
      throw new Error(`@hotpath/${name} does not build (exit code ${code})`);
    }
    rmSync(join(folder, 'dist'), { recursive: true, force: true });
    renameSync(join(folder, next), join(folder, 'dist'));
    mkdirSync(dirname(stamp), { recursive: true });
    writeFileSync(stamp, digest);
  }
}

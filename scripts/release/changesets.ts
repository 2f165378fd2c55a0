import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { root } from '../steps.ts';
import { exec } from './step.ts';
import { bin, node } from './tools.ts';

const CLI = join(root, 'node_modules', '@changesets', 'cli', 'bin.js');

function changeset(tree: string, args: readonly string[], timeoutMs: number): Promise<string> {
  // Changesets packs and publishes with the package manager of the repository, which it looks for on the PATH.
  const PATH = `${join(node, '..')}${delimiter}${bin}${delimiter}${process.env.PATH}`;
  return exec(node, [CLI, ...args], { cwd: tree, timeoutMs, env: { PATH, CI: 'true' } });
}

/** Turns the changesets of a tree into versions and changelogs; does nothing when there are none. */
export async function versionPackages(tree: string): Promise<void> {
  if (globSync('*.md', { cwd: join(tree, '.changeset') }).every((name) => name === 'README.md')) return;
  await changeset(tree, ['version'], 60_000);
}

/** Packs what the registry does not have yet into a folder, together with the plan for publishing it. */
export function packPackages(tree: string, folder: string): Promise<string> {
  return changeset(tree, ['pack', '--out-dir', folder], 120_000);
}

/** Publishes what {@link packPackages} left in a folder; builds nothing and runs no script of a package. */
export function publishPackages(tree: string, folder: string): Promise<string> {
  return changeset(tree, ['publish', '--from-pack-dir', folder], 300_000);
}

/**
 * Names the repository in the manifests that do not: a provenance statement must match it, and where the
 * repository lives is known to the workflow alone.
 */
export function nameRepository(tree: string, url: string): void {
  for (const path of globSync('packages/*/package.json', { cwd: tree })) {
    const file = join(tree, path);
    if (!existsSync(file)) continue;
    const manifest = JSON.parse(readFileSync(file, 'utf8'));
    manifest.repository ??= { type: 'git', url, directory: path.replace(/\/package\.json$/, '') };
    writeFileSync(file, `${JSON.stringify(manifest, undefined, 2)}\n`);
  }
}

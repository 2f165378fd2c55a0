import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { packages, root } from '../steps.ts';
import { exec } from './step.ts';
import { node, pnpm } from './tools.ts';

/** Copies what Git would commit, and what was built, to a folder, and installs and commits it there. */
export async function copyTree(folder: string): Promise<void> {
  const git = (cwd: string, ...args: string[]): Promise<string> =>
    exec('git', ['-c', 'user.name=rehearsal', '-c', 'user.email=rehearsal@localhost', ...args], {
      cwd,
      timeoutMs: 30_000,
    });
  const list = await git(root, 'ls-files', '-z', '--cached', '--others', '--exclude-standard');
  const files = new Set(list.split('\0').filter((path) => path !== ''));
  for (const name of packages) files.add(`packages/${name}/dist`);
  for (const path of files) {
    if (!existsSync(join(root, path))) continue;
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    cpSync(join(root, path), join(folder, path), { recursive: true });
  }
  await exec(
    pnpm,
    [
      'install',
      '--frozen-lockfile',
      '--ignore-scripts',
      '--prefer-offline',
      '--filter',
      '.',
      '--filter',
      './packages/*',
    ],
    { cwd: folder, timeoutMs: 180_000, node, env: { CI: 'true' } },
  );
  await git(folder, 'init', '--quiet', '--initial-branch=main');
  await git(folder, 'add', '--all');
  await git(folder, 'commit', '--quiet', '--no-verify', '--message=rehearsal');
}

/** What a rehearsal reads of a manifest. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Reads the manifest of one package of a tree. */
export function readManifest(tree: string, name: string): Manifest {
  return JSON.parse(readFileSync(join(tree, 'packages', name, 'package.json'), 'utf8'));
}

/**
 * Unpacks every tarball of a folder and holds it against the tree that it was packed from.
 *
 * @throws Error when a tarball lacks a README, a licence or a file that `exports` names, holds a source or a test, or
 * depends on another package of ours by anything but a caret range of its version in the tree.
 */
export async function checkTarballs(tree: string, folder: string): Promise<void> {
  const problems: string[] = [];
  const tarballs = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  if (tarballs.length !== packages.length) {
    problems.push(`${tarballs.length} tarballs for ${packages.length} packages`);
  }
  for (const tarball of tarballs) {
    const target = join(folder, tarball.replace(/\.tgz$/, ''));
    mkdirSync(target, { recursive: true });
    await exec('tar', ['-xzf', join(folder, tarball), '-C', target], { cwd: folder, timeoutMs: 30_000 });
    const inside = join(target, 'package');
    const manifest: Manifest = JSON.parse(readFileSync(join(inside, 'package.json'), 'utf8'));
    const complain = (what: string): void => {
      problems.push(`${manifest.name}: ${what}`);
    };
    for (const kind of ['dependencies', 'peerDependencies', 'optionalDependencies'] as const) {
      for (const [name, range] of Object.entries(manifest[kind] ?? {})) {
        if (/^(workspace|link|file|catalog):/.test(range)) complain(`${name} is packed as ${range}`);
        if (!name.startsWith('@hotpath/')) continue;
        const { version } = readManifest(tree, name.slice('@hotpath/'.length));
        if (range !== `^${version}`) complain(`${name} is packed as ${range}, expected ^${version}`);
      }
    }
    const files = readdirSync(inside, { recursive: true, encoding: 'utf8' });
    for (const target of Object.values(manifest.exports).flatMap((entry) =>
      typeof entry === 'string' ? [entry] : Object.values(entry as Record<string, string>),
    )) {
      if (!files.includes(target.slice(2))) complain(`exports name ${target}, which is not packed`);
    }
    for (const wanted of ['README.md', 'LICENSE'])
      if (!files.includes(wanted)) complain(`no ${wanted} is packed`);
    for (const file of files) {
      if (/(^|\/)(src|test|node_modules)\/|\.test\.|tsconfig|tsup/.test(file)) complain(`${file} is packed`);
    }
  }
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

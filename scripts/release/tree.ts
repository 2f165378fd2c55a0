import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
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
 * Holds every tarball of a folder against the tree that it was packed from, and resolves with their number.
 *
 * @throws Error when a tarball lacks a README, a licence or a file that `exports` names, holds a source or a test, or
 * depends on another package of ours by anything but a caret range of its version in the tree.
 */
export async function checkTarballs(tree: string, folder: string): Promise<number> {
  const tarballs = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  const problems: string[] = [];
  for (const tarball of tarballs) {
    const unpacked = mkdtempSync(join(tmpdir(), 'hotpath-tarball-'));
    try {
      await exec('tar', ['-xzf', join(folder, tarball), '-C', unpacked], { cwd: folder, timeoutMs: 30_000 });
      problems.push(...problemsOf(tree, join(unpacked, 'package')));
    } finally {
      rmSync(unpacked, { recursive: true, force: true });
    }
  }
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return tarballs.length;
}

function problemsOf(tree: string, folder: string): string[] {
  const manifest: Manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const problems: string[] = [];
  const { dependencies, peerDependencies, optionalDependencies } = manifest;
  for (const [name, range] of Object.entries({
    ...dependencies,
    ...peerDependencies,
    ...optionalDependencies,
  })) {
    if (/^(workspace|link|file|catalog):/.test(range)) problems.push(`${name} is packed as ${range}`);
    if (!name.startsWith('@hotpath/')) continue;
    const { version } = readManifest(tree, name.slice('@hotpath/'.length));
    if (range !== `^${version}`) problems.push(`${name} is packed as ${range}, expected ^${version}`);
  }
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const targets = Object.values(manifest.exports).flatMap((entry) =>
    typeof entry === 'string' ? [entry] : Object.values(entry as Record<string, string>),
  );
  for (const wanted of [...targets.map((target) => target.slice(2)), 'README.md', 'LICENSE']) {
    if (!files.includes(wanted)) problems.push(`${wanted} is not packed`);
  }
  for (const file of files) {
    if (/(^|\/)(src|test|node_modules)\/|\.test\.|tsconfig|tsup/.test(file))
      problems.push(`${file} is packed`);
  }
  return problems.map((problem) => `${manifest.name}: ${problem}`);
}

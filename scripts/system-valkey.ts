import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { canFetchPackages, ownRelease, unpackPackages } from './debian-packages.ts';
import { root } from './steps.ts';

const FOLDER = join(root, '.hotpath', 'servers', 'valkey');
/** Where Debian's package of it puts it. */
const PLACES = ['/usr/bin/valkey-server', join(FOLDER, 'usr/bin/valkey-server')];

/** Makes sure that Valkey is there: where the system's release has none, from its backports. */
export function ensureValkey(): boolean {
  if (isThere() || !canFetchPackages()) return isThere();
  console.error('hotpath: fetching Valkey from the backports of the system packages …');
  // Its program lies in the package of its tools.
  unpackPackages(FOLDER, `${ownRelease()}-backports`, ['valkey-tools', 'valkey-server']);
  // What it is linked with comes with Redis as well.
  const libraries = ['libjemalloc2', 'liblzf1', 'libatomic1'];
  spawnSync('apt-get', ['-qq', 'install', '-y', '--no-install-recommends', ...libraries], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return isThere();
}

function isThere(): boolean {
  return PLACES.some((path) => existsSync(path));
}

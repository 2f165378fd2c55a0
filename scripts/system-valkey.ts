import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './steps.ts';

const FOLDER = join(root, '.hotpath', 'servers', 'valkey');
/** Where Debian's package of it puts it. */
const PLACES = ['/usr/bin/valkey-server', join(FOLDER, 'usr/bin/valkey-server')];

/**
 * Makes sure that Valkey is there: where the system's release has none, from its backports, unpacked
 * into a folder of the workspace so that the machine's own servers stay as they are.
 */
export function ensureValkey(): boolean {
  if (isThere() || !existsSync('/usr/bin/apt-get') || process.getuid?.() !== 0) return isThere();
  console.error('hotpath: fetching Valkey from the backports of the system packages …');
  const codename = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '';
  const targets = spawnSync('apt-get', ['indextargets', '--format', '$(REPO_URI) $(RELEASE)']);
  const uri = String(targets.stdout)
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, release]) => release === codename)?.[0];
  if (uri === undefined) return false;
  // Lists of its own: the machine's are left alone.
  for (const folder of ['lists/partial', 'cache/archives/partial']) {
    mkdirSync(join(FOLDER, 'apt', folder), { recursive: true });
  }
  writeFileSync(join(FOLDER, 'apt', 'sources.list'), `deb ${uri} ${codename}-backports main\n`);
  const settings = {
    'Dir::Etc::sourcelist': join(FOLDER, 'apt', 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': join(FOLDER, 'apt', 'lists'),
    'Dir::Cache': join(FOLDER, 'apt', 'cache'),
    'APT::Sandbox::User': 'root',
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const run = (command: string, ...args: string[]): void => {
    spawnSync(command, args, { cwd: FOLDER, stdio: ['ignore', 'ignore', 'inherit'] });
  };
  run('apt-get', '-qq', ...options, 'update');
  // Its program lies in the package of its tools.
  run('apt-get', '-qq', ...options, 'download', 'valkey-tools', 'valkey-server');
  run('sh', '-c', 'for package in valkey-*.deb; do dpkg -x "$package" .; done');
  // What it is linked with comes with Redis as well.
  run('apt-get', '-qq', 'install', '-y', '--no-install-recommends', 'libjemalloc2', 'liblzf1', 'libatomic1');
  return isThere();
}

function isThere(): boolean {
  return PLACES.some((path) => existsSync(path));
}

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Whether packages can be fetched here: on Debian, as root. */
export function canFetchPackages(): boolean {
  return existsSync('/usr/bin/apt-get') && process.getuid?.() === 0;
}

/** The name of the system's own release, such as `bookworm`. */
export function ownRelease(): string {
  return /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '';
}

/**
 * Unpacks packages of another release of the system into `folder`, with lists of its own: nothing is installed, and the
 * machine's own packages and lists stay as they are. Whether it worked is seen by what is there afterwards.
 */
export function unpackPackages(folder: string, release: string, packages: readonly string[]): void {
  const targets = spawnSync('apt-get', ['indextargets', '--format', '$(REPO_URI) $(RELEASE)']);
  const uri = String(targets.stdout)
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, name]) => name === ownRelease())?.[0];
  if (uri === undefined) return;
  for (const part of ['lists/partial', 'cache/archives/partial']) {
    mkdirSync(join(folder, 'apt', part), { recursive: true });
  }
  writeFileSync(join(folder, 'apt', 'sources.list'), `deb ${uri} ${release} main\n`);
  const settings = {
    'Dir::Etc::sourcelist': join(folder, 'apt', 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': join(folder, 'apt', 'lists'),
    'Dir::Cache': join(folder, 'apt', 'cache'),
    'APT::Sandbox::User': 'root',
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const run = (command: string, ...args: string[]): void => {
    spawnSync(command, args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  };
  run('apt-get', '-qq', ...options, 'update');
  run('apt-get', '-qq', ...options, 'download', ...packages.map((name) => `${name}/${release}`));
  run('sh', '-c', 'for package in *.deb; do dpkg -x "$package" . && rm "$package"; done');
}

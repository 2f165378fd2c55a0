// Entry of every root script. Runs on any Node >= 18 with npm and nothing else: installs what is
// missing, then hands over to the pinned Node for the task itself.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureRedis } from './redis.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const PNPM = 'pnpm@12.21.0';
// Before anything else: whoever asked may be gone when the installation is done.
const parent = process.ppid;

function fail(message, code = 1) {
  console.error(`hotpath: ${message}`);
  process.exit(code);
}

function install() {
  const manifests = ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', ...workspaceManifests()];
  const hash = createHash('sha256');
  for (const path of manifests) {
    hash
      .update(path)
      .update('\0')
      .update(readFileSync(join(root, path)))
      .update('\0');
  }
  const wanted = hash.digest('hex');
  const stamp = join(root, 'node_modules', '.hotpath', 'installed');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  console.error('hotpath: installing dependencies …');
  const result = spawnSync(
    'npx',
    ['-y', PNPM, 'install', '--frozen-lockfile', '--reporter=append-only', '--loglevel=error'],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      shell: process.platform === 'win32',
    },
  );
  if (result.error) fail(`npx could not be started: ${result.error.message}`);
  if (result.status !== 0) fail(`the installation ended with exit code ${result.status}`);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, wanted);
}

function workspaceManifests() {
  const found = ['benchmarks/package.json', 'testkit/package.json'];
  for (const folder of ['packages', 'examples']) {
    for (const name of readdirSync(join(root, folder))) found.push(`${folder}/${name}/package.json`);
  }
  return found.filter((path) => existsSync(join(root, path))).sort();
}

const [task, ...args] = process.argv.slice(2);
if (task === undefined) fail('usage: node scripts/bootstrap.mjs <task> [arguments]');
install();
const withoutRedis = ['build', 'check', 'docs:build', 'release:version', 'release:pack', 'release:publish'];
if (!withoutRedis.includes(task)) ensureRedis({ required: task !== 'start' });

const node = process.env.HOTPATH_NODE ?? join(root, 'node_modules', 'node', 'bin', 'node');
const child = spawn(node, [join(root, 'scripts', 'tasks', `${task.replace(':', '-')}.ts`), ...args], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, HOTPATH_NODE: node },
});
// A terminal's Ctrl-C reaches the child as well; whoever signals only this process means it too.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
// When npm is gone, killed perhaps, so is the reason to go on.
setInterval(() => process.ppid !== parent && child.kill('SIGTERM'), 500).unref();
child.on('error', (error) => fail(`the pinned Node could not be started: ${error.message}`));
child.on('exit', (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));

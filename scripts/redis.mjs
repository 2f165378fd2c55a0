import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const SERVERS = ['redis-server', 'valkey-server'];

function onPath(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
}

/**
 * Makes sure that a Redis server can be started: from PATH, else from the system's packages where
 * that is possible without asking (Debian, as root). Says in one line what to install otherwise.
 */
export function ensureRedis({ required }) {
  if (process.env.REDIS_URL || SERVERS.some(onPath)) return;
  if (existsSync('/usr/bin/apt-get') && process.getuid?.() === 0) {
    console.error('hotpath: installing redis-server from the system packages …');
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    const apt = (...args) =>
      spawnSync('apt-get', ['-qq', ...args], { stdio: ['ignore', 'ignore', 'inherit'], env });
    apt('update');
    apt('install', '-y', '--no-install-recommends', 'redis-server');
    if (SERVERS.some(onPath)) return;
  }
  console.error('hotpath: no Redis found: install redis-server (or valkey-server), or set REDIS_URL.');
  if (required) process.exit(1);
}

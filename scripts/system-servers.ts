import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** What the system tests run against: a file that tells that it is there, and Debian's package of it. */
const SERVERS: readonly {
  readonly name: string;
  readonly files: readonly string[];
  readonly debian: string;
}[] = [
  { name: 'nginx', files: ['/usr/sbin/nginx'], debian: 'nginx-light' },
  { name: 'HAProxy', files: ['/usr/sbin/haproxy'], debian: 'haproxy' },
  { name: 'PgBouncer', files: ['/usr/sbin/pgbouncer'], debian: 'pgbouncer' },
  { name: 'PostgreSQL 15', files: ['/usr/lib/postgresql/15/bin/postgres'], debian: 'postgresql-15' },
];

/**
 * Makes sure that the system's servers are installed: on Debian as root from its packages.
 *
 * @returns The names of those that are missing.
 */
export function ensureSystemServers(): string[] {
  const missing = (): typeof SERVERS =>
    SERVERS.filter((server) => !server.files.some((file) => existsSync(file)));
  const wanted = missing();
  if (wanted.length > 0 && existsSync('/usr/bin/apt-get') && process.getuid?.() === 0) {
    console.error(
      `hotpath: installing ${wanted.map((server) => server.name).join(', ')} from the system packages …`,
    );
    // RUNLEVEL keeps the packages' own services from starting.
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    const apt = (...args: string[]): void => {
      spawnSync('apt-get', ['-qq', ...args], { stdio: ['ignore', 'ignore', 'inherit'], env });
    };
    apt('update');
    apt('install', '-y', '--no-install-recommends', ...wanted.map((server) => server.debian));
  }
  return missing().map((server) => server.name);
}

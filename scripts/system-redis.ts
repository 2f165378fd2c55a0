import { chmodSync, copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { canFetchPackages, unpackPackages } from './debian-packages.ts';
import { root } from './steps.ts';

/** A Redis that the system's own release does not have: older than we are made for, and newer. */
interface OtherRedis {
  readonly name: string;
  readonly folder: string;
  readonly release: string;
  /** What it is linked with, down to the C library. */
  readonly packages: readonly string[];
}

const COMMON = ['redis-tools', 'libc6', 'libjemalloc2', 'liblzf1', 'libstdc++6', 'libgcc-s1', 'libatomic1'];
const SYSTEMD = ['libsystemd0', 'libcap2', 'libzstd1'];
/** An old release leaves the mirrors one day: then the oldest that is still there takes its place. */
const OTHERS: readonly OtherRedis[] = [
  {
    name: 'Redis 6.0',
    folder: 'redis-6.0',
    release: 'bullseye',
    packages: [
      ...COMMON,
      ...SYSTEMD,
      ...['liblua5.1-0', 'lua-bitop', 'lua-cjson', 'libhiredis0.14', 'libssl1.1', 'liblzma5', 'liblz4-1'],
      ...['libgcrypt20', 'libgpg-error0'],
    ],
  },
  {
    name: 'Redis 8.0',
    folder: 'redis-8.0',
    release: 'trixie',
    packages: [...COMMON, ...SYSTEMD, 'libssl3t64'],
  },
];

/**
 * Makes sure that an older and a newer Redis than the system's are there, each in a folder of the workspace with its own
 * libraries, as the command `redis-server`.
 *
 * @returns The names of those that are missing.
 */
export function ensureOtherRedis(): string[] {
  return OTHERS.filter((other) => !ensureOne(other)).map(({ name }) => name);
}

function ensureOne({ folder, name, packages, release }: OtherRedis): boolean {
  const place = join(root, '.hotpath', 'servers', folder);
  const command = join(place, 'redis-server');
  if (existsSync(command) || !canFetchPackages()) return existsSync(command);
  console.error(`hotpath: fetching ${name} from the packages of ${release} …`);
  unpackPackages(place, release, packages);
  const libraries = ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu'].map((path) => join(place, path));
  const loader = libraries.map((path) => join(path, 'ld-linux-x86-64.so.2')).find((path) => existsSync(path));
  const program = join(place, 'usr/bin/redis-check-rdb');
  if (loader === undefined || !existsSync(program)) return false;
  // One program for both, told apart by its name.
  const server = join(place, 'usr/bin/redis-server');
  copyFileSync(program, server);
  // They want another C library than the system's: theirs is loaded by its own loader.
  writeFileSync(command, `#!/bin/sh\nexec ${loader} --library-path ${libraries.join(':')} ${server} "$@"\n`);
  chmodSync(command, 0o755);
  return true;
}

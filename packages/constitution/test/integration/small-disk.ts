import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const run = (command: string, ...args: readonly string[]): void => {
  execFileSync(command, args, { stdio: 'ignore' });
};

const canRun = (command: string, ...args: readonly string[]): boolean =>
  spawnSync(command, args).status === 0;

/** A file system in memory that is full soon. */
export interface SmallDisk {
  readonly path: string;
  resize(size: string): void;
  remove(): void;
}

/** Makes one under `path`, or says `undefined` where that takes rights that we have not. */
export function smallDisk(path: string, size: string): SmallDisk | undefined {
  mkdirSync(path);
  if (!canRun('mount', '-t', 'tmpfs', '-o', `size=${size}`, 'hotpath', path)) return undefined;
  return {
    path,
    resize: (next) => run('mount', '-o', `remount,size=${next}`, path),
    remove: () => run('umount', path),
  };
}

/** A disk that takes writes at once and finds out at the sync that it has no room for them. */
export interface LateDisk {
  readonly path: string;
  makeRoom(): void;
  /** As after a loss of power: what is not on the disk is gone. */
  restart(): void;
  remove(): void;
}

/** Makes one under `folder`, or says `undefined` where that takes what this machine has not. */
export function lateDisk(folder: string): LateDisk | undefined {
  const below = smallDisk(join(folder, 'below'), '1m');
  if (below === undefined) return undefined;
  const image = join(below.path, 'image');
  const path = join(folder, 'disk');
  const mount = (): void => run('mount', '-o', 'loop', image, path);
  try {
    mkdirSync(path);
    run('truncate', '-s', '16M', image);
    run('mkfs.ext4', '-q', '-O', '^has_journal', '-E', 'nodiscard', image);
    mount();
  } catch {
    below.remove();
    rmSync(path, { recursive: true, force: true });
    return undefined;
  }
  return {
    path,
    makeRoom: () => below.resize('20m'),
    restart() {
      run('umount', path);
      mount();
    },
    remove() {
      run('umount', path);
      below.remove();
    },
  };
}

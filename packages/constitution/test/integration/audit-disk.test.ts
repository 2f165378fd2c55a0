import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnNode } from '@hotpath/testkit';
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { createAuditLog, verifyAuditLog } from '../../src/index.ts';
import { lateDisk, smallDisk } from './small-disk.ts';

let folder: string;
const disks: { remove(): void }[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hotpath-disk-'));
});
afterEach(() => {
  for (const disk of disks.splice(0)) disk.remove();
  chmodSync(folder, 0o755);
  rmSync(folder, { recursive: true, force: true });
});

interface Report {
  readonly committed?: number;
  readonly code?: string;
  readonly cause?: string;
}

/** Sets how large a file the process may write from now on: past it a write fails as on a full disk. */
function limitFiles(pid: number, bytes: number | 'unlimited'): void {
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:unlimited`]);
}

it('refuses with a code while the disk is full, keeps what waits, and loses nothing once there is room', async () => {
  const disk = smallDisk(join(folder, 'disk'), '64k');
  if (disk !== undefined) disks.push(disk);
  const directory = join(folder, 'disk', 'log');
  await using writer = spawnNode(join(import.meta.dirname, 'committing-writer.ts'), [directory]);
  const begun = await writer.receive<Report>();
  expect(begun.committed).toBe(1);
  if (disk === undefined) limitFiles(writer.pid, 60_000);
  let report: Report;
  let acknowledged = 1;
  do {
    report = await writer.receive<Report>();
    acknowledged = report.committed ?? acknowledged;
  } while (report.code === undefined);
  expect(report).toMatchObject({
    code: 'HOTPATH_AUDIT_UNAVAILABLE',
    cause: disk === undefined ? 'EFBIG' : 'ENOSPC',
  });
  // What is on the disk is sound but for a line that was cut off.
  const full = await verifyAuditLog(directory);
  expect(full.problems.filter(({ kind }) => kind !== 'torn')).toEqual([]);
  expect(full.size).toBeGreaterThanOrEqual(acknowledged);
  if (disk === undefined) limitFiles(writer.pid, 'unlimited');
  // A limit only: the writer goes on until it is told to stop.
  else disk.resize('1g');
  while ((report.committed ?? 0) < acknowledged + 100) report = await writer.receive<Report>();
  writer.send('stop');
  let size: number | undefined;
  while (size === undefined) ({ size } = await writer.receive<{ size?: number }>());
  expect(await verifyAuditLog(directory)).toMatchObject({ ok: true, size, problems: [] });
  await writer.exited;
});

const entry = { who: 'writer', what: 'x'.repeat(2_000), decision: 'allow', fingerprint: 'f' };

it('writes again what a failed sync may have lost, before it says that anything is safe', async () => {
  const disk = lateDisk(folder);
  const directory = disk === undefined ? folder : join(disk.path, 'log');
  if (disk !== undefined) disks.push(disk);
  const log = await createAuditLog({ directory, retryIntervalMs: 3_600_000 });
  const failures: unknown[] = [];
  const commit = (): Promise<unknown> => log.commit(entry).catch((error) => failures.push(error));
  await commit();
  // Where no such disk can be made, the sync itself drops what was written, and fails.
  if (disk === undefined) await loseAtNextSync(join(directory, 'segment-000000.log'));
  while (failures.length === 0 && log.size < 5_000) await commit();
  expect(failures).toMatchObject([{ code: 'HOTPATH_AUDIT_UNAVAILABLE' }]);
  disk?.makeRoom();
  await log.flush();
  await log.commit(entry);
  const { size } = log;
  await log.close();
  disk?.restart();
  expect(await verifyAuditLog(directory)).toMatchObject({ ok: true, size, problems: [] });
}, 30_000);

async function loseAtNextSync(path: string): Promise<void> {
  const file = await open(path);
  const { size } = await file.stat();
  await file.close();
  const sync = vi.spyOn(Object.getPrototypeOf(file) as FileHandle, 'datasync');
  onTestFinished(() => sync.mockRestore());
  sync.mockImplementationOnce(async () => {
    truncateSync(path, size);
    throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
  });
}

it.each([
  ['in a folder of the system that takes none', () => '/proc/nope', 'ENOENT'],
  ['below a file', () => join(import.meta.filename, 'log'), 'ENOTDIR'],
  ['where a file is', () => import.meta.filename, 'EEXIST'],
])('fails at once where no folder can be made: %s', async (_, directory, code) => {
  const begunMs = performance.now();
  await expect(createAuditLog({ directory: directory() })).rejects.toMatchObject({
    code: 'HOTPATH_AUDIT_UNAVAILABLE',
    message: expect.stringContaining(directory()),
    cause: { code },
  });
  expect(performance.now() - begunMs).toBeLessThan(2_000);
});

it('refuses to open a folder that it may not write to, and leaves it as it was', async () => {
  const closed = join(folder, 'closed');
  mkdirSync(closed);
  chmodSync(closed, 0o555);
  // The superuser may write anywhere.
  const isSuperuser = process.getuid?.() === 0;
  if (isSuperuser) chmodSync(folder, 0o755);
  if (isSuperuser) process.seteuid?.(65_534);
  try {
    for (const directory of [closed, join(closed, 'new')]) {
      await expect(createAuditLog({ directory })).rejects.toMatchObject({
        code: 'HOTPATH_AUDIT_UNAVAILABLE',
        cause: { code: 'EACCES' },
      });
    }
  } finally {
    if (isSuperuser) process.seteuid?.(0);
  }
  expect(readdirSync(closed)).toEqual([]);
});

it('does not take a lost lock that it may not take away for one that others hold', async () => {
  const shared = join(folder, 'shared');
  mkdirSync(shared);
  const lost = JSON.stringify({ host: hostname(), pid: 4_194_305, began: '1', token: 'x' });
  writeFileSync(join(shared, 'writer.lock'), lost, { mode: 0o644 });
  // As in /tmp: there only its owner may take a file away, or the superuser.
  chmodSync(shared, 0o1777);
  const isSuperuser = process.getuid?.() === 0;
  if (isSuperuser) chmodSync(folder, 0o755);
  if (isSuperuser) process.seteuid?.(65_534);
  try {
    const opening = createAuditLog({ directory: shared });
    if (isSuperuser) {
      await expect(opening).rejects.toMatchObject({
        code: 'HOTPATH_AUDIT_UNAVAILABLE',
        cause: { code: 'EPERM', syscall: 'rename' },
      });
    } else await (await opening).close();
  } finally {
    if (isSuperuser) process.seteuid?.(0);
  }
});

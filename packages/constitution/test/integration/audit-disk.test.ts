import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnNode } from '@hotpath/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createAuditLog, verifyAuditLog } from '../../src/index.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hotpath-disk-'));
});
afterEach(() => {
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
  await using writer = spawnNode(join(import.meta.dirname, 'committing-writer.ts'), [folder]);
  const begun = await writer.receive<Report>();
  expect(begun.committed).toBe(1);
  limitFiles(writer.pid, 60_000);
  let report: Report;
  let acknowledged = 1;
  do {
    report = await writer.receive<Report>();
    acknowledged = report.committed ?? acknowledged;
  } while (report.code === undefined);
  expect(report).toMatchObject({ code: 'HOTPATH_AUDIT_UNAVAILABLE', cause: 'EFBIG' });
  // What is on the disk is sound but for a line that was cut off.
  const full = await verifyAuditLog(folder);
  expect(full.problems.filter(({ kind }) => kind !== 'torn')).toEqual([]);
  expect(full.size).toBeGreaterThanOrEqual(acknowledged);
  limitFiles(writer.pid, 'unlimited');
  while ((report.committed ?? 0) < acknowledged + 100) report = await writer.receive<Report>();
  writer.send('stop');
  let size: number | undefined;
  while (size === undefined) ({ size } = await writer.receive<{ size?: number }>());
  expect(await verifyAuditLog(folder)).toMatchObject({ ok: true, size, problems: [] });
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

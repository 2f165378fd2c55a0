import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '@hotpath/core';
import { spawnNode } from '@hotpath/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createAuditLog, verifyAuditLog } from '../../src/index.ts';

const writer = join(import.meta.dirname, 'audit-writer.ts');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hotpath-crash-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it.each(['flush', 'never'])(
  'loses nothing that was flushed when its writer is killed, again and again (fsync: %s)',
  async (fsync) => {
    const random = seededRandom(7);
    let flushed = 0;
    for (let round = 0; round < 10; round++) {
      await using child = spawnNode(writer, [folder, fsync]);
      const { opened } = await child.receive<{ opened: number }>();
      expect(opened).toBeGreaterThanOrEqual(flushed);
      for (let turns = 1 + Math.floor(random() * 4); turns > 0; turns--) {
        ({ flushed } = await child.receive<{ flushed: number }>());
      }
      const whileWriting = await verifyAuditLog(folder);
      // The line that is being written has no end yet; nothing else may be wrong.
      expect(whileWriting.problems.filter(({ kind }) => kind !== 'torn')).toEqual([]);
      // Not only just after it told of a flush.
      await sleep(random() * 6);
      await child.kill('SIGKILL');
      const log = await createAuditLog({ directory: folder });
      expect(log.size).toBeGreaterThanOrEqual(flushed);
      flushed = log.size;
      const root = await log.root();
      await log.close();
      expect(await verifyAuditLog(folder)).toMatchObject({ ok: true, size: flushed, root, problems: [] });
    }
    expect(flushed).toBeGreaterThan(256);
  },
);

it('is not opened by a second process while the first one lives', async () => {
  await using child = spawnNode(writer, [folder]);
  await child.receive();
  await expect(createAuditLog({ directory: folder })).rejects.toMatchObject({ code: 'HOTPATH_AUDIT_LOCKED' });
});

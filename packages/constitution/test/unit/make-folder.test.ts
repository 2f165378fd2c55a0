import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeFolder } from '../../src/internal/make-folder.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hotpath-folder-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('making a folder', () => {
  it('makes those above it too, also when many do so at the same time', async () => {
    for (let round = 0; round < 50; round++) {
      const paths = Array.from({ length: 8 }, (_, index) =>
        join(folder, `${round}`, 'a', 'b', `${index % 4}`),
      );
      await Promise.all(paths.map(makeFolder));
      for (const path of paths) expect(statSync(path).isDirectory()).toBe(true);
    }
    await makeFolder(folder);
  });

  it('fails as the system does where something else is in the way', async () => {
    writeFileSync(join(folder, 'file'), '');
    symlinkSync(join(folder, 'nothing'), join(folder, 'link'));
    await expect(makeFolder(join(folder, 'file'))).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(makeFolder(join(folder, 'file', 'below', 'it'))).rejects.toMatchObject({ code: 'ENOTDIR' });
    await expect(makeFolder(join(folder, 'link', 'below'))).rejects.toMatchObject({ code: 'EEXIST' });
  });
});

import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Writes a file so that a reader sees the old or the new content, also after a crash. */
export function writeWhole(path: string, content: string | Uint8Array): void {
  const next = `${path}.${process.pid}.tmp`;
  try {
    const file = openSync(next, 'w');
    try {
      writeFileSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    // On a full disk it would take the room that the next try needs.
    rmSync(next, { force: true });
    throw error;
  }
  renameSync(next, path);
  syncFolder(dirname(path));
}

/** A new name is only safe once its folder is; systems that can't sync a folder do so by themselves. */
export function syncFolder(path: string): void {
  if (process.platform === 'win32') return;
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

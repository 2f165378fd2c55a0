import { chownSync, mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { guard, release } from './guardian.ts';

/** Makes a folder that is removed when this process ends, at the latest. */
export function makePrivateFolder(prefix: string, owner?: { uid: number; gid: number }): string {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  guard(folder);
  if (owner !== undefined) chownSync(folder, owner.uid, owner.gid);
  return folder;
}

export async function removePrivateFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  release(folder);
}

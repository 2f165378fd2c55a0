// Runs beside a process that started servers, and ends them when that process is gone, however it went:
// the operating system closes the pipe on standard input, also after a SIGKILL.
import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { GuardianMessage } from './guardian.ts';
import { signalTree } from './process-tree.ts';

const pids = new Set<number>();
const folders = new Set<string>();

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const { guard, release } = JSON.parse(line) as GuardianMessage;
  if (typeof guard === 'number') pids.add(guard);
  if (typeof guard === 'string') folders.add(guard);
  if (typeof release === 'number') pids.delete(release);
  if (typeof release === 'string') folders.delete(release);
});
lines.on('close', () => {
  for (const pid of pids) signalTree(pid, 'SIGKILL');
  for (const folder of folders)
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
});

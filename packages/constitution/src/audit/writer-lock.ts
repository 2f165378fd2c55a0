import { randomUUID } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { AuditRejectedError } from '../errors.ts';

/** Who holds a lock: a process by its id and, where the system tells, the moment it began. */
interface Holder {
  readonly pid: number;
  readonly began: string;
  readonly host: string;
  readonly token: string;
}

/**
 * Takes the lock file that keeps a second writer away; gives the function that lets go of it.
 *
 * A holder that no longer runs on this machine has lost it. A holder on another machine can't be asked: its file stays until somebody removes it.
 *
 * @throws AuditRejectedError (HOTPATH_AUDIT_LOCKED) when another holds it.
 */
export function takeWriterLock(path: string): () => void {
  const own: Holder = { pid: process.pid, began: beganAt('self'), host: hostname(), token: randomUUID() };
  const draft = `${path}.${own.token}`;
  writeFileSync(draft, JSON.stringify(own));
  try {
    for (let attempt = 0; attempt < 10; attempt++) {
      try {
        // Unlike a rename this fails when the file exists, and it appears with its content.
        linkSync(draft, path);
        return () => release(path, own.token);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const text = readOrEmpty(path);
      const holder = parseHolder(text);
      if (holder !== undefined && isAlive(holder)) {
        throw new AuditRejectedError(
          'HOTPATH_AUDIT_LOCKED',
          `process ${holder.pid} on ${holder.host} writes this log (${path})`,
        );
      }
      retire(path, text, own.token);
    }
    throw new AuditRejectedError('HOTPATH_AUDIT_LOCKED', `others keep taking the log's lock (${path})`);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Moves a lost lock away, and puts it back when it was another's, taken in between. */
function retire(path: string, expected: string, token: string): void {
  const aside = `${path}.lost.${token}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    // Somebody else was quicker.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (readOrEmpty(aside) !== expected) {
    try {
      linkSync(aside, path);
    } catch {
      // Somebody has it again already.
    }
  }
  rmSync(aside, { force: true });
}

function release(path: string, token: string): void {
  if (parseHolder(readOrEmpty(path))?.token === token) rmSync(path, { force: true });
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function parseHolder(text: string): Holder | undefined {
  try {
    return JSON.parse(text) as Holder;
  } catch {
    return undefined;
  }
}

function isAlive({ pid, began, host }: Holder): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  // Ids are given again, and in containers they nearly always are.
  return began === beganAt(String(pid));
}

/** When a process began, in clock ticks since the machine did; empty where the system does not tell. */
function beganAt(pid: string): string {
  const stat = readOrEmpty(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

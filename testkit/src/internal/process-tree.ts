import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/**
 * Lists the process ids below `root`, parents before children.
 *
 * A process group is not enough: PostgreSQL puts each of its children into a session of its own.
 */
export function descendantsOf(root: number): number[] {
  const childrenOf = new Map<number, number[]>();
  for (const [pid, parent] of parents()) {
    const siblings = childrenOf.get(parent);
    if (siblings === undefined) childrenOf.set(parent, [pid]);
    else siblings.push(pid);
  }
  const found: number[] = [];
  const open = [root];
  for (let pid = open.shift(); pid !== undefined; pid = open.shift()) {
    const children = childrenOf.get(pid) ?? [];
    found.push(...children);
    open.push(...children);
  }
  return found;
}

/** Sends `signal` to a process that may be gone; returns whether it was there. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

/** Sends `signal` to a process and to everything below it, children that are born meanwhile included. */
export function signalTree(root: number, signal: NodeJS.Signals): number[] {
  // A stopped parent bears no children, so the list is complete.
  signalProcess(root, 'SIGSTOP');
  const descendants = descendantsOf(root);
  for (const pid of [root, ...descendants]) signalProcess(pid, signal);
  return descendants;
}

/** Whether a process lives; one that has ended but that nobody has waited for does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return process.platform !== 'linux' || statOf(pid)?.state !== 'Z';
}

function statOf(pid: number | string): { state: string; parent: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the command in brackets and may hold anything, so count from its end.
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: state as string, parent: Number(parent) };
  } catch {
    return undefined;
  }
}

function* parents(): Generator<readonly [pid: number, parent: number]> {
  if (process.platform === 'linux') {
    for (const entry of readdirSync('/proc')) {
      const stat = /^\d+$/.test(entry) ? statOf(entry) : undefined;
      if (stat !== undefined) yield [Number(entry), stat.parent];
    }
    return;
  }
  for (const line of execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).split('\n')) {
    const [pid, parent] = line.trim().split(/\s+/).map(Number);
    if (pid !== undefined && parent !== undefined) yield [pid, parent];
  }
}

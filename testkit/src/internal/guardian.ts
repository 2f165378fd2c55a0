import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

/** What the guardian is told: a process id to kill or a folder to remove when this process is gone. */
export interface GuardianMessage {
  readonly guard?: number | string;
  readonly release?: number | string;
}

let guardian: ChildProcess | undefined;

/** Has a process and all below it killed, or a folder removed, when this process ends in whatever way. */
export function guard(what: number | string): void {
  tell({ guard: what });
}

/** Takes {@link guard} back: a process id that has ended may soon belong to somebody else. */
export function release(what: number | string): void {
  tell({ release: what });
}

function tell(message: GuardianMessage): void {
  guardian ??= startGuardian();
  guardian.stdin?.write(`${JSON.stringify(message)}\n`);
}

function startGuardian(): ChildProcess {
  const main = fileURLToPath(new URL('guardian-main.ts', import.meta.url));
  // In a session of its own, so that Ctrl-C in the terminal does not end it before its work.
  const child = spawn(process.execPath, [main], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    env: { PATH: process.env.PATH },
  });
  child.on('error', () => {});
  child.stdin.on('error', () => {});
  child.unref();
  (child.stdin as Socket).unref();
  return child;
}

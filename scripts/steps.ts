import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onParentGone } from './parent.ts';

export const root: string = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Packages in build order: each imports only from those before it. */
export const packages = ['core', 'constitution', 'resilience', 'cache', 'http', 'postgres'] as const;

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

let stopped = false;

/** Whether this process was told to stop while a command ran: what comes after it is not wanted any more. */
export function isStopped(): boolean {
  return stopped;
}

/** Runs a command of the workspace on the Node that runs this script; resolves with its exit code. */
export function run(command: string, args: readonly string[], cwd: string = root): Promise<number> {
  const path = `${dirname(process.execPath)}:${join(cwd, 'node_modules', '.bin')}:${join(root, 'node_modules', '.bin')}:${process.env.PATH}`;
  const child = spawn(command, args, { cwd, stdio: 'inherit', env: { ...process.env, PATH: path } });
  const forward = (signal: NodeJS.Signals): void => {
    stopped = true;
    child.kill(signal);
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  const stopLooking = onParentGone(() => forward('SIGTERM'));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      for (const signal of FORWARDED) process.off(signal, forward);
      stopLooking();
      resolve(signal === null ? (code ?? 1) : 1);
    });
  });
}

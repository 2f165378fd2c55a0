import { spawn } from 'node:child_process';
import { delimiter, dirname } from 'node:path';

/** What {@link exec} takes. */
export interface ExecOptions {
  readonly cwd: string;
  readonly timeoutMs: number;
  /** Added to this process's environment; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The Node that `node` stands for, also for the scripts of packages. Default: the one that runs this. */
  readonly node?: string;
  /** Exit codes that are no failure. Default: only 0. */
  readonly codes?: readonly number[];
}

/** A step of a longer run failed; the message begins with its name. */
export class StepError extends Error {
  static {
    StepError.prototype.name = 'StepError';
  }
}

let done = 0;

/** How many steps of this process have succeeded. */
export function stepsDone(): number {
  return done;
}

/**
 * Runs one named step, reports how long it took, and puts its name before whatever goes wrong in it.
 *
 * @throws StepError when it failed, or when it did not end in time.
 */
export async function step<Result>(
  name: string,
  timeoutMs: number,
  work: () => Promise<Result>,
): Promise<Result> {
  const startMs = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    const result = await Promise.race([work(), late]);
    done++;
    console.error(`ok     ${name} (${((performance.now() - startMs) / 1000).toFixed(1)} s)`);
    return result;
  } catch (error) {
    console.error(`FAILED ${name}`);
    throw new StepError(`${name}: ${(error as Error).message}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Runs a command to its end and resolves with what it wrote to its standard output.
 *
 * It runs in a process group of its own, which is killed as a whole when the time is over.
 *
 * @throws Error with the end of its output when it ended with another code than 0, or too late.
 */
export function exec(command: string, args: readonly string[], options: ExecOptions): Promise<string> {
  const { cwd, timeoutMs, env, node = process.execPath, codes = [0] } = options;
  const path = `${dirname(node)}${delimiter}${process.env.PATH}`;
  const child = spawn(command, args, {
    cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: path, ...env },
  });
  running.add(child.pid as number);
  let stdout = '';
  let all = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    all += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    all += text;
  });
  return new Promise((resolve, reject) => {
    const line = `${command} ${args.join(' ')}`.slice(0, 200);
    const fail = (what: string): void => {
      reject(new Error(`${line} ${what}\n${all.trim().slice(-MOST_OUTPUT)}`));
    };
    const timer = setTimeout(() => {
      killGroup(child.pid as number);
      fail(`did not end within ${timeoutMs / 1000} s`);
    }, timeoutMs);
    child.once('error', (error) => {
      clearTimeout(timer);
      fail(`could not be started: ${error.message}`);
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      running.delete(child.pid as number);
      if (code !== null && codes.includes(code)) resolve(stdout);
      else fail(`ended with ${signal ?? `code ${code}`}`);
    });
  });
}

/** Characters of a failed command's output that are told. */
const MOST_OUTPUT = 20_000;

const running = new Set<number>();

/** Kills every process that {@link exec} started and that still runs. */
export function killRunning(): void {
  for (const pid of running) killGroup(pid);
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {}
}

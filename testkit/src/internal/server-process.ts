import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { ServerError } from '../errors.ts';
import { guard, release } from './guardian.ts';
import { isAlive, signalProcess, signalTree } from './process-tree.ts';

/** How one kind of server is run. */
export interface ServerSpec {
  /** For messages. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly directory: string;
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** Asks it to end in an orderly way. */
  readonly stopSignal: NodeJS.Signals;
  /** Whether it answers now; asked again and again after a start. */
  readonly isReady: (pid: number) => Promise<boolean> | boolean;
}

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;

/** A server that can be stopped, killed, frozen and started again, and that never outlives this process. */
export class ServerProcess {
  readonly #spec: ServerSpec;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();

  constructor(spec: ServerSpec) {
    this.#spec = spec;
  }

  /** The process id; 0 while it does not run. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async start(): Promise<void> {
    if (this.#child !== undefined) return;
    const { name, command, args, directory, logFile, env, user } = this.#spec;
    const log = openSync(logFile, 'a');
    // In a session of its own, so that Ctrl-C reaches it only through whoever started it.
    const child = spawn(command, args, {
      cwd: directory,
      stdio: ['ignore', log, log],
      detached: true,
      env: { ...process.env, ...env },
      ...user,
    });
    closeSync(log);
    this.#child = child;
    const { pid } = child;
    if (pid !== undefined) guard(pid);
    child.unref();
    let spawnError: Error | undefined;
    this.#exited = new Promise((resolve) => {
      const onEnd = (): void => {
        if (pid !== undefined) release(pid);
        if (this.#child === child) this.#child = undefined;
        resolve();
      };
      child.once('exit', onEnd);
      child.once('error', (error) => {
        spawnError = error;
        onEnd();
      });
    });
    const deadlineMs = performance.now() + START_TIMEOUT_MS;
    while (this.#child === child) {
      if (pid !== undefined && (await this.#spec.isReady(pid))) return;
      if (performance.now() > deadlineMs) {
        await this.kill();
        throw new ServerError(
          'START_TIMEOUT',
          `${name} did not answer within ${START_TIMEOUT_MS} ms\n${this.#logTail()}`,
        );
      }
      await delay(5);
    }
    throw new ServerError(
      'START_FAILED',
      `${name} ended while starting: ${spawnError?.message ?? ''}\n${this.#logTail()}`,
    );
  }

  /** Ends it in an orderly way; one that does not within 15 s is killed. */
  async stop(): Promise<void> {
    const { pid } = this;
    if (pid === 0) return;
    signalProcess(pid, this.#spec.stopSignal);
    this.thaw();
    const timeout = setTimeout(() => void this.kill(), STOP_TIMEOUT_MS);
    await this.#whileWaiting(this.#exited);
    clearTimeout(timeout);
  }

  /** Ends it and all its children at once with SIGKILL; resolves when they are gone. */
  async kill(): Promise<void> {
    const { pid } = this;
    if (pid === 0) return;
    const descendants = signalTree(pid, 'SIGKILL');
    await this.#whileWaiting(this.#exited);
    while (descendants.some(isAlive)) await delay(2);
  }

  /** Stops it and all its children where they stand: their connections stay open and say nothing. */
  freeze(): void {
    if (this.pid !== 0) signalTree(this.pid, 'SIGSTOP');
  }

  /** Lets a frozen one go on. */
  thaw(): void {
    if (this.pid !== 0) signalTree(this.pid, 'SIGCONT');
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** The child is unref'd, so something else has to keep this process alive until it has ended. */
  async #whileWaiting(promise: Promise<void>): Promise<void> {
    const anchor = setInterval(() => {}, 1_000);
    await promise;
    clearInterval(anchor);
  }

  #logTail(): string {
    return readFileSync(this.#spec.logFile, 'utf8').trim().split('\n').slice(-15).join('\n');
  }
}

import { fork } from 'node:child_process';
import { guard, release } from './internal/guardian.ts';
import { signalProcess } from './internal/process-tree.ts';

/** What {@link spawnNode} takes. */
export interface SpawnNodeOptions {
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Flags for Node itself, such as `['--expose-gc']`. */
  readonly nodeArgs?: readonly string[];
}

/** How a process ended. */
export interface NodeExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A child Node process that exchanges messages with this one. */
export interface NodeProcess extends AsyncDisposable {
  readonly pid: number;
  /** What it wrote so far. */
  readonly stdout: string;
  readonly stderr: string;
  readonly exited: Promise<NodeExit>;
  /** Sends a message; in the child it arrives as `process.on('message')`. */
  send(message: unknown): void;
  /**
   * Resolves with its next message (`process.send` there), in the order sent; each is received once.
   *
   * @throws Error when none came in time (default 10,000 ms), or when it ended first; both carry its stderr.
   */
  receive<Message>(options?: { readonly timeoutMs?: number }): Promise<Message>;
  /** Default SIGKILL. Resolves when a signal that ends it has ended it; at once for any other. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Receiver {
  readonly resolve: (message: unknown) => void;
  readonly reject: (error: Error) => void;
}

const SURVIVED: readonly NodeJS.Signals[] = ['SIGSTOP', 'SIGCONT'];

/** Runs a `.ts` or `.js` file in a Node process of its own, which ends with this one at the latest. */
export function spawnNode(
  file: string,
  args: readonly string[] = [],
  { env, nodeArgs = [] }: SpawnNodeOptions = {},
): NodeProcess {
  const child = fork(file, args, {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    serialization: 'advanced',
    execArgv: [...nodeArgs],
    env: { ...process.env, ...env },
  });
  const pid = child.pid ?? 0;
  if (pid !== 0) guard(pid);
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const messages: unknown[] = [];
  const receivers = new Set<Receiver>();
  child.on('message', (message) => {
    const [receiver] = receivers;
    if (receiver === undefined) messages.push(message);
    else receiver.resolve(message);
  });
  let exit: NodeExit | undefined;
  const exited = new Promise<NodeExit>((resolve) => {
    const onEnd = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (pid !== 0) release(pid);
      exit = { code, signal };
      for (const receiver of receivers) receiver.reject(endedError(exit));
      resolve(exit);
    };
    child.once('error', (error) => {
      stderr += String(error);
      onEnd(null, null);
    });
    child.once('close', onEnd);
  });
  const endedError = ({ code, signal }: NodeExit): Error =>
    new Error(`${file} ended (${signal ?? `code ${code}`})\n${stderr}`);

  return {
    pid,
    get stdout() {
      return stdout;
    },
    get stderr() {
      return stderr;
    },
    exited,
    send(message) {
      child.send(message as never);
    },
    receive<Message>({ timeoutMs = 10_000 }: { readonly timeoutMs?: number } = {}) {
      if (messages.length > 0) return Promise.resolve(messages.shift() as Message);
      if (exit !== undefined) return Promise.reject(endedError(exit));
      return new Promise<Message>((resolve, reject) => {
        const settle = (): void => {
          clearTimeout(timer);
          receivers.delete(receiver);
        };
        const receiver: Receiver = {
          resolve: (message) => {
            settle();
            resolve(message as Message);
          },
          reject: (error) => {
            settle();
            reject(error);
          },
        };
        const timer = setTimeout(
          () => receiver.reject(new Error(`${file} sent nothing within ${timeoutMs} ms\n${stderr}`)),
          timeoutMs,
        );
        receivers.add(receiver);
      });
    },
    async kill(signal = 'SIGKILL') {
      if (exit !== undefined || pid === 0) return;
      signalProcess(pid, signal);
      if (!SURVIVED.includes(signal)) await exited;
    },
    async [Symbol.asyncDispose]() {
      await this.kill('SIGKILL');
    },
  };
}

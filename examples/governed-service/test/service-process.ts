import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..', '..');
export const HASH = 'cdd01ef066bc6cf2';

/** The service in a process group of its own, started as a user would. */
export interface ServiceProcess extends AsyncDisposable {
  readonly url: string;
  readonly child: ChildProcess;
  /** Everything that it has printed so far. */
  readonly output: () => string;
  /** Resolves when `text` has been printed. */
  printed(text: string): Promise<void>;
  /** Sends what Ctrl-C sends, to the whole group; resolves with the exit code. */
  interrupt(): Promise<number | null>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: what came is what the test is about to find out
  readonly body: any;
}

export async function startServiceProcess(
  env: Readonly<Record<string, string>>,
  command: readonly [string, ...string[]] = [process.execPath, 'examples/governed-service/src/main.ts'],
): Promise<ServiceProcess> {
  const [file, ...args] = command;
  const auditDirectory = mkdtempSync(join(tmpdir(), 'hotpath-audit-'));
  const child = spawn(file, args, {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      PORT: '0',
      RATE_LIMIT_PER_SECOND: '100000',
      AUDIT_DIRECTORY: auditDirectory,
      ...env,
    },
  });
  let output = '';
  const listeners = new Set<() => void>();
  const onOutput = (chunk: Buffer): void => {
    output += chunk.toString();
    for (const listener of listeners) listener();
  };
  child.stdout?.on('data', onOutput);
  child.stderr?.on('data', onOutput);
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));

  const printed = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const give = setTimeout(
        () => reject(new Error(`'${text}' was not printed within 60 s, but:\n${output}`)),
        60_000,
      );
      const look = (): void => {
        if (!output.includes(text)) return;
        clearTimeout(give);
        listeners.delete(look);
        resolve();
      };
      listeners.add(look);
      look();
      void exited.then((code) => reject(new Error(`the service ended with ${code}:\n${output}`)));
    });
  const killGroup = (signal: NodeJS.Signals): void => {
    try {
      process.kill(-(child.pid as number), signal);
    } catch {
      // It has ended already.
    }
  };
  const interrupt = (): Promise<number | null> => {
    killGroup('SIGINT');
    return exited;
  };

  try {
    await printed('/health');
  } catch (error) {
    killGroup('SIGKILL');
    throw error;
  }
  return {
    url: /listens on (\S+)/.exec(output)?.[1] as string,
    child,
    output: () => output,
    printed,
    interrupt,
    async [Symbol.asyncDispose]() {
      const giveUp = setTimeout(() => killGroup('SIGKILL'), 15_000);
      await interrupt();
      clearTimeout(giveUp);
      rmSync(auditDirectory, { recursive: true, force: true });
    },
  };
}

/** Asks the service, with the right hash unless `headers` says otherwise. */
export async function ask(
  url: string,
  {
    method = 'GET',
    headers = { 'x-constitutional-hash': HASH },
    body,
  }: {
    readonly method?: string;
    readonly headers?: Record<string, string>;
    readonly body?: unknown;
  } = {},
): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
    signal: AbortSignal.timeout(15_000),
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: JSON.parse(text) };
}

/** Repeats a question until its answer is as wanted, for at most `withinMs`. */
export async function eventually(
  question: () => Promise<Answer>,
  isWanted: (answer: Answer) => boolean,
  withinMs: number,
): Promise<Answer> {
  const endMs = performance.now() + withinMs;
  for (;;) {
    const answer = await question();
    if (isWanted(answer)) return answer;
    if (performance.now() > endMs) {
      throw new Error(`not within ${withinMs} ms; the last answer was ${answer.status} ${answer.text}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

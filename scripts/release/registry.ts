import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../steps.ts';
import { exec } from './step.ts';
import { node, resolveTool } from './tools.ts';

/** A private npm registry on loopback. */
export interface Registry extends AsyncDisposable {
  readonly url: string;
  /** Lines of an `.npmrc` that make npm and pnpm use it, and publish to it. */
  readonly npmrc: string;
}

/** Starts a registry that keeps its data in the given folder; it ends with this process. */
export async function startRegistry(folder: string): Promise<Registry> {
  mkdirSync(folder, { recursive: true });
  const upstream = (
    await exec('npm', ['config', 'get', 'registry'], { cwd: root, timeoutMs: 30_000 })
  ).trim();
  const child = fork(join(import.meta.dirname, 'registry-process.ts'), {
    execPath: node,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-4000);
    });
  }
  const ended = once(child, 'exit');
  const dispose = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  try {
    child.send({ verdaccio: resolveTool('verdaccio'), folder, upstream });
    const ready = once(child, 'message');
    const first = await Promise.race([ready, ended.then(() => undefined)]);
    if (first === undefined) throw new Error(`Verdaccio ended before it was ready\n${log}`);
    const host = `127.0.0.1:${(first[0] as { port: number }).port}`;
    const url = `http://${host}/`;
    const response = await fetch(`${url}-/user/org.couchdb.user:rehearsal`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'rehearsal', password: crypto.randomUUID() }),
      signal: AbortSignal.timeout(10_000),
    });
    const { token } = (await response.json()) as { token?: string };
    if (token === undefined) throw new Error(`Verdaccio gave no token (status ${response.status})\n${log}`);
    const npmrc = `registry=${url}\n//${host}/:_authToken=${token}\n`;
    return { url, npmrc, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

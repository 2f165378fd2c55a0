import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { spawnNode } from '../../src/index.ts';
import { descendantsOf, isAlive } from '../../src/internal/process-tree.ts';

const echo = fileURLToPath(new URL('../fixtures/echo.ts', import.meta.url));
const serverOwner = fileURLToPath(new URL('../fixtures/server-owner.ts', import.meta.url));

test('messages are exchanged in order with a child that runs TypeScript', async () => {
  await using child = spawnNode(echo, ['one'], { env: { GREETING: 'hello' } });
  child.send({ n: 1 });
  child.send({ n: 2n });
  const [first, second] = await Promise.all([child.receive(), child.receive()]);
  expect(first).toEqual({ echoed: { n: 1 }, greeting: 'hello', args: ['one'] });
  expect(second).toMatchObject({ echoed: { n: 2n } });
  expect(child.stderr).toBe('echo is up\n');
});

test('waiting for a message ends with its deadline', async () => {
  await using child = spawnNode(echo);
  await expect(child.receive({ timeoutMs: 50 })).rejects.toThrow('sent nothing within 50 ms');
});

test('waiting for a message ends when the child ends, and shows its stderr', async () => {
  await using child = spawnNode(echo);
  const received = child.receive();
  child.send({ exit: 3 });
  await expect(received).rejects.toThrow(/ended \(code 3\)\necho is up/);
  expect(await child.exited).toEqual({ code: 3, signal: null });
  await expect(child.receive()).rejects.toThrow('ended (code 3)');
});

test('a child is killed by a signal', async () => {
  const child = spawnNode(echo);
  await child.kill('SIGTERM');
  expect(await child.exited).toEqual({ code: null, signal: 'SIGTERM' });
});

test('a file that is not there ends with an error on stderr', async () => {
  const child = spawnNode('/nowhere.ts');
  expect((await child.exited).code).toBe(1);
  expect(child.stderr).toContain('/nowhere.ts');
});

const endings: readonly [how: string, end: (child: ReturnType<typeof spawnNode>) => unknown][] = [
  ['exits', (child) => child.send('exit')],
  ['throws', (child) => child.send('throw')],
  ['is ended by SIGTERM', (child) => child.kill('SIGTERM')],
  ['is ended by SIGINT', (child) => child.kill('SIGINT')],
  ['is ended by SIGKILL', (child) => child.kill('SIGKILL')],
];

test.each(endings)('servers and their folders are gone when their owner %s', async (_, end) => {
  const owner = spawnNode(serverOwner);
  const { pids, folders } = await owner.receive<{ pids: number[]; folders: string[] }>({ timeoutMs: 30_000 });
  const all = pids.flatMap((pid) => [pid, ...descendantsOf(pid)]);
  expect(all.length).toBeGreaterThan(4);
  end(owner);
  await owner.exited;
  await vi.waitFor(() => expect(all.filter(isAlive)).toEqual([]), { timeout: 5_000, interval: 10 });
  await vi.waitFor(() => expect(folders.filter((folder) => existsSync(folder))).toEqual([]), {
    timeout: 5_000,
    interval: 10,
  });
});

test('frozen servers too are gone when their owner is killed', async () => {
  const owner = spawnNode(serverOwner);
  const { pids } = await owner.receive<{ pids: number[] }>({ timeoutMs: 30_000 });
  const all = pids.flatMap((pid) => [pid, ...descendantsOf(pid)]);
  owner.send('freeze');
  await owner.receive();
  await owner.kill();
  await vi.waitFor(() => expect(all.filter(isAlive)).toEqual([]), { timeout: 5_000, interval: 10 });
});

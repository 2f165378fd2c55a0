import { readFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { exec, step } from '../../release/step.ts';

const cwd = import.meta.dirname;
const node = (program: string, timeoutMs = 10_000): Promise<string> =>
  exec(process.execPath, ['-e', program], { cwd, timeoutMs });

test('a command gives what it wrote', async () => {
  expect(await node('console.log(42)')).toBe('42\n');
});

test('a command that fails tells how, with the end of its output', async () => {
  await expect(node('console.error("it broke"); process.exit(3)')).rejects.toThrow(
    /ended with code 3\nit broke/,
  );
});

test('a command that is not there is an error', async () => {
  await expect(exec('no-such-command', [], { cwd, timeoutMs: 1_000 })).rejects.toThrow(
    /could not be started/,
  );
});

test('a command that hangs is killed with its children', async () => {
  const program = `
    const child = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    console.log(child.pid);
    setInterval(() => {}, 1000);`;
  const error = await node(program, 1_000).catch((reason: Error) => reason);
  expect(String(error)).toMatch(/did not end within 1 s/);
  const child = /^(\d+)$/m.exec(String(error))?.[1] as string;
  await vi.waitFor(() => expect(isAlive(child)).toBe(false));
});

test('a step that fails or is late carries its name', async () => {
  vi.spyOn(console, 'error').mockImplementation(() => {});
  await expect(step('pack', 1_000, () => Promise.reject(new Error('no disk')))).rejects.toThrow(
    'pack: no disk',
  );
  await expect(step('install', 20, () => new Promise(() => {}))).rejects.toThrow(
    'install: not done after 0.02 s',
  );
  expect(await step('fine', 1_000, async () => 7)).toBe(7);
});

/** A killed process without a parent that waits for it may stay as a zombie. */
function isAlive(pid: string): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

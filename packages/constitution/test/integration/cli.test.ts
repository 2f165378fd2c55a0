import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createAuditLog } from '../../src/index.ts';

const cli = join(import.meta.dirname, '../../src/cli.ts');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hotpath-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const start = (args: readonly string[], stdout: 'pipe' | number = 'pipe') =>
  spawn(process.execPath, [cli, ...args], { cwd: folder, stdio: ['ignore', stdout, 'pipe'] });

it.each([
  ['no command', [], 2, /^no command given\n/],
  ['an unknown command', ['seal'], 2, /^unknown command 'seal'\n/],
  ['a missing argument', ['compute'], 2, /^compute takes one document\n/],
  ['an option of another command', ['check', '--force'], 2, /^check has no option --force\n/],
  ['a file that is not there', ['compute', 'none'], 3, /^the document none can't be read \(ENOENT\)\n$/],
  ['a folder for a file', ['compute', '.'], 3, /^the document \. can't be read \(EISDIR\)\n$/],
  ['no pin file', ['check'], 3, /can't be read \(ENOENT\)\n$/],
  ['no log', ['audit', 'verify', 'none'], 3, /^there is no audit log in none\n$/],
])('says by its exit code and one message that it was given %s', async (_, args, exitCode, message) => {
  const child = start(args);
  const [out, error, [code]] = await Promise.all([
    text(child.stdout as NonNullable<typeof child.stdout>),
    text(child.stderr as NonNullable<typeof child.stderr>),
    once(child, 'close'),
  ]);
  expect({ out, code }).toEqual({ out: '', code: exitCode });
  expect(error).toMatch(message);
});

it('ends in peace when its reader has read enough', async () => {
  const log = await createAuditLog({ directory: join(folder, 'log'), fsync: 'never' });
  for (let index = 0; index < 20_000; index++) {
    log.append({ who: 'ann', what: `policy ${index}`, decision: 'allow', fingerprint: 'f' });
  }
  await log.close();
  const child = start(['audit', 'export', 'log']);
  child.stdout?.once('data', () => child.stdout?.destroy());
  const [error, [code, signal]] = await Promise.all([
    text(child.stderr as NonNullable<typeof child.stderr>),
    once(child, 'close'),
  ]);
  expect({ error, code, signal }).toEqual({ error: '', code: 0, signal: null });
});

it('keeps its exit code when nobody reads what went wrong', async () => {
  const child = start(['seal']);
  child.stdout?.destroy();
  child.stderr?.destroy();
  expect(await once(child, 'close')).toEqual([2, null]);
});

// A device of Linux that takes nothing.
if (existsSync('/dev/full')) {
  it('says that it could not tell when its answer can not be written', async () => {
    writeFileSync(join(folder, 'document'), 'text');
    const full = openSync('/dev/full', 'w');
    const child = start(['compute', 'document'], full);
    closeSync(full);
    const [error, [code]] = await Promise.all([
      text(child.stderr as NonNullable<typeof child.stderr>),
      once(child, 'close'),
    ]);
    expect({ error, code }).toEqual({ error: "the answer can't be written (ENOSPC)\n", code: 3 });
  });
}

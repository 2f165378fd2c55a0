import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';
import { ask, eventually, startServiceProcess } from '../service-process.ts';

const cli = join(import.meta.dirname, '..', '..', '..', '..', 'packages', 'constitution', 'dist', 'cli.js');
const directory = mkdtempSync(join(tmpdir(), 'hotpath-audit-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function verify(): Promise<{
  exitCode: number;
  found: { size: number; ok: boolean; problems: object[] };
}> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [
      cli,
      'audit',
      'verify',
      directory,
      '--json',
    ]);
    return { exitCode: 0, found: JSON.parse(stdout) };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { exitCode: code, found: JSON.parse(stdout) };
  }
}

/** The largest file of the log: its entries. */
function entriesFile(): string {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return files.sort((a, b) => statSync(b).size - statSync(a).size)[0] as string;
}

it('the audit log holds each decision of a load, also across kill -9; one changed byte is found', async () => {
  const decided: string[] = [];
  for (const ending of ['SIGKILL', 'SIGINT'] as const) {
    await using service = await startServiceProcess({
      DATABASE_URL: '',
      REDIS_URL: '',
      AUDIT_DIRECTORY: directory,
    });
    await service.printed('Ready');
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        ask(`${service.url}/v1/decisions`, {
          method: 'POST',
          body: { policyId: 1 + index, action: 'read', subject: `client-${index}` },
        }),
      ),
    );
    expect(answers.map((answer) => answer.status)).toEqual(Array(200).fill(201));
    decided.push(...answers.map((answer) => answer.body.id as string));
    if (ending === 'SIGKILL') {
      service.child.kill('SIGKILL');
      await new Promise((resolve) => service.child.once('exit', resolve));
    }
  }

  const sound = await verify();
  expect(sound).toMatchObject({ exitCode: 0, found: { ok: true, size: decided.length, problems: [] } });
  const file = entriesFile();
  const text = readFileSync(file, 'utf8');
  for (const id of decided) expect(text).toContain(id);

  // The subject of one decision, by one byte.
  writeFileSync(file, text.replace('"who":"client-77"', '"who":"client-78"'));
  const tampered = await verify();
  expect(tampered.exitCode).toBe(1);
  expect(tampered.found.ok).toBe(false);
  expect(tampered.found.problems.length).toBeGreaterThanOrEqual(1);
});

/** How large a file the process may write from now on: past it a write fails as on a full disk. */
function limitFiles(pid: number | undefined, bytes: number | 'unlimited'): void {
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:unlimited`]);
}

it('while decisions can not be written they are refused and /health is degraded, until one is written again', async () => {
  await using service = await startServiceProcess({ DATABASE_URL: '', REDIS_URL: '' });
  await service.printed('Ready');
  const decide = () =>
    ask(`${service.url}/v1/decisions`, {
      method: 'POST',
      body: { policyId: 1, action: 'read', subject: 'client' },
    });
  const health = () => ask(`${service.url}/health`);
  expect((await decide()).status).toBe(201);
  expect((await health()).body).toMatchObject({ status: 'ok', audit: { status: 'up' } });

  limitFiles(service.child.pid, 1);
  expect(await decide()).toMatchObject({
    status: 503,
    body: { error: { code: 'HOTPATH_AUDIT_UNAVAILABLE' } },
  });
  const degraded = await health();
  expect(degraded.status).toBe(200);
  expect(degraded.body).toMatchObject({ status: 'degraded', degraded: true, audit: { status: 'down' } });

  limitFiles(service.child.pid, 'unlimited');
  await eventually(decide, ({ status }) => status === 201, 10_000);
  expect((await health()).body).toMatchObject({ status: 'ok', degraded: false, audit: { status: 'up' } });
});

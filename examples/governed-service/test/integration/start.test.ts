import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { commandOf, descendantsOf, isRunning } from '../processes.ts';
import { ask, startServiceProcess } from '../service-process.ts';

/** The processes of a process group's descendants, found by the session that `detached` made. */
function processesOfSession(session: number): string[] {
  const table = execFileSync('ps', ['-e', '-o', 'sid=,pid=,stat=,args=']).toString();
  return table
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.startsWith(`${session} `) && !/^\d+ +\d+ +Z/.test(line));
}

it('npm start serves on embedded servers, its curl line works, and Ctrl-C leaves no process behind', async () => {
  await using service = await startServiceProcess({ DATABASE_URL: '', REDIS_URL: '' }, ['npm', 'start']);
  await service.printed('/v1/policies/42\n');
  const session = service.child.pid as number;
  expect(processesOfSession(session).length).toBeGreaterThan(1);

  const [, header, url] = /curl -H '([^']+)' (\S+)/.exec(service.output()) ?? [];
  const [name, value] = (header as string).split(': ') as [string, string];
  const answer = await ask(url as string, { headers: { [name]: value } });
  expect(answer.status).toBe(200);
  expect(answer.body.id).toBe(42);

  await service.interrupt();
  // The keepers of the servers are in sessions of their own: look for what holds the ports instead.
  expect(processesOfSession(session)).toEqual([]);
  await expect(ask(url as string)).rejects.toThrow();
});

/** The processes behind `npm start`, from npm to the service: each is the parent of the next. */
const LINKS = {
  npm: /^npm start/,
  setUp: /^node .*bootstrap\.mjs/,
  service: /tasks\/start\.ts/,
};

const ends: [how: string, signal: NodeJS.Signals, link: keyof typeof LINKS | 'group'][] = [
  ['the terminal is closed', 'SIGHUP', 'group'],
  ['only npm is told to end', 'SIGTERM', 'npm'],
  ['only npm is interrupted', 'SIGINT', 'npm'],
  ['only npm is hung up', 'SIGHUP', 'npm'],
  ['npm is killed', 'SIGKILL', 'npm'],
  ['the set-up process is killed', 'SIGKILL', 'setUp'],
  ['the service is killed', 'SIGKILL', 'service'],
];
for (const [how, signal, link] of ends) {
  it(`leaves no process behind when ${how}`, async () => {
    const env = { DATABASE_URL: '', REDIS_URL: '', SEED_POLICIES: '10' };
    await using service = await startServiceProcess(env, ['npm', 'start']);
    await service.printed('/v1/policies/42\n');
    const npm = service.child.pid as number;
    const family = [npm, ...descendantsOf(npm)];
    // npm, the set-up and the service, then what keeps the servers, and the servers.
    expect(family.length).toBeGreaterThan(6);
    if (link === 'group') process.kill(-npm, signal);
    else process.kill(family.find((pid) => LINKS[link].test(commandOf(pid))) as number, signal);
    const endMs = performance.now() + 10_000;
    while (family.some(isRunning) && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(family.filter(isRunning).map(commandOf)).toEqual([]);
  });
}

it('says which port is in use', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await expect(startServiceProcess({ PORT: String(port), DATABASE_URL: '', REDIS_URL: '' })).rejects.toThrow(
    `Port ${port} is in use`,
  );
  await new Promise((resolve) => server.close(resolve));
});

it('says what to do when it is started twice, or where it can not listen', async () => {
  // Nothing answers there: neither start needs a database.
  const env = { DATABASE_URL: 'postgres://127.0.0.1:1/none', REDIS_URL: 'redis://127.0.0.1:1' };
  const directory = mkdtempSync(join(tmpdir(), 'hotpath-audit-'));
  await using _ = await startServiceProcess({ ...env, AUDIT_DIRECTORY: directory });
  const second = startServiceProcess({ ...env, AUDIT_DIRECTORY: directory });
  await expect(second).rejects.toThrow(
    /Another service runs with this audit log: .*Set PORT, or AUDIT_DIRECTORY/,
  );
  await expect(second).rejects.not.toThrow(/ at |node_modules/);
  await expect(startServiceProcess({ ...env, HOST: '203.0.113.1' })).rejects.toThrow(
    /EADDRNOTAVAIL.*203\.0\.113\.1/,
  );
  rmSync(directory, { recursive: true, force: true });
});

it('ends at once, by one line that says why, where its audit log can not be kept', async () => {
  const env = { DATABASE_URL: 'postgres://127.0.0.1:1/none', REDIS_URL: 'redis://127.0.0.1:1' };
  const damaged = mkdtempSync(join(tmpdir(), 'hotpath-audit-'));
  writeFileSync(join(damaged, 'audit.json'), '{}');
  for (const [directory, why] of [
    ['/proc/nope', "the audit log can't be opened: ENOENT.*/proc/nope"],
    [import.meta.filename, `the audit log can't be opened: EEXIST.*${import.meta.filename}`],
    [damaged, `${damaged}/audit\\.json does not describe an audit log`],
  ] as const) {
    const starting = startServiceProcess({ ...env, AUDIT_DIRECTORY: directory });
    const line = new RegExp(
      `^the service ended with 1:\n${why}.*\\. Set AUDIT_DIRECTORY to another folder, or mend this one\\.\n$`,
    );
    await expect(starting).rejects.toThrow(line);
  }
  rmSync(damaged, { recursive: true, force: true });
});

it('names a variable that is wrong, and ends', async () => {
  await expect(startServiceProcess({ PORT: '99999' })).rejects.toThrow(
    /PORT must be a whole number from 0 to 65535/,
  );
  await expect(startServiceProcess({ DATABASE_URL: 'mysql://x' })).rejects.toThrow(
    /DATABASE_URL must be a URL/,
  );
});

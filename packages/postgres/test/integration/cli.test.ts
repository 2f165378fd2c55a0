import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from '../../src/cli.ts';
import { startDatabase, type TestDatabase } from './database.ts';

let test: TestDatabase;
beforeAll(async () => {
  test = await startDatabase();
  await test.db.query(
    'create table things (id int primary key, name text); insert into things values (1, $$a$$), (2, $$a$$)',
  );
});
afterAll(() => test[Symbol.asyncDispose]());

async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  let stdout = '';
  let stderr = '';
  const code = await runCli(
    args,
    { DATABASE_URL: test.server.connectionString },
    {
      stdout: {
        write: (text) => {
          stdout += text;
        },
      },
      stderr: {
        write: (text) => {
          stderr += text;
        },
      },
    },
  );
  return { code, stdout, stderr };
}

const define = (definitions: unknown): string => {
  const file = join(test.server.directory, '..', 'definitions.json');
  writeFileSync(file, JSON.stringify(definitions));
  return file;
};

describe('hotpath-indexes', () => {
  it('exits by what it found: 3 for something to do, 0 for nothing, 1 for a failure, 2 for wrong usage, 4 for blocked', async () => {
    const file = define([{ name: 'things_name', table: 'things', keys: ['name'] }]);
    expect(await run('plan', '--definitions', file)).toMatchObject({
      code: 3,
      stdout: expect.stringContaining('create index concurrently "things_name"'),
    });
    expect(await run('report', '--definitions', file)).toMatchObject({
      code: 3,
      stdout: expect.stringContaining('things_name'),
    });
    expect(await run('apply', '--definitions', file)).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('things_name: starting'),
    });
    expect(await run('apply', '--definitions', file)).toMatchObject({ code: 0, stdout: 'nothing to do\n' });
    expect(await run('plan', '--definitions', file, '--json')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('"isSettled": true'),
    });
    expect(await run('report', '--definitions', file)).toMatchObject({ code: 0 });
    const unique = define([{ name: 'things_once', table: 'things', keys: ['name'], unique: true }]);
    expect(await run('apply', '--definitions', unique)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('HOTPATH_PG_INDEX_FAILED'),
    });
    const blocked = define([{ name: 'x', table: 'nowhere', keys: ['name'] }]);
    expect(await run('apply', '--definitions', blocked)).toMatchObject({
      code: 4,
      stdout: expect.stringContaining('there is no table nowhere'),
    });
    expect(await run('apply', '--governance', 'cdd01ef066bc6cf2')).toMatchObject({ code: 4 });
    for (const args of [
      [],
      ['build'],
      ['plan'],
      ['plan', '--unknown'],
      ['plan', '--definitions', file, '--lock-timeout', 'x'],
      ['plan', 'plan'],
    ]) {
      expect((await run(...args)).code, args.join(' ')).toBe(2);
    }
    expect(await run('plan', '--governance', 'x', '--url', 'postgres://127.0.0.1:1/x')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('HOTPATH_PG_DOWN'),
    });
  });
});

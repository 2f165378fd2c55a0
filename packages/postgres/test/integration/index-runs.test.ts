import { fileURLToPath } from 'node:url';
import { spawnNode } from '@hotpath/testkit';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { runCli } from '../../src/cli.ts';
import { governanceIndexes, type IndexDefinition, type IndexProgress } from '../../src/index.ts';
import { codeOf, startDatabase, type TestDatabase } from './database.ts';
import { GOVERNANCE_SCHEMA } from './governance-schema.ts';

const HASH = 'cdd01ef066bc6cf2';
const applyMain = fileURLToPath(new URL('apply-main.ts', import.meta.url));
const bin = fileURLToPath(new URL('../../src/bin.ts', import.meta.url));
let test: TestDatabase;

beforeAll(async () => {
  test = await startDatabase();
  await test.db.query(GOVERNANCE_SCHEMA(20_000), [], { timeoutMs: 60_000 });
  await test.db.query(`create table items (id int primary key, name text);
    insert into items select g, 'item ' || g from generate_series(1, 20000) g; analyze items`);
}, 120_000);
afterAll(() => test[Symbol.asyncDispose]());

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const states = (like: string) =>
  test.db.query<{ name: string; valid: boolean }>(
    'select c.relname as name, i.indisvalid and i.indisready as valid from pg_index i join pg_class c on c.oid = i.indexrelid where c.relname like $1 order by 1',
    [like],
  );

/** A transaction of another session, which ends when it is told to. */
async function openTransaction(text: string): Promise<{ pid: number; end(): Promise<unknown> }> {
  let end = (): void => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  let began = (_pid: number): void => {};
  const pid = new Promise<number>((resolve) => {
    began = resolve;
  });
  const over = test.db.transaction(async (transaction) => {
    await transaction.query(text);
    const [row] = await transaction.query<{ pid: number }>('select pg_backend_pid() as pid');
    began(row!.pid);
    await ended;
  });
  return {
    pid: await pid,
    end: () => {
      end();
      return over;
    },
  };
}

/** What ten processes need to start together on a busy machine. */
const STARTING_MS = 40_000;

describe('ten processes at once', () => {
  it('of which some are killed: the others settle the indexes, one at a time, without a deadlock', async () => {
    const runners = Array.from({ length: 10 }, () =>
      spawnNode(applyMain, [test.server.connectionString, HASH]),
    );
    // Those that a failure here would leave behind hold the lock that the tests after this need.
    onTestFinished(async () => {
      await Promise.all(runners.map((runner) => runner.kill()));
    });
    await Promise.all(runners.map((runner) => runner.receive({ timeoutMs: STARTING_MS })));
    const killed = runners.slice(0, 3);
    for (const runner of killed) {
      await pause(60);
      await runner.kill('SIGKILL');
    }
    const ended = await Promise.all(runners.map(({ exited }) => exited));
    for (const [i, { code }] of ended.slice(3).entries()) expect(code, runners[i + 3]!.stderr).toBe(0);
    const found = await states('idx_%');
    expect(found).toHaveLength(7);
    expect(found.every(({ valid }) => valid)).toBe(true);
    expect((await test.db.indexes.plan(governanceIndexes(HASH))).isSettled).toBe(true);
    expect(
      await test.db.query(
        'select deadlocks::int as n from pg_stat_database where datname = current_database()',
      ),
    ).toEqual([{ n: 0 }]);
  });
});

describe('a build that has to wait for an old transaction', () => {
  it('tells of it before and meanwhile, by name, and goes on when it is over', async () => {
    const definition: IndexDefinition = {
      name: 'items_by_word',
      table: 'items',
      keys: [{ expression: 'lower(name)' }],
    };
    const old = await openTransaction('update items set name = name where id = 1');
    await pause(5_200);
    const { oldTransactions } = await test.db.indexes.plan([definition]);
    expect(oldTransactions).toEqual([
      { pid: old.pid, state: 'idle in transaction', ageMs: expect.any(Number) },
    ]);
    expect(oldTransactions[0]!.ageMs).toBeGreaterThan(5_000);
    const heard: IndexProgress[] = [];
    const applied = test.db.indexes.apply([definition], { onProgress: (progress) => heard.push(progress) });
    await expect
      .poll(() => heard.find(({ waitingFor }) => waitingFor.includes(old.pid)), { timeout: 5_000 })
      .toMatchObject({ name: 'items_by_word', phase: expect.stringMatching(/waiting for/) });
    // Nobody is kept from reading or writing meanwhile.
    await test.db.query("insert into items values (-1, 'x')", [], { timeoutMs: 1_000 });
    await test.db.query('delete from items where id = -1', [], { timeoutMs: 1_000 });
    await old.end();
    expect((await applied).done).toMatchObject([{ name: 'items_by_word', action: 'create' }]);
    expect(heard.at(-1)).toMatchObject({ phase: 'ended', ratio: 1 });
    for (const { ratio } of heard) {
      if (ratio === undefined) continue;
      expect(ratio).toBeGreaterThanOrEqual(0);
      expect(ratio).toBeLessThanOrEqual(1);
    }
    // The planner knows the expression's values.
    expect(
      await test.db.query("select count(*)::int as n from pg_stats where tablename = 'items_by_word'"),
    ).toEqual([{ n: 1 }]);
  });
});

describe('a short statement whose lock is taken', () => {
  const definition: IndexDefinition = { name: 'items_by_name', table: 'items', keys: ['name'] };

  it('steps back and is tried again, so that nobody queues behind it', async () => {
    await test.db.query('create index items_by_name on items (name)');
    const holder = await openTransaction("comment on index items_by_name is 'mine'");
    const applied = test.db.indexes.apply([definition], { ddlLockTimeoutMs: 100, retries: 20 });
    await pause(600);
    await holder.end();
    expect((await applied).done).toMatchObject([{ name: 'items_by_name', action: 'mark' }]);
  });

  it('fails with the reason when its tries are used up, and the next run goes on from there', async () => {
    const other: IndexDefinition = { ...definition, keys: ['name', 'id'] };
    await test.db.query('create index items_by_name_hpnew on items (name, id)');
    const holder = await openTransaction("comment on index items_by_name is 'mine'");
    const error = await test.db.indexes
      .apply([other], { ddlLockTimeoutMs: 50, retries: 1 })
      .catch((reason) => reason);
    expect(error).toMatchObject({ code: 'HOTPATH_PG_INDEX_FAILED', cause: { code: '55P03' } });
    // The old one serves on, and the new one waits to be put in its place.
    expect((await states('items_by_name%')).map(({ name }) => name)).toEqual([
      'items_by_name',
      'items_by_name_hpnew',
    ]);
    await holder.end();
    expect((await test.db.indexes.apply([other])).done).toMatchObject([{ action: 'finish' }]);
    expect(await states('items_by_name%')).toEqual([{ name: 'items_by_name', valid: true }]);
  });
});

describe('report', () => {
  it('finds what is bloated and what is INVALID', async () => {
    await test.db.query(`create table swollen (id int, word text); create index swollen_id on swollen (id);
      insert into swollen select g, md5(g::text) from generate_series(1, 150000) g; delete from swollen where id > 100`);
    await test.db.query('vacuum analyze swollen');
    await test.db.query('insert into swollen values (1)');
    await expect(
      test.db.query('create unique index concurrently swollen_once on swollen (id)'),
    ).rejects.toThrow();
    const report = await test.db.indexes.report();
    expect(report.bloated).toMatchObject([
      { name: 'swollen_id', table: 'swollen', detail: expect.stringMatching(/about \d+ % of it is empty/) },
    ]);
    expect(report.bloated[0]!.bytes).toBeGreaterThan(1_000_000);
    expect(report.invalid).toMatchObject([
      { name: 'swollen_once', detail: 'INVALID; still refuses duplicates' },
    ]);
    await test.db.query('drop table swollen');
  });
});

describe('hotpath-indexes', () => {
  it('as a process ends by itself, with its exit code, and says why on stderr', async () => {
    const run = async (...args: string[]) => {
      const process = spawnNode(bin, args, { env: { DATABASE_URL: test.server.connectionString } });
      const { code } = await process.exited;
      return { code, stdout: process.stdout, stderr: process.stderr };
    };
    expect(await run('plan', '--governance', '1b33abb9a724f5dd')).toMatchObject({
      code: 3,
      stdout: expect.stringContaining('replace'),
    });
    expect(await run('apply', '--governance', HASH)).toMatchObject({ code: 0, stdout: 'nothing to do\n' });
    expect(await run('apply')).toMatchObject({ code: 2, stderr: expect.stringContaining('--definitions') });
    expect(await run('plan', '--definitions', '/nowhere.js')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('/nowhere.js'),
    });
  });

  it('draws a bar over and over on a terminal, and takes it away at the end', async () => {
    await test.db.query('drop index idx_policies_full_text');
    let drawn = '';
    const output = {
      stdout: { write: () => {} },
      stderr: {
        isTTY: true,
        write: (text: string) => {
          drawn += text;
        },
      },
    };
    const env = { DATABASE_URL: test.server.connectionString };
    expect(await runCli(['apply', '--governance', HASH], env, output)).toBe(0);
    expect(drawn).toContain('\r\x1b[2K[..............................] idx_policies_full_text: starting');
    expect(drawn).toContain('[##############################] idx_policies_full_text: ended 100 %');
    expect(drawn.endsWith('\r\x1b[2K')).toBe(true);
    expect(drawn).not.toContain('\n');
  });
});

describe('a frozen server', () => {
  it('keeps no run longer than its signal, at whichever statement', async () => {
    for (const call of ['plan', 'apply', 'report'] as const) {
      const db = test.connect({ pool: { connectTimeoutMs: 60_000 } });
      test.server.freeze();
      const startedAt = performance.now();
      const asked = codeOf(db.indexes[call](governanceIndexes(HASH), { signal: AbortSignal.timeout(200) }));
      expect(await asked.then(() => 'ended')).toBe('ended');
      expect(performance.now() - startedAt).toBeLessThan(1_200);
      test.server.thaw();
      await db.close();
    }
    expect((await test.db.indexes.plan(governanceIndexes(HASH))).isSettled).toBe(true);
  });
});

import { channel } from 'node:diagnostics_channel';
import { fileURLToPath } from 'node:url';
import { spawnNode } from '@hotpath/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { governanceIndexes, type IndexDefinition, type IndexProgress } from '../../src/index.ts';
import { codeOf, startDatabase, type TestDatabase } from './database.ts';
import { GOVERNANCE_QUERIES, GOVERNANCE_SCHEMA } from './governance-schema.ts';

const HASH = 'cdd01ef066bc6cf2';
const declared = governanceIndexes(HASH);
let test: TestDatabase;

beforeAll(async () => {
  test = await startDatabase();
  await test.db.query(GOVERNANCE_SCHEMA(100_000), [], { timeoutMs: 60_000 });
}, 120_000);
afterAll(() => test[Symbol.asyncDispose]());

const states = async (like = 'idx_%') =>
  test.db.query<{ name: string; valid: boolean }>(
    'select c.relname as name, i.indisvalid and i.indisready as valid from pg_index i join pg_class c on c.oid = i.indexrelid where c.relname like $1 order by 1',
    [like],
  );

describe('the seven indexes of a governed service', () => {
  afterEach(async () => {
    expect(
      await test.db.query("select count(*)::int as n from pg_locks where locktype = 'advisory'"),
    ).toEqual([{ n: 0 }]);
  });

  it('are created, valid and used by the planner, and a second apply changes nothing', async () => {
    const plan = await test.db.indexes.plan(declared);
    expect(plan.items.map(({ action }) => action)).toEqual(Array(7).fill('create'));
    expect(await states()).toEqual([]);
    const seen = new Set<string>();
    channel('hotpath:postgres:index-progress').subscribe((event) => seen.add((event as IndexProgress).phase));
    const first = await test.db.indexes.apply(declared);
    expect(first.done).toHaveLength(7);
    expect([...seen]).toEqual(expect.arrayContaining(['starting', 'ended']));
    expect((await states()).every(({ valid }) => valid)).toBe(true);
    await test.db.query('analyze');
    for (const [name, text] of Object.entries(GOVERNANCE_QUERIES(HASH))) {
      expect((await test.db.explain(text)).indexes, name).toContain(name);
    }
    expect(await test.db.indexes.apply(declared)).toEqual({ done: [], blocked: [], orphans: [] });
    expect((await test.db.indexes.plan(declared)).isSettled).toBe(true);
  });

  it('follow the hash: one that no longer fits its definition is replaced, without a moment without it', async () => {
    const rotated = governanceIndexes('1b33abb9a724f5dd');
    const { done } = await test.db.indexes.apply(rotated);
    expect(done.map(({ name, action }) => [name, action])).toEqual([
      ['idx_constitutional_entities_hash', 'replace'],
    ]);
    expect((await test.db.indexes.apply(rotated)).done).toEqual([]);
    await test.db.indexes.apply(declared);
    expect(await states('%_hp%')).toEqual([]);
  });

  it('that are no longer declared are reported and left alone', async () => {
    const { orphans } = await test.db.indexes.apply(
      declared.filter(({ name }) => name !== 'idx_policies_active'),
    );
    expect(orphans).toEqual(['idx_policies_active']);
    expect(await states('idx_policies_active')).toHaveLength(1);
  });

  it('are settled by ten runners at once: one builds, none deadlocks, and no query of a running load fails', async () => {
    await test.db.query((await states()).map(({ name }) => `drop index ${name}`).join('; '));
    let isOver = false;
    let slowestMs = 0;
    let writes = 0;
    const load = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        const startedAt = performance.now();
        await test.db.query(
          "insert into audit_logs (entity_type, entity_id, action, details) values ('load', $1, 'x', '{}')",
          [String(writes++)],
          { timeoutMs: 5_000 },
        );
        await test.db.query(
          'update policies set version = version + 1 where id = $1',
          [1 + (writes % 1_000)],
          { timeoutMs: 5_000 },
        );
        await test.db.query('select * from policies where id = $1', [writes % 1_000], { timeoutMs: 5_000 });
        slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      }
    });
    const runners = Array.from({ length: 10 }, () =>
      test.connect({ pool: { max: 2 } }).indexes.apply(declared),
    );
    const results = await Promise.all(runners).finally(() => {
      isOver = true;
    });
    await Promise.all(load);
    expect(results.map(({ done }) => done.length).sort((a, b) => b - a)).toEqual([7, ...Array(9).fill(0)]);
    expect((await states()).filter(({ valid }) => valid)).toHaveLength(7);
    expect(writes).toBeGreaterThan(50);
    expect(slowestMs).toBeLessThan(5_000);
  });
});

describe('what a failed or interrupted build leaves', () => {
  const unique: IndexDefinition = { name: 'twice_once', table: 'twice', keys: ['a'], unique: true };

  it('is removed when a unique build finds duplicates, so that rows are not refused by it', async () => {
    await test.db.query('create table twice (a int, b text); insert into twice values (1), (1), (2)');
    const error = await test.db.indexes.apply([unique]).catch((e) => e);
    expect(error).toMatchObject({ code: 'HOTPATH_PG_INDEX_FAILED', cause: { code: '23505' } });
    expect(await states('twice%')).toEqual([]);
    await test.db.query('insert into twice values (2)');
  });

  it('is recognised as INVALID although IF NOT EXISTS would be content with it, and rebuilt', async () => {
    await test.db.query('create table ready (a int); insert into ready values (1), (2)');
    const definition: IndexDefinition = { name: 'ready_once', table: 'ready', keys: ['a'], unique: true };
    // Stopped while it waits for an old snapshot: INVALID by then, and kept up by writes.
    await test.db.transaction(
      async (old) => {
        await old.query('select count(*) from ready');
        const build = test.db
          .query('create unique index concurrently ready_once on ready (a)')
          .catch((error) => error);
        const waiting = "select pid from pg_stat_progress_create_index where phase like '%old snapshots%'";
        while ((await test.db.query(`select pg_cancel_backend(pid) from (${waiting}) w`)).length === 0);
        expect(await build).toMatchObject({ code: '57014' });
      },
      { isolation: 'repeatable read' },
    );
    expect(await states('ready%')).toEqual([{ name: 'ready_once', valid: false }]);
    await expect(test.db.query('insert into ready values (2)')).rejects.toMatchObject({ code: '23505' });
    await test.db.query('create unique index concurrently if not exists ready_once on ready (a)');
    expect((await test.db.indexes.report()).invalid).toMatchObject([{ name: 'ready_once' }]);
    expect((await test.db.indexes.plan([definition])).items).toMatchObject([{ action: 'rebuild' }]);
    expect((await test.db.indexes.apply([definition])).done).toMatchObject([{ action: 'rebuild' }]);
    expect(await states('ready%')).toEqual([{ name: 'ready_once', valid: true }]);
  });

  it('is removed with its endings: _ccnew, _hpold, _hpnew', async () => {
    const plain: IndexDefinition = { name: 'twice_b', table: 'twice', keys: ['b'] };
    await test.db.query(
      `create index twice_b on twice (b); create index twice_b_ccnew on twice (b); create index twice_b_hpold on twice (a); create index twice_b_hpnew on twice (a)`,
    );
    const { done } = await test.db.indexes.apply([plain]);
    expect(done.map(({ action }) => action)).toEqual([
      'drop-leftover',
      'drop-leftover',
      'drop-leftover',
      'mark',
    ]);
    expect(await states('twice_b%')).toEqual([{ name: 'twice_b', valid: true }]);
  });

  it('is finished when a replacement was built but not put in place', async () => {
    const other: IndexDefinition = {
      name: 'twice_b',
      table: 'twice',
      keys: [{ column: 'b', order: 'desc' }],
    };
    await test.db.query('create index twice_b_hpnew on twice (b desc)');
    expect((await test.db.indexes.apply([other])).done).toMatchObject([{ action: 'finish' }]);
    await test.db.query('drop index twice_b; create index twice_b_hpnew on twice (b desc)');
    expect((await test.db.indexes.apply([other])).done).toMatchObject([{ action: 'finish' }]);
    expect(await states('twice_b%')).toEqual([{ name: 'twice_b', valid: true }]);
  });
});

describe('definitions', () => {
  it('of every kind are made and recognised again', async () => {
    await test.db.query(
      'create table kinds ("order" int, name text, doc jsonb, at timestamptz, span int4range, tags text[])',
    );
    const kinds: IndexDefinition[] = [
      {
        name: 'kinds_btree',
        table: 'kinds',
        keys: ['order', { column: 'at', order: 'desc', nulls: 'last' }],
        include: ['name'],
        with: { fillfactor: 90 },
      },
      { name: 'kinds_ops', table: 'kinds', keys: [{ column: 'name', operatorClass: 'text_pattern_ops' }] },
      {
        name: 'kinds_expr',
        table: 'kinds',
        keys: [{ expression: 'lower(name)' }],
        where: "name is not null and name <> ''",
      },
      { name: 'kinds_path', table: 'kinds', keys: [{ jsonPath: ['doc', "it's", 'deep'] }] },
      {
        name: 'kinds_gin',
        table: 'kinds',
        keys: [{ column: 'doc', operatorClass: 'jsonb_path_ops' }],
        method: 'gin',
      },
      { name: 'kinds_tags', table: 'public.kinds', keys: ['tags'], method: 'gin' },
      { name: 'kinds_gist', table: 'kinds', keys: ['span'], method: 'gist' },
      { name: 'kinds_brin', table: 'kinds', keys: ['at'], method: 'brin' },
      { name: 'kinds_hash', table: 'kinds', keys: ['name'], method: 'hash' },
      { name: 'kinds_words', table: 'kinds', fullText: { columns: ['name'], language: 'german' } },
      {
        name: 'kinds_unique',
        table: 'kinds',
        keys: ['order', { column: 'name', collation: 'C' }],
        unique: true,
      },
    ];
    expect((await test.db.indexes.apply(kinds)).done).toHaveLength(kinds.length);
    expect((await test.db.indexes.plan(kinds)).items.filter(({ action }) => action !== 'none')).toEqual([]);
    await test.db.query("insert into kinds (name) values ('x')");
    // Expressions have statistics of their own, once there is something to measure.
    const { done } = await test.db.indexes.apply(kinds);
    expect(new Set(done.map(({ action }) => action))).toEqual(new Set(['analyze']));
    expect((await test.db.indexes.apply(kinds)).done).toEqual([]);
  });

  it('that the server does not accept are refused before anything is built', async () => {
    const ginOverText: IndexDefinition = {
      name: 'kinds_bad',
      table: 'kinds',
      keys: [{ jsonPath: ['doc', 'x'] }],
      method: 'gin',
    };
    expect(await codeOf(test.db.indexes.plan([ginOverText]))).toBe('42704');
    expect(await codeOf(test.db.indexes.apply([ginOverText]))).toBe('42704');
    expect((await test.db.indexes.plan([{ name: 'x', table: 'nowhere', keys: ['a'] }])).items).toMatchObject([
      { action: 'blocked' },
    ]);
    await expect(test.db.indexes.plan([{ name: 'x', table: 'kinds' }])).rejects.toThrow(TypeError);
    await expect(
      test.db.indexes.plan([{ name: 'x'.repeat(60), table: 'kinds', keys: ['name'] }]),
    ).rejects.toThrow(RangeError);
  });

  it('of partitioned tables are built partition by partition, and completed for a new one', async () => {
    await test.db.query(`create table parted (id int, at date) partition by range (id);
      create table parted_1 partition of parted for values from (0) to (10);
      create table parted_2 partition of parted for values from (10) to (20);
      insert into parted select g, now() from generate_series(0, 19) g`);
    const byDate: IndexDefinition = { name: 'parted_at', table: 'parted', keys: ['at'] };
    expect((await test.db.indexes.apply([byDate])).done).toMatchObject([{ action: 'create' }]);
    expect(await states('parted_at%')).toHaveLength(3);
    expect((await states('parted_at%')).every(({ valid }) => valid)).toBe(true);
    expect((await test.db.indexes.apply([byDate])).done).toEqual([]);
    await test.db.query('create table parted_3 partition of parted for values from (20) to (30)');
    expect((await test.db.indexes.apply([byDate])).done).toEqual([]);
  });

  it('of tables partitioned in several levels are built to the last leaf, and completed after a part was lost', async () => {
    await test.db.query(`create table deep (id int, at date, kind text) partition by range (id);
      create table deep_low partition of deep for values from (0) to (10) partition by list (kind);
      create table deep_low_a partition of deep_low for values in ('a') partition by range (at);
      create table deep_low_a_26 partition of deep_low_a for values from ('2026-01-01') to ('2027-01-01');
      create table deep_low_b partition of deep_low for values in ('b');
      create table deep_high partition of deep for values from (10) to (20);
      insert into deep select g, '2026-05-05', case when g % 2 = 0 then 'a' else 'b' end from generate_series(0, 19) g`);
    const unique: IndexDefinition = {
      name: 'deep_once',
      table: 'deep',
      keys: ['id', 'kind', 'at'],
      unique: true,
    };
    const plain: IndexDefinition = { name: 'deep_kind', table: 'deep', keys: ['kind'], where: 'id > 3' };
    for (const definition of [unique, plain]) {
      expect((await test.db.indexes.apply([definition])).done).toMatchObject([{ action: 'create' }]);
      const found = await states(`${definition.name}%`);
      expect(found).toHaveLength(6);
      expect(found.every(({ valid }) => valid)).toBe(true);
      expect((await test.db.indexes.plan([definition])).isSettled).toBe(true);
    }
    await expect(test.db.query("insert into deep values (0, '2026-05-05', 'a')")).rejects.toMatchObject({
      code: '23505',
    });
    // As a run leaves it that was stopped in the middle: the top is there, a part is there, nothing is attached.
    await test.db.query(`drop index deep_kind; create index deep_kind on only deep (kind) where id > 3;
      create index on only deep_low (kind) where id > 3`);
    expect((await test.db.indexes.plan([plain])).items).toMatchObject([{ action: 'rebuild' }]);
    await test.db.indexes.apply([plain]);
    expect((await test.db.indexes.plan([plain])).isSettled).toBe(true);
    expect((await states('deep_kind%')).every(({ valid }) => valid)).toBe(true);
  });

  it.each([
    ['no key', { keys: [{}] }],
    ['two kinds of key at once', { keys: [{ column: 'name', expression: 'lower(name)' }] }],
    ['an order that is none', { keys: [{ column: 'name', order: 'desc; drop table kinds' }] }],
    ['nulls that are nowhere', { keys: [{ column: 'name', nulls: 'middle' }] }],
    ['a method that is none', { keys: ['name'], method: 'btree (name); drop table kinds; --' }],
    ['keys that are no list', { keys: 'name' }],
    ['a JSON path without a name', { keys: [{ jsonPath: ['doc'] }] }],
    ['full text of no column', { fullText: { columns: [], language: 'english' } }],
    ['an INCLUDE that is no list', { keys: ['name'], include: 'name' }],
    ['a predicate that is no text', { keys: ['name'], where: 5 }],
  ])('with %s are refused by name, before a session is opened', async (_what, wrong) => {
    const closed = test.connect();
    await closed.close();
    const definition = { name: 'kinds_wrong', table: 'kinds', ...wrong } as unknown as IndexDefinition;
    for (const call of [closed.indexes.plan([definition]), closed.indexes.apply([definition])])
      await expect(call).rejects.toThrow(/^index kinds_wrong: /);
  });

  it('whose SQL would do something else are refused by the server, and do nothing', async () => {
    await test.db.query("insert into kinds (name) values ('kept')");
    const before = await test.db.query('select count(*)::int as n from kinds');
    for (const definition of [
      { name: 'kinds_evil', table: 'kinds', keys: [{ expression: 'lower(name)) ; delete from kinds; --' }] },
      { name: 'kinds_evil', table: 'kinds', keys: ['name'], where: 'true; delete from kinds' },
      { name: 'kinds_evil', table: 'kinds', keys: ['name'], where: 'true; commit; delete from kinds' },
    ])
      await expect(test.db.indexes.apply([definition])).rejects.toMatchObject({ code: '42601' });
    expect(await test.db.query('select count(*)::int as n from kinds')).toEqual(before);
    expect(await states('kinds_evil%')).toEqual([]);
  });
});

describe('report', () => {
  it('finds duplicate, unused and missing indexes', async () => {
    await test.db.query(`create table parents (id int primary key); create table children (id int primary key, parent int references parents, name text);
      create index children_name on children (name); create index children_name_again on children (name); create index children_name_id on children (name, id)`);
    const report = await test.db.indexes.report([
      { name: 'children_gone', table: 'children', keys: ['parent', 'name'] },
    ]);
    expect(report.duplicate.map(({ name }) => name).filter((name) => name.startsWith('children'))).toEqual(
      expect.arrayContaining(['children_name', 'children_name_again']),
    );
    expect(report.unused.map(({ name }) => name)).toContain('children_name_id');
    expect(report.missing.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['children_gone', 'children_parent_fkey']),
    );
  });
});

describe('a runner', () => {
  it('waits for another one no longer than it was told, and leaves when its signal says so', async () => {
    await test.db.transaction(async (transaction) => {
      await transaction.query('select pg_advisory_xact_lock(1752134768, 1768842360)');
      expect(await codeOf(test.db.indexes.apply(declared, { lockTimeoutMs: 200 }))).toBe(
        'HOTPATH_PG_INDEX_LOCK_TIMEOUT',
      );
      const reason = new Error('enough');
      await expect(test.db.indexes.apply(declared, { signal: AbortSignal.timeout(100) })).rejects.toThrow();
      await expect(test.db.indexes.apply(declared, { signal: AbortSignal.abort(reason) })).rejects.toBe(
        reason,
      );
    });
  });

  it('gives a build up that takes longer than it may, and leaves nothing of it', async () => {
    const slow: IndexDefinition = { name: 'twice_slow', table: 'twice', keys: ['a', 'b'] };
    const blocker = test.db.transaction(async (transaction) => {
      await transaction.query('insert into twice values (99)');
      const stuck = test.db.indexes.apply([slow], { buildTimeoutMs: 300 });
      expect(
        await Promise.race([codeOf(stuck), new Promise((resolve) => setTimeout(resolve, 1_500, 'waits'))]),
      ).toBe('waits');
      return { stuck };
    });
    // The leftover itself can only be dropped when the transaction that it waited for is over.
    const { stuck } = await blocker;
    expect(await codeOf(stuck)).toBe('HOTPATH_PG_QUERY_TIMEOUT');
    expect(await states('twice_slow%')).toEqual([]);
  });

  it('killed at random moments, fifty times, never keeps the next one from the declared state', {
    timeout: 240_000,
  }, async () => {
    await test.db.query((await states()).map(({ name }) => `drop index if exists ${name}`).join('; '));
    const file = fileURLToPath(new URL('apply-main.ts', import.meta.url));
    let finished = 0;
    for (let round = 0; round < 50; round++) {
      const runner = spawnNode(file, [test.server.connectionString, HASH]);
      await Promise.race([runner.receive().catch(() => undefined), runner.exited]);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 300));
      await runner.kill('SIGKILL');
      if ((await runner.exited).code === 0) finished++;
      if (round % 10 === 9 || finished > 0) {
        await test.db.indexes.apply(declared);
        expect((await states()).filter(({ valid }) => valid)).toHaveLength(7);
        expect((await test.db.indexes.plan(declared)).isSettled).toBe(true);
        await test.db.query((await states()).map(({ name }) => `drop index ${name}`).join('; '));
        finished = 0;
      }
    }
    await test.db.indexes.apply(declared);
    expect((await states('%')).filter(({ valid, name }) => !valid && name.startsWith('idx_'))).toEqual([]);
    expect((await test.db.indexes.plan(declared)).isSettled).toBe(true);
  });
});

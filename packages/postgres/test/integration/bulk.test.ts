import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codeOf, startDatabase, type TestDatabase } from './database.ts';

let test: TestDatabase;

beforeAll(async () => {
  test = await startDatabase();
  await test.db.query(`create table items (id int primary key, "order" int, name text, tags text[], doc jsonb, raw json, at timestamptz, bytes bytea, amount numeric(10, 2) default 7);
    create type mood as enum ('good', 'bad');
    create table moods (who uuid, day date, mood mood, matrix int[][], primary key (who, day));
    create table pairs (a int, b int, primary key (a, b))`);
});
afterAll(() => test[Symbol.asyncDispose]());

describe('upsertMany', () => {
  const row = (id: number, more: object = {}) => ({
    id,
    order: id,
    name: `n${id}`,
    tags: ['a,b', '"c"', 'null', ''],
    doc: { id },
    raw: [1, { a: null }],
    at: new Date(1.7e12),
    bytes: Buffer.from([0, 255, 92]),
    ...more,
  });

  it('inserts, updates and leaves alone, counts each, and keeps every value as it is', async () => {
    const rows = [
      row(3),
      row(1),
      row(2, { name: 'tab\tnew\nline\\ "quoted" {braces} ✓ NULL', tags: null, doc: [1, 2] }),
    ];
    expect(await test.db.upsertMany('items', rows)).toEqual({ inserted: 3, updated: 0, unchanged: 0 });
    expect(await test.db.upsertMany('items', rows)).toEqual({ inserted: 0, updated: 0, unchanged: 3 });
    const changed = [row(1, { name: 'NULL' }), row(4, { name: '' }), rows[2]!];
    expect(await test.db.upsertMany('items', changed)).toEqual({ inserted: 1, updated: 1, unchanged: 1 });
    const found = await test.db.query('select * from items order by id');
    expect(found).toEqual(
      [row(1, { name: 'NULL' }), rows[2], row(3), row(4, { name: '' })].map((expected) => ({
        ...expected,
        amount: '7.00',
      })),
    );
  });

  it('decides between rows with one key by rule', async () => {
    const rows = [
      { id: 10, name: 'first' },
      { id: 11, name: 'x' },
      { id: 10, name: 'last' },
    ];
    const name = async () => (await test.db.query('select name from items where id = 10'))[0]!.name;
    expect(await test.db.upsertMany('items', rows)).toEqual({ inserted: 2, updated: 0, unchanged: 1 });
    expect(await name()).toBe('last');
    await test.db.upsertMany('items', rows, { onDuplicate: 'first' });
    expect(await name()).toBe('first');
    expect(await codeOf(test.db.upsertMany('items', rows, { onDuplicate: 'error' }))).toBe(
      'HOTPATH_PG_DUPLICATE_KEY',
    );
    expect(
      await codeOf(
        test.db.upsertMany(
          'items',
          [...rows]
            .reverse()
            .concat({ id: 10, name: 'ordered' } as never)
            .sort((a, b) => a.id - b.id),
          { onDuplicate: 'error' },
        ),
      ),
    ).toBe('HOTPATH_PG_DUPLICATE_KEY');
  });

  it('lets one row a key count as a whole, of whatever columns it names and however its key is written', async () => {
    await test.db.query(`create table mixed (k numeric, day date, a int default -1, b int default -1, primary key (k, day));
      create table plain (k int primary key, a int default -1, b int default -1)`);
    const numbers = fc.constantFrom(1, '1', '1.0', '01', '1e0', 2, '2.00');
    const days = fc.constantFrom('2026-01-01', '2026-1-1', 'January 1, 2026', '2026-02-01');
    const columns = { a: fc.integer({ min: 0, max: 9 }), b: fc.integer({ min: 0, max: 9 }) };
    const given = fc.oneof(fc.constant({}), fc.record(columns, { requiredKeys: [] }));
    const key = fc.record({ k: numbers, day: days });
    const mixed = fc.array(
      fc.tuple(key, given).map(([k, rest]) => ({ ...k, ...rest })),
      { minLength: 1, maxLength: 8 },
    );
    const plain = fc.array(
      fc.tuple(fc.constantFrom(1, 2, '1', '02'), given).map(([k, rest]) => ({ k, ...rest })),
      { minLength: 1, maxLength: 8 },
    );
    type Row = { k: string | number; day?: string; a?: number; b?: number };
    const idOf = ({ k, day }: Row) =>
      `${Number(k)} ${day === undefined ? '' : new Date(`${day} UTC`).toISOString().slice(0, 10)}`.trim();
    const check = async (table: string, rows: Row[], onDuplicate: 'last' | 'first' | 'error') => {
      await test.db.query(`truncate ${table}`);
      const expected = new Map<string, Row>();
      for (const row of rows) {
        if (onDuplicate === 'last' || !expected.has(idOf(row))) expected.set(idOf(row), row);
      }
      const written = test.db.upsertMany(table, rows, { onDuplicate });
      if (onDuplicate === 'error' && expected.size < rows.length) {
        expect(await codeOf(written)).toBe('HOTPATH_PG_DUPLICATE_KEY');
        expected.clear();
      } else {
        expect(await written).toEqual({
          inserted: expected.size,
          updated: 0,
          unchanged: rows.length - expected.size,
        });
      }
      const day = table === 'mixed' ? " || ' ' || day" : '';
      const found = await test.db.query<Row & { id: string }>(
        `select trim_scale(k::numeric)::text${day} as id, a, b from ${table}`,
      );
      expect(new Map(found.map(({ id, a, b }) => [id, { a, b }]))).toEqual(
        new Map([...expected].map(([id, { a = -1, b = -1 }]) => [id, { a, b }])),
      );
    };
    const rules = fc.constantFrom('last' as const, 'first' as const, 'error' as const);
    await fc.assert(
      fc.asyncProperty(mixed, plain, rules, async (dated, numbered, rule) => {
        await check('mixed', dated as Row[], rule);
        await check('plain', numbered as Row[], rule);
      }),
      { numRuns: 150 },
    );
  });

  it('sees that keys are the same although they are written differently', async () => {
    const who = 'ABCDEF00-0000-4000-8000-000000000001';
    const rows = [
      { who, day: '2026-01-02', mood: 'good' },
      { who: who.toLowerCase(), day: '2026-1-2', mood: 'bad' },
    ];
    expect(await test.db.upsertMany('moods', rows)).toEqual({ inserted: 1, updated: 0, unchanged: 1 });
    expect(await test.db.query('select mood from moods')).toEqual([{ mood: 'bad' }]);
    await test.db.upsertMany('moods', rows, { onDuplicate: 'first' });
    expect(await test.db.query('select mood from moods')).toEqual([{ mood: 'good' }]);
  });

  it('keeps arrays of arrays whole', async () => {
    const matrix = [
      [1, 2],
      [3, 4],
    ];
    await test.db.upsertMany('moods', [
      { who: '00000000-0000-4000-8000-000000000002', day: '2026-01-01', mood: 'good', matrix },
    ]);
    expect(await test.db.query('select matrix from moods where matrix is not null')).toEqual([{ matrix }]);
  });

  it('does nothing to rows that are there when all columns are the key', async () => {
    expect(
      await test.db.upsertMany('pairs', [
        { a: 1, b: 2 },
        { a: 1, b: 1 },
      ]),
    ).toEqual({ inserted: 2, updated: 0, unchanged: 0 });
    expect(
      await test.db.upsertMany('pairs', [
        { a: 1, b: 2 },
        { a: 2, b: 1 },
      ]),
    ).toEqual({ inserted: 1, updated: 0, unchanged: 1 });
  });

  it('takes rows that name different columns, all or none, and keeps defaults', async () => {
    const rows = [
      { id: 20, name: 'a' },
      { id: 21, order: 5 },
      { id: 22, name: 'c', amount: 1 },
      { id: 23, name: undefined, order: 1 },
    ];
    expect(await test.db.upsertMany('items', rows)).toMatchObject({ inserted: 4 });
    expect(
      await test.db.query('select id, name, "order", amount from items where id >= 20 order by id'),
    ).toEqual([
      { id: 20, name: 'a', order: null, amount: '7.00' },
      { id: 21, name: null, order: 5, amount: '7.00' },
      { id: 22, name: 'c', order: null, amount: '1.00' },
      { id: 23, name: null, order: 1, amount: '7.00' },
    ]);
    const failing = test.db.upsertMany('items', [
      { id: 30, name: 'x' },
      { id: 31, order: 'no number' as never },
    ]);
    expect(await codeOf(failing)).toBe('22P02');
    expect(await test.db.query('select id from items where id >= 30')).toEqual([]);
  });

  it('goes through fifty thousand rows of five columns, twice', async () => {
    await test.db.query('create table many (id int primary key, a text, b int, c boolean, d timestamptz)');
    const rows = Array.from({ length: 50_000 }, (_, i) => ({
      id: 50_000 - i,
      a: `a${i}`,
      b: i,
      c: i % 2 === 0,
      d: new Date(1.7e12 + i),
    }));
    expect(await test.db.upsertMany('many', rows)).toEqual({ inserted: 50_000, updated: 0, unchanged: 0 });
    const changed = rows.map((entry) => ({ ...entry, b: entry.b + (entry.id <= 10_000 ? 1 : 0) }));
    expect(await test.db.upsertMany('many', changed)).toEqual({
      inserted: 0,
      updated: 10_000,
      unchanged: 40_000,
    });
  });

  it('locks rows in one order, so that writers of the same rows in opposite orders do not deadlock', async () => {
    const rows = Array.from({ length: 2_000 }, (_, id) => ({ id, b: 0 }));
    await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        test.db.upsertMany(
          'many',
          (i % 2 === 0 ? rows : [...rows].reverse()).map((entry) => ({ ...entry, b: i })),
        ),
      ),
    );
    expect(
      (
        await test.db.query(
          'select deadlocks::int as n from pg_stat_database where datname = current_database()',
        )
      )[0],
    ).toEqual({ n: 0 });
  });

  it('refuses what it can not know, and looks again after the table has changed', async () => {
    expect(await codeOf(test.db.upsertMany('items', [{ id: 1, nothing: 2 }]))).toBe(
      'HOTPATH_PG_UNKNOWN_NAME',
    );
    expect(await codeOf(test.db.upsertMany('items"; drop table items; --', [{ id: 1 }]))).toBe(
      'HOTPATH_PG_UNKNOWN_NAME',
    );
    expect(await codeOf(test.db.upsertMany('items', [{ name: 'no key' }]))).toBe('HOTPATH_PG_UNKNOWN_NAME');
    await test.db.query('alter table items add column nothing int');
    expect(await test.db.upsertMany('items', [{ id: 1, nothing: 2 }])).toMatchObject({ updated: 1 });
    expect(await test.db.upsertMany('items', [])).toEqual({ inserted: 0, updated: 0, unchanged: 0 });
  });
});

describe('insertMany', () => {
  it('copies many rows, and none when one of them is refused', async () => {
    await test.db.query('create table copied (id int primary key, text text, doc jsonb)');
    const rows = Array.from({ length: 3_000 }, (_, id) => ({
      id,
      text: id % 3 === 0 ? null : `t\t${id}\\N\n"`,
      doc: { id, s: 'a\\b\n' },
    }));
    expect(await test.db.insertMany('copied', rows)).toBe(3_000);
    expect(await test.db.query('select * from copied order by id')).toEqual(rows);
    expect(
      await codeOf(
        test.db.insertMany(
          'copied',
          rows.map((entry) => ({ ...entry, id: entry.id + 2_999 })),
        ),
      ),
    ).toBe('23505');
    expect(await test.db.query('select count(*)::int as n from copied')).toEqual([{ n: 3_000 }]);
    expect(
      await test.db.insertMany(
        'copied',
        rows.slice(0, 10).concat({ id: 9_999, text: 'x', doc: { id: 1, s: '' } }),
        { onConflict: 'ignore' },
      ),
    ).toBe(1);
    expect(await test.db.insertMany('copied', [{ id: 10_000 }, { id: 10_001, text: 'few' }])).toBe(2);
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Postgres } from '../../src/index.ts';
import { codeOf, startDatabase, type TestDatabase } from './database.ts';

let test: TestDatabase;

beforeAll(async () => {
  test = await startDatabase();
  await test.db.query(`create table users (id int primary key, name text, score float8, big bigint, flag boolean,
    at timestamptz, day date, doc jsonb, raw bytea, who uuid, amount numeric, tags text[], small smallint, short varchar(5));
    insert into users (id, name) select g, 'user ' || g from generate_series(1, 50) g`);
});
afterAll(() => test[Symbol.asyncDispose]());

const untouched = async (): Promise<void> => {
  expect(await test.db.query('select count(*)::int as n from users where id > 50 or name is null')).toEqual([
    { n: 0 },
  ]);
  expect(test.db.stats().pool).toMatchObject({ busy: 0, waiting: 0 });
};

describe('query', () => {
  it('takes as many values as the protocol can count, and refuses one more by name instead of sending nonsense', async () => {
    const text = (count: number) =>
      `select 1 as x where 1 in (${Array.from({ length: count }, (_, i) => `$${i + 1}::int`).join(',')})`;
    const most = 65_535;
    expect(await test.db.query(text(most), Array(most).fill(1))).toEqual([{ x: 1 }]);
    await expect(test.db.query(text(most), Array(most + 1).fill(1))).rejects.toThrow(
      new RangeError(
        'a query takes at most 65535 values, got 65536: send arrays, or use upsertMany and insertMany',
      ),
    );
    expect(await codeOf(test.db.query('select $1::int', [1, 2]))).toBe('08P01');
    await untouched();
  });

  it('refuses what is no text, no list of values or no length of time', async () => {
    await expect(test.db.query('select 1\0; drop table users')).rejects.toThrow('must not contain a NUL');
    await expect(test.db.query('select 1; select 2\0')).rejects.toThrow('must not contain a NUL');
    for (const text of [undefined, null, 5, {}, ['select 1']])
      await expect(test.db.query(text as never)).rejects.toThrow('the text must be a string');
    for (const values of [5, 'x', { a: 1 }])
      await expect(test.db.query('select $1', values as never)).rejects.toThrow(
        'the values must be an array',
      );
    for (const timeoutMs of [-1, Number.NaN, 'soon'])
      await expect(test.db.query('select 1', [], { timeoutMs: timeoutMs as never })).rejects.toThrow(
        "query: option 'timeoutMs' must be a number",
      );
    expect(await test.db.query('select $1::text as x', ['a\ud800b'])).toEqual([{ x: 'a\ufffdb' }]);
    expect(await codeOf(test.db.query('select $1::text as x', ['a\0b']))).toBe('22021');
    await untouched();
  });

  it('neither hangs nor breaks on COPY in either direction, wherever it stands', async () => {
    const db = test.connect({ pool: { max: 1 } });
    expect(await db.query('copy (select 1) to stdout')).toEqual([]);
    expect(await codeOf(db.query('copy users from stdin'))).toBe('57014');
    for (const atomic of [true, false]) {
      for (const queries of [
        [{ text: 'copy users from stdin' }],
        [{ text: 'select 1' }, { text: 'copy users from stdin' }, { text: 'select 2' }],
      ]) {
        await expect(db.batch(queries, { atomic, timeoutMs: 5_000 })).rejects.toThrow(
          'a batch has no data for COPY … FROM STDIN',
        );
      }
    }
    await expect(
      (async () => {
        for await (const _row of db.stream('copy users from stdin'));
      })(),
    ).rejects.toMatchObject({ code: '57014' });
    expect(await db.query('select 1 as x')).toEqual([{ x: 1 }]);
  });

  it('answers in the search path of the moment, though the text is prepared', async () => {
    const db = test.connect({ pool: { max: 1 } });
    await db.query(`create schema one; create table one.place (name text); insert into one.place values ('one');
      create schema two; create table two.place (name text, more int); insert into two.place values ('two', 2)`);
    const read = () => db.query('select * from place');
    for (let round = 0; round < 3; round++) {
      await db.query('set search_path = one');
      for (let i = 0; i < 3; i++) expect(await read()).toEqual([{ name: 'one' }]);
      await db.query('set search_path = two');
      for (let i = 0; i < 3; i++) expect(await read()).toEqual([{ name: 'two', more: 2 }]);
    }
  });

  it('is prepared again after DISCARD ALL and DEALLOCATE ALL, sent alone or among others', async () => {
    const db = test.connect({ pool: { max: 1 } });
    const read = () => db.query('select name from users where id = $1', [1]);
    for (const text of [
      'discard all',
      'deallocate all',
      'select 1; deallocate all',
      'discard all; select 1 as x',
    ].filter((each) => !each.startsWith('discard all;'))) {
      for (let i = 0; i < 3; i++) await read();
      await db.query(text);
      expect(await read()).toEqual([{ name: 'user 1' }]);
    }
  });
});

describe('names', () => {
  const nasty = ['a"b', "it's", 'ünï ✓', 'semi;colon', 'a\\b', ' ', 'select', 'x'.repeat(63), '$1', '--'];

  it('of columns are taken as they are, whatever is in them', async () => {
    const columns = nasty.map((name) => `"${name.replaceAll('"', '""')}" text`).join(', ');
    await test.db.query(`create table nasty (id int primary key, ${columns})`);
    const row = { id: 1, ...Object.fromEntries(nasty.map((name, i) => [name, `v${i}`])) };
    expect(await test.db.upsertMany('nasty', [row])).toMatchObject({ inserted: 1 });
    expect(await test.db.upsertMany('nasty', [{ ...row, select: 'w' }])).toMatchObject({ updated: 1 });
    expect(
      await test.db.insertMany(
        'nasty',
        Array.from({ length: 1_500 }, (_, i) => ({ ...row, id: i + 2 })),
      ),
    ).toBe(1_500);
    for (const name of nasty) {
      const page = await test.db.paginate('nasty', { orderBy: [name, 'id'], pageSize: 5, where: { id: 7 } });
      expect(page.rows).toMatchObject([{ id: 7 }]);
      expect(await test.db.loader('nasty', name, { columns: [name] }).load('absent')).toBeNull();
      await test.db.selectIn([{ id: 'v1' }], { table: 'nasty', as: 'all', foreignKey: name, limit: 1 });
    }
  });

  it('that are not there are refused before anything is sent, and can not get out of their quotes', async () => {
    const db = test.connect();
    const bad = [
      'nowhere',
      'users"; drop table users; --',
      "users' or 1=1",
      'users\0',
      'x'.repeat(70),
      'a.b.c.d',
      '.',
      'no.where',
      ' ',
    ];
    for (const table of bad) {
      const calls = [
        db.upsertMany(table, [{ id: 1 }], { key: ['id'] }),
        db.insertMany(table, [{ id: 1 }]),
        db.paginate(table),
        db.loader(table, 'id').load(1),
        db.selectIn([{ id: 1 }], { table, as: 'x', foreignKey: 'id' }),
      ];
      expect(await Promise.all(calls.map(codeOf)), table).toEqual(Array(5).fill('HOTPATH_PG_UNKNOWN_NAME'));
    }
    for (const column of ['no', 'id"', 'ID', 'id\0', '__proto__', 'constructor', 'toString']) {
      const calls = [
        db.upsertMany('users', [{ id: 1, ...Object.fromEntries([[column, 1]]) }]),
        db.upsertMany('users', [{ id: 1 }], { key: [column] }),
        db.upsertMany('users', [{ id: 1 }], { update: [column] }),
        db.insertMany('users', [
          Object.fromEntries([
            ['id', 1],
            [column, 1],
          ]),
        ]),
        db.paginate('users', { orderBy: [column] }),
        db.paginate('users', { where: Object.fromEntries([[column, 1]]) }),
        db.paginate('users', { columns: [column] }),
        db.loader('users', column).load(1),
        db.loader('users', 'id', { columns: [column] }).load(1),
        db.selectIn([{ id: 1 }], { table: 'users', as: 'x', foreignKey: column }),
        db.selectIn([{ id: 1 }], { table: 'users', as: 'x', foreignKey: 'id', orderBy: [column] }),
      ];
      const codes = await Promise.all(calls.map(codeOf));
      expect(codes, column).toEqual(calls.map(() => 'HOTPATH_PG_UNKNOWN_NAME'));
    }
    await untouched();
  });

  it('that are new in a table are known at the first call after, and those that are gone are not', async () => {
    const db = test.connect();
    await db.query(
      'create table growing (id int primary key, a int); insert into growing values (1, 1), (2, 2)',
    );
    await db.upsertMany('growing', [{ id: 1, a: 1 }]);
    await db.query('alter table growing add column b int default 5');
    expect(await db.upsertMany('growing', [{ id: 1, b: 6 }])).toMatchObject({ updated: 1 });
    await db.query('alter table growing add column c int default 5');
    expect((await db.paginate('growing', { where: { c: 5 }, pageSize: 1 })).rows).toHaveLength(1);
    await db.query('alter table growing add column d int default 5');
    expect(await db.loader('growing', 'd').load(5)).toMatchObject({ d: 5 });
    await db.query('alter table growing add column e int default 5');
    expect(
      await db.selectIn([{ id: 5 }], { table: 'growing', as: 'x', foreignKey: 'e', limit: 1 }),
    ).toHaveLength(1);
    await db.query('alter table growing drop column b');
    expect(await codeOf(db.upsertMany('growing', [{ id: 1, b: 7 }]))).toBe('HOTPATH_PG_UNKNOWN_NAME');
    await db.query('alter table growing alter column a type text using a::text');
    expect(await db.upsertMany('growing', [{ id: 1, a: 'now text' } as never])).toMatchObject({ updated: 1 });
  });
});

describe('values of bulk writes', () => {
  it('come back as they were sent, by arrays and by COPY, in every type and with nulls', async () => {
    const row = (id: number) => ({
      id,
      name: ['', 'NULL', '\\N', 'tab\tnew\nline', '{"}', 'é😀', `n${id}`][id % 7],
      score: [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0.1, 1e300, 5][id % 6],
      big: [9_007_199_254_740_993n, -1n, 5, '12', (1n << 63n) - 1n][id % 5],
      flag: [true, false, null][id % 3],
      at: [
        new Date(1.7e12 + id),
        new Date(-1e12),
        new Date('0001-01-01T00:00:00Z'),
        '2026-01-01 00:00:00.000001+00',
      ][id % 4],
      day: '2026-02-03',
      doc: [{ id, n: [1, null, { x: 'y' }] }, [1, 2], 'true', 5, null][id % 5],
      raw: Buffer.from([0, 255, id & 255]),
      who: '00000000-0000-4000-8000-00000000000A',
      amount: '1.50',
      tags: [['a,b', null, '"'], [], null][id % 3],
      small: -5,
      short: 'short',
    });
    const expectedOf = (id: number) => {
      const { big, at, doc, who, score, ...rest } = row(id);
      return {
        ...rest,
        score,
        big: String(big),
        at: typeof at === 'string' ? new Date('2026-01-01T00:00:00Z') : at,
        doc: doc === 'true' ? true : doc,
        who: who.toLowerCase(),
        day: new Date(2026, 1, 3),
      };
    };
    const find = () => test.db.query('select * from users where id >= 1000 order by id');
    for (const [count, write] of [
      [30, (rows: object[]) => test.db.insertMany('users', rows)],
      [30, (rows: object[]) => test.db.upsertMany('users', rows)],
      [1_500, (rows: object[]) => test.db.insertMany('users', rows)],
    ] as const) {
      const rows = Array.from({ length: count }, (_, i) => row(1_000 + i));
      await write(rows);
      expect(await find()).toEqual(rows.map(({ id }) => expectedOf(id)));
      await test.db.query('delete from users where id >= 1000');
    }
    // Values that all have a binary form go by binary COPY: one of each type, and a null of each.
    const plain = Array.from({ length: 1_500 }, (_, i) => ({
      id: 1_000 + i,
      name: i % 2 ? null : `é${i}`,
      score: i % 3 ? 0.5 : null,
      big: i % 5 ? 5n : null,
      flag: i % 7 ? true : null,
      at: i % 2 ? new Date(1.7e12 + i) : null,
      who: i % 3 ? '00000000-0000-4000-8000-00000000000a' : null,
      small: i % 2 ? -32_768 : null,
      short: i % 2 ? 'x' : null,
    }));
    await test.db.insertMany('users', plain);
    expect(await find()).toMatchObject(
      plain.map((each) => ({ ...each, big: each.big === null ? null : '5' })),
    );
    expect(await test.db.upsertMany('users', plain)).toEqual({ inserted: 0, updated: 0, unchanged: 1_500 });
    await test.db.query('delete from users where id >= 1000');
  });

  it.each([
    ['NaN for a whole number', { id: 900, small: Number.NaN }, '22P02'],
    ['infinity for a whole number', { id: 900, big: Number.POSITIVE_INFINITY }, '22P02'],
    ['a fraction for a whole number', { id: 900.5 }, '22P02'],
    ['too large a number', { id: 2 ** 31 }, '22003'],
    ['too small a number', { id: 900, small: -32_769 }, '22003'],
    ['too large a bigint', { id: 900, big: 1n << 63n }, '22003'],
    ['an infinite date', { id: 900, at: 'soon' }, '22007'],
    ['too long a text', { id: 900, short: 'longer' }, '22001'],
    ['a NUL in a text', { id: 900, name: 'a\0b' }, '22021'],
    ['text that is no JSON', { id: 900, doc: '{' }, '22P02'],
    ['no uuid', { id: 900, who: 'x' }, '22P02'],
    ['no boolean', { id: 900, flag: 'maybe' }, '22P02'],
  ])('%s is refused by the server, and nothing is written', async (_name, bad, code) => {
    const fill = Array.from({ length: 1_500 }, (_, i) => ({
      ...bad,
      id: 1_000 + i,
      ...Object.fromEntries(
        Object.keys(bad)
          .filter((k) => k !== 'id')
          .map((k) => [k, null]),
      ),
    }));
    expect(await codeOf(test.db.insertMany('users', [bad]))).toBe(code);
    expect(await codeOf(test.db.upsertMany('users', [bad]))).toBe(code);
    expect(await codeOf(test.db.insertMany('users', [...fill, bad]))).toBe(code);
    expect(await codeOf(test.db.upsertMany('users', [...fill, bad]))).toBe(code);
    await untouched();
  });

  it('that can not be written at all are refused by column, and nothing is written', async () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    for (const [column, value] of [
      ['at', new Date(Number.NaN)],
      ['doc', circular],
      ['doc', { n: 1n }],
      ['name', Symbol('s')],
      ['name', () => 1],
    ] as const) {
      const bad = { id: 900, [column]: value };
      const many = [...Array.from({ length: 1_500 }, (_, i) => ({ id: 1_000 + i, [column]: null })), bad];
      for (const call of [
        () => test.db.insertMany('users', [bad]),
        () => test.db.insertMany('users', many),
        () => test.db.upsertMany('users', [bad]),
        () => test.db.upsertMany('users', many),
      ])
        await expect(call()).rejects.toThrow(new RegExp(`^column ${column}: `));
    }
    await untouched();
  });

  it('that are no rows, and options that are none, are refused', async () => {
    for (const rows of [null, undefined, 5, 'rows', { id: 1 }] as never[]) {
      await expect(test.db.insertMany('users', rows)).rejects.toThrow('the rows must be an array');
      await expect(test.db.upsertMany('users', rows)).rejects.toThrow('the rows must be an array');
    }
    for (const row of [null, undefined, 5, 'row', [1]] as never[]) {
      await expect(test.db.insertMany('users', [row])).rejects.toThrow('row 0 for users must be an object');
      await expect(test.db.upsertMany('users', [{ id: 900 }, row])).rejects.toThrow('must be an object');
    }
    const row = { id: 900 };
    await expect(test.db.upsertMany('users', [row], { onDuplicate: 'frist' as never })).rejects.toThrow(
      "'onDuplicate'",
    );
    await expect(test.db.insertMany('users', [row], { onConflict: 'ignroe' as never })).rejects.toThrow(
      "'onConflict'",
    );
    await expect(test.db.upsertMany('users', [row], { key: 'id' as never })).rejects.toThrow("'key'");
    await expect(
      test.db.transaction(async () => {}, { isolation: 'serializable; drop table users' as never }),
    ).rejects.toThrow("'isolation'");
    await expect(test.db.transaction(async () => {}, { retries: Number.NaN })).rejects.toThrow("'retries'");
    for (const pageSize of [0, -1, 1.5, 10_001, Number.NaN])
      await expect(test.db.paginate('users', { pageSize })).rejects.toThrow("'pageSize'");
    for (const limit of [0, -1, 1.5])
      await expect(
        test.db.selectIn([{ id: 1 }], { table: 'users', as: 'x', foreignKey: 'id', limit }),
      ).rejects.toThrow("'limit'");
    for (const batchSize of [0, -1, 1.5])
      await expect(test.db.stream('select 1', [], { batchSize }).next()).rejects.toThrow("'batchSize'");
    await untouched();
  });

  it('with a null or repeated key keep every row that the database would keep', async () => {
    await test.db.query(
      'create table codes (code int unique, word text collate "C" unique, day date unique, n int)',
    );
    const byCode = [
      { code: null, n: 1 },
      { code: 0, n: 2 },
      { code: null, n: 3 },
      { code: 0, n: 4 },
    ];
    expect(await test.db.upsertMany('codes', byCode, { key: ['code'] })).toEqual({
      inserted: 3,
      updated: 0,
      unchanged: 1,
    });
    expect(await test.db.query('select n from codes order by n')).toEqual([{ n: 1 }, { n: 3 }, { n: 4 }]);
    const byWord = [
      { word: null, n: 5 },
      { word: '', n: 6 },
      { word: null, n: 7 },
    ];
    expect(await test.db.upsertMany('codes', byWord, { key: ['word'] })).toMatchObject({ inserted: 3 });
    const byDay = [
      { day: null, n: 8 },
      { day: '2026-1-1', n: 9 },
      { day: null, n: 10 },
      { day: '2026-01-01', n: 11 },
    ];
    expect(await test.db.upsertMany('codes', byDay, { key: ['day'] })).toMatchObject({
      inserted: 3,
      unchanged: 1,
    });
    expect(await test.db.query('select n from codes where n >= 8 order by n')).toEqual([
      { n: 8 },
      { n: 10 },
      { n: 11 },
    ]);
    // Different shapes, and keys that are only the same to the server.
    const mixed = [
      { code: null, word: 'x', n: 20 },
      { code: null, n: 21 },
      { code: 30, n: 22 },
      { code: 30, word: 'y' },
    ];
    expect(await test.db.upsertMany('codes', mixed, { key: ['code'] })).toMatchObject({ inserted: 3 });
    await test.db.query(`create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      create table names (name text collate nocase primary key, n int)`);
    expect(
      await test.db.upsertMany('names', [
        { name: 'Ada', n: 1 },
        { name: 'ADA', n: 2 },
      ]),
    ).toEqual({ inserted: 1, updated: 0, unchanged: 1 });
    expect(await test.db.loader('names', 'name').load('aDa')).toEqual({ name: 'ADA', n: 2 });
  });
});

describe('keys of a loader', () => {
  it('are told apart to the last digit, whatever their type', async () => {
    await test.db.query(`create table moments (at timestamptz primary key, raw bytea unique, n int);
      insert into moments values ('2026-01-01 00:00:00.001+00', '\\x00ff', 1), ('2026-01-01 00:00:00.002+00', '\\x01', 2)`);
    const byTime = test.db.loader('moments', 'at', { columns: ['n'] });
    const at = Date.parse('2026-01-01T00:00:00Z');
    expect(await byTime.loadMany([new Date(at + 1), new Date(at + 2), new Date(at + 3)])).toEqual([
      { n: 1 },
      { n: 2 },
      null,
    ]);
    const byBytes = test.db.loader('moments', 'raw', { columns: ['n'] });
    expect(await byBytes.loadMany([Buffer.from([0, 255]), Buffer.from([1]), Buffer.from([2])])).toEqual([
      { n: 1 },
      { n: 2 },
      null,
    ]);
    const pair = test.db.loader('moments', ['at', 'n'], { columns: ['n'] });
    expect(await pair.load([new Date(at + 1), 1])).toEqual({ n: 1 });
    await expect(pair.load([new Date(at + 1)])).rejects.toThrow('a key of moments needs at, n, got 1 values');
    expect(await pair.load([new Date(at + 1), null])).toBeNull();
  });
});

describe('options', () => {
  const rows = [{ id: 99, name: 'nobody' }];
  const relation = { table: 'users', as: 'x', foreignKey: 'id' };
  const drain = async (source: AsyncIterable<unknown>) => {
    for await (const _row of source);
  };
  /** Every call that takes options, with these. */
  const calls: Record<string, (db: Postgres, options: never) => unknown> = {
    query: (db, options) => db.query('select 1', [], options),
    transaction: (db, options) => db.transaction(async () => 'ran', options),
    'transaction.query': (db, options) => db.transaction((inner) => inner.query('select 1', [], options)),
    batch: (db, options) => db.batch([{ text: 'select 1' }], options),
    loader: (db, options) => db.loader('users', 'id', options),
    load: (db, options) => db.loader('users', 'id').load(1, options),
    selectIn: (db, options) => db.selectIn([{ id: 1 }], relation, options),
    relation: (db, options) => db.selectIn([{ id: 1 }], { ...relation, ...(options as object) }),
    upsertMany: (db, options) => db.upsertMany('users', rows, options),
    insertMany: (db, options) => db.insertMany('users', rows, options),
    stream: (db, options) => drain(db.stream('select 1', [], options)),
    paginate: (db, options) => db.paginate('users', options),
    explain: (db, options) => db.explain('select 1', [], options),
    listen: (db, options) =>
      db.listen('news', { onNotification: () => {}, ...(options as object) }).then((heard) => heard.close()),
    'readonly.query': (db, options) => db.readonly.query('select 1', [], options),
    writeToken: (db, options) => db.writeToken(options),
    'withVariables.query': (db, options) => db.withVariables({ 'a.b': 1 }).query('select 1', [], options),
    'indexes.plan': (db, options) => db.indexes.plan([], options),
    'indexes.apply': (db, options) => db.indexes.apply([], options),
    'indexes.report': (db, options) => db.indexes.report([], options),
    close: (db, options) => db.close(options),
  };
  const limited = Object.keys(calls).filter(
    (name) =>
      !['loader', 'load', 'relation', 'listen', 'close'].includes(name) && !name.startsWith('indexes'),
  );
  const wrong: [string, object, readonly string[]][] = [
    ...['timeoutMs'].flatMap((name) =>
      [-1, Number.NaN, 'soon', null].map(
        (value) => [name, { [name]: value }, [...limited, 'close']] as [string, object, string[]],
      ),
    ),
    ...[5, 'stop', {}, null].map(
      (signal) =>
        [
          'signal',
          { signal },
          Object.keys(calls).filter((name) => !['loader', 'relation', 'close'].includes(name)),
        ] as [string, object, string[]],
    ),
    ['tiemoutMs', { tiemoutMs: 5 }, Object.keys(calls)],
    ['atomic', { atomic: 'no' }, ['batch']],
    ['analyze', { analyze: 1 }, ['explain']],
    ['maxBatchSize', { maxBatchSize: 0 }, ['loader']],
    ['maxBatchSize', { maxBatchSize: Number.NaN }, ['loader']],
    ['columns', { columns: 'id' }, ['loader', 'relation']],
    ['after', { after: 5 }, ['readonly.query']],
    ['after', { after: 'yesterday' }, ['readonly.query']],
    ['after', { after: '0/' }, ['readonly.query']],
    ['limit', { limit: '5' }, ['relation']],
    ['one', { one: 'yes' }, ['relation']],
    ['with', { with: {} }, ['relation']],
    ['orderBy', { orderBy: 'id' }, ['relation']],
    ['table', { table: '' }, ['relation']],
    ['retries', { retries: -1 }, ['transaction', 'indexes.apply']],
    ['readOnly', { readOnly: 1 }, ['transaction']],
    ['onGap', { onGap: 5 }, ['listen']],
    ['onNotification', { onNotification: 'x' }, ['listen']],
    ['onProgress', { onProgress: {} }, ['indexes.apply']],
    ['lockTimeoutMs', { lockTimeoutMs: -1 }, ['indexes.apply']],
    ['buildTimeoutMs', { buildTimeoutMs: 'x' }, ['indexes.apply']],
    ['ddlLockTimeoutMs', { ddlLockTimeoutMs: 0 }, ['indexes.apply']],
    ['batchSize', { batchSize: '10' }, ['stream']],
    ['pageSize', { pageSize: '10' }, ['paginate']],
  ];

  it('that are wrong are refused by name, before anything is asked, wherever options are taken', async () => {
    const db = test.connect();
    for (const [option, given, names] of wrong) {
      for (const name of names) {
        const asked = (async () => calls[name]!(db, given as never))();
        const error = await asked.then(
          () => expect.fail(`${name} took ${JSON.stringify(given)}`),
          (e) => e,
        );
        expect(error, `${name} ${JSON.stringify(given)}`).toBeInstanceOf(Error);
        expect(['TypeError', 'RangeError'], `${name} ${error}`).toContain(error.name);
        expect(error.message, name).toContain(`'${option}'`);
      }
    }
    for (const name of Object.keys(calls).filter((name) => !['relation', 'listen'].includes(name))) {
      for (const options of [5, 'x', null, []]) {
        const asked = (async () => calls[name]!(db, options as never))();
        await expect(asked, `${name} ${JSON.stringify(options)}`).rejects.toThrow(
          'options must be an object',
        );
      }
    }
    // Those of a transaction's statements come after its BEGIN.
    const begun = wrong.filter(([, , names]) => names.includes('transaction.query')).length + 4;
    expect(db.stats().pool.acquired).toBe(begun);
    await untouched();
  });

  it('that are undefined are as good as absent, and a wait without end may be asked for', async () => {
    const { db } = test;
    for (const [name, call] of Object.entries(calls)) {
      if (name === 'close') continue;
      const all = [
        {},
        { timeoutMs: undefined, signal: undefined },
        { timeoutMs: 0 },
        { timeoutMs: Number.POSITIVE_INFINITY },
      ];
      for (const options of limited.includes(name) ? all : [{}]) {
        await Promise.resolve(call(db, options as never));
        await test.db.query('delete from users where id = 99');
      }
    }
    await untouched();
  });

  it('of other arguments are no better', async () => {
    const { db } = test;
    const refused: [string, () => unknown][] = [
      ['the queries must be an array', () => db.batch('select 1' as never)],
      ['the text must be a string', () => db.batch([{} as never])],
      ['the text must be a string', () => db.batch([null as never])],
      ['the values must be an array', () => db.batch([{ text: 'select $1', values: 5 as never }])],
      ['the text must be a string', () => db.explain(undefined as never)],
      ['the parents must be an array', () => db.selectIn({ id: 1 } as never, relation)],
      ['the rows must be an array', () => db.upsertMany('users', { id: 1 } as never)],
      ['the key must be a column', () => db.loader('users', [])],
      ['the key must be a column', () => db.loader('users', 5 as never)],
      [
        'must be a string, a number or a boolean',
        () => db.withVariables({ 'app.tenant': undefined as never }),
      ],
      ['must be a string, a number or a boolean', () => db.withVariables({ 'app.tenant': null as never })],
      ['must be a string, a number or a boolean', () => db.withVariables({ 'app.tenant': {} as never })],
      ["a name must be like 'app.tenant'", () => db.withVariables({ role: 'x' })],
      ["a name must be like 'app.tenant'", () => db.withVariables({ 'app.tenant; drop table users': 'x' })],
      ['the variables must be an object', () => db.withVariables(null as never)],
      ['the work must be a function', () => db.transaction(undefined as never)],
    ];
    for (const [message, call] of refused)
      await expect((async () => call())(), message).rejects.toThrow(message);
    await untouched();
  });
});

describe('misspelt options', () => {
  it('are refused by name wherever options are taken, and nothing is done', async () => {
    const { db } = test;
    const rows = [{ id: 99, name: 'nobody' }];
    const asked: Record<string, () => Promise<unknown>> = {
      retry: () => db.transaction(async () => 'ran', { retry: 1 } as never),
      keys: () => db.upsertMany('users', rows, { keys: ['id'] } as never),
      ignore: () => db.insertMany('users', rows, { ignore: true } as never),
      limit: () => db.paginate('users', { limit: 1 } as never),
      childKey: () =>
        db.selectIn([{ id: 1 }], { table: 'users', as: 'x', foreignKey: 'id', childKey: 'id' } as never),
    };
    for (const [name, ask] of Object.entries(asked)) {
      await expect(ask()).rejects.toThrow(`unknown option '${name}'`);
    }
    await expect(db.selectIn([{ id: 1 }], { table: 'users', as: 'x' } as never)).rejects.toThrow(
      "selectIn: option 'foreignKey' is required",
    );
    await untouched();
  });
});

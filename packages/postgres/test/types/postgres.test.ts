import type { Generated } from 'kysely';
import type pg from 'pg';
import { expectTypeOf, it } from 'vitest';
import type {
  createPool,
  Loader,
  Postgres,
  PostgresOptions,
  Relation,
  UpsertCounts,
} from '../../src/index.ts';

interface Database {
  users: { id: Generated<number>; name: string; age: number | null };
  posts: { id: number; user_id: number; title: string };
  comments: { id: number; post_id: number; text: string };
}

declare const db: Postgres<Database>;

it('types follow the database', () => {
  const typesOnly = async (): Promise<void> => {
    const users = db.loader('users', 'id', { columns: ['id', 'name'] });
    expectTypeOf(await users.load(1)).toEqualTypeOf<{ id: number; name: string } | null>();
    expectTypeOf(db.loader('users', 'id')).toExtend<
      Loader<{ id: number; name: string; age: number | null }, unknown>
    >();
    // @ts-expect-error there is no such table
    db.loader('nowhere', 'id');
    // @ts-expect-error there is no such column
    db.loader('users', 'nothing');
    expectTypeOf(
      await db.upsertMany('users', [{ name: 'a' }], { key: ['name'] }),
    ).toEqualTypeOf<UpsertCounts>();
    // @ts-expect-error a column of another type
    await db.upsertMany('users', [{ name: 5 }]);
    // @ts-expect-error there is no such column
    await db.insertMany('posts', [{ nothing: 5 }]);
    expectTypeOf((await db.paginate('posts', { orderBy: ['-title'] })).rows).toEqualTypeOf<
      { id: number; user_id: number; title: string }[]
    >();
    expectTypeOf(await db.query<{ n: number }>('select 1 as n')).toEqualTypeOf<{ n: number }[]>();
    expectTypeOf(
      await db.transaction(async (transaction) =>
        transaction.kysely.selectFrom('users').select('name').execute(),
      ),
    ).toEqualTypeOf<{ name: string }[]>();
  };
  expectTypeOf(typesOnly).toBeFunction();
  expectTypeOf<ReturnType<typeof createPool>>().toExtend<pg.Pool>();
});

it('children have the type of their table, as far as it is loaded', () => {
  const typesOnly = async (): Promise<void> => {
    const [parent] = await db.selectIn([{ id: 1, extra: true }], {
      table: 'posts',
      as: 'posts',
      foreignKey: 'user_id',
      columns: ['id', 'title'],
      orderBy: ['-id'],
      with: [
        { table: 'comments', as: 'comments', foreignKey: 'post_id' },
        { table: 'users', as: 'author', foreignKey: 'id', columns: ['name'], one: true },
      ],
    });
    expectTypeOf(parent!.extra).toEqualTypeOf<boolean>();
    expectTypeOf(parent!.posts[0]!.title).toEqualTypeOf<string>();
    expectTypeOf(parent!.posts[0]!.comments).toEqualTypeOf<{ id: number; post_id: number; text: string }[]>();
    expectTypeOf(parent!.posts[0]!.author).toEqualTypeOf<{ name: string } | null>();
    // @ts-expect-error it is not loaded
    parent!.posts[0]!.user_id;
    // @ts-expect-error there is no such table
    await db.selectIn([{ id: 1 }], { table: 'nowhere', as: 'x', foreignKey: 'id' });
    // @ts-expect-error there is no such column
    await db.selectIn([{ id: 1 }], { table: 'posts', as: 'x', foreignKey: 'post_id' });
    // @ts-expect-error there is no such column to order by
    await db.selectIn([{ id: 1 }], { table: 'posts', as: 'x', foreignKey: 'user_id', orderBy: ['-none'] });
    await db.selectIn([{ id: 1 }], {
      table: 'posts',
      as: 'posts',
      foreignKey: 'user_id',
      // @ts-expect-error there is no such column of the inner table
      with: [{ table: 'comments', as: 'comments', foreignKey: 'nothing' }],
    });
  };
  expectTypeOf(typesOnly).toBeFunction();
});

it('without declared tables a child is a record, or what the relation says', () => {
  const typesOnly = async (anyDb: Postgres): Promise<void> => {
    const [plain] = await anyDb.selectIn([{ id: 1 }], { table: 'posts', as: 'posts', foreignKey: 'user_id' });
    expectTypeOf(plain!.posts).toEqualTypeOf<Record<string, unknown>[]>();
    const relation: Relation<'posts', { id: number; title: string }> = {
      table: 'posts',
      as: 'posts',
      foreignKey: 'id',
    };
    const [said] = await anyDb.selectIn([{ id: 1 }], relation);
    expectTypeOf(said!.posts).toEqualTypeOf<{ id: number; title: string }[]>();
  };
  expectTypeOf(typesOnly).toBeFunction();
});

it('options that may be left out may be given as undefined', () => {
  const pool = { max: undefined, acquireTimeoutMs: undefined };
  const options: PostgresOptions = { connectionString: undefined, pool, replicas: undefined };
  expectTypeOf(options).toEqualTypeOf<PostgresOptions>();
});

import type { Generated } from 'kysely';
import type pg from 'pg';
import { expectTypeOf, it } from 'vitest';
import type { createPool, Loader, Postgres, UpsertCounts } from '../../src/index.ts';

interface Database {
  users: { id: Generated<number>; name: string; age: number | null };
  posts: { id: number; title: string };
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
      { id: number; title: string }[]
    >();
    expectTypeOf(await db.query<{ n: number }>('select 1 as n')).toEqualTypeOf<{ n: number }[]>();
    const [parent] = await db.selectIn([{ id: 1 }], { table: 'posts', as: 'posts', foreignKey: 'user_id' });
    expectTypeOf(parent!.posts).toEqualTypeOf<Record<string, unknown>[]>();
    expectTypeOf(
      await db.transaction(async (transaction) =>
        transaction.kysely.selectFrom('users').select('name').execute(),
      ),
    ).toEqualTypeOf<{ name: string }[]>();
  };
  expectTypeOf(typesOnly).toBeFunction();
  expectTypeOf<ReturnType<typeof createPool>>().toExtend<pg.Pool>();
});

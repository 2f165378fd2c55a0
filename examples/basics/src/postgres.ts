// Writes in bulk, reads one by one: the single reads of one moment become one query.
import { createPostgres } from '@hotpath/postgres';

interface Database {
  users: { id: number; name: string };
}

const postgres = createPostgres<Database>({
  connectionString: process.env.DATABASE_URL ?? 'postgres://127.0.0.1/postgres',
});
await postgres.query('create table if not exists users (id int primary key, name text not null)');

const rows = Array.from({ length: 1_000 }, (_, id) => ({ id, name: `user ${id}` }));
console.log(await postgres.upsertMany('users', rows, { key: ['id'] }));

const users = postgres.loader('users', 'id');
const found = await Promise.all([7, 8, 9, 5_000].map((id) => users.load(id)));
console.log(found.map((user) => user?.name));

const names = await postgres.kysely
  .selectFrom('users')
  .select('name')
  .where('id', '<', 3)
  .orderBy('id')
  .execute();
console.log(names);

await postgres.close();

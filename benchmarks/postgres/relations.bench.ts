import { strict as assert } from 'node:assert';
import { defineSuite, postgresServer } from '../harness/index.ts';
import { type Database, fill } from './policies.ts';

const PARENTS = 'select id, name, status from policies where id <= 1000 order by id';
const CHILDREN = 'select * from children where parent = any($1)';

interface Parent {
  readonly id: number;
  readonly children: readonly { readonly parent: number }[];
}

function check(parents: readonly Parent[]): void {
  assert.equal(parents.length, 1_000);
  for (const { id, children } of parents) {
    assert.equal(children.length, 10);
    assert.equal(children[3]!.parent, id);
  }
}

export default defineSuite({
  name: 'relations',
  title: '1,000 parents with 10 children each',
  kind: 'throughput',
  callers: 1,
  servers: { postgres: postgresServer() },
  prepare: ({ servers }) => fill(servers.postgres.url),
  contenders: {
    'two queries by hand': {
      role: 'limit',
      library: 'pg',
      async setup({ servers }) {
        const { default: pg } = await import('pg');
        const pool = new pg.Pool({ connectionString: servers.postgres.url, max: 20 });
        const run = async (): Promise<Parent[]> => {
          const parents = (await pool.query({ name: 'parents', text: PARENTS })).rows;
          const children = (
            await pool.query({ name: 'children', text: CHILDREN, values: [parents.map(({ id }) => id)] })
          ).rows;
          const byParent = new Map<number, unknown[]>(parents.map(({ id }) => [id, []]));
          for (const child of children) byParent.get(child.parent)!.push(child);
          return parents.map((parent) => ({ ...parent, children: byParent.get(parent.id)! }));
        };
        return { run, check, operations: 10_000, close: () => pool.end() };
      },
    },
    'a query for each parent': {
      role: 'peer',
      library: 'pg',
      note: 'N+1, over the pool',
      async setup({ servers }) {
        const { default: pg } = await import('pg');
        const pool = new pg.Pool({ connectionString: servers.postgres.url, max: 20 });
        const run = async (): Promise<Parent[]> => {
          const parents = (await pool.query(PARENTS)).rows;
          return Promise.all(
            parents.map(async (parent) => ({
              ...parent,
              children: (await pool.query('select * from children where parent = $1', [parent.id])).rows,
            })),
          );
        };
        return { run, check, operations: 10_000, close: () => pool.end() };
      },
    },
    'hotpath selectIn': {
      role: 'ours',
      library: '@hotpath/postgres',
      async setup({ servers }) {
        const { createPostgres } = await import('@hotpath/postgres');
        const db = createPostgres<Database>({ connectionString: servers.postgres.url });
        const run = async () =>
          db.selectIn(await db.query<{ id: number }>(PARENTS), {
            table: 'children',
            as: 'children',
            foreignKey: 'parent',
          });
        return { run, check, operations: 10_000, close: () => db.close() };
      },
    },
  },
  goals: [{ figure: 'opsPerSecond', atLeast: { of: 'two queries by hand' } }],
});

import { strict as assert } from 'node:assert';
import { defineSuite, postgresServer } from '../harness/index.ts';
import { columnsOf, type Database, fill, INSERT_UNNEST, ON_CONFLICT, ROWS, rowsOf } from './policies.ts';

const rowsPerSecond = (startedAt: number): { rowsPerSecond: number } => ({
  rowsPerSecond: ROWS / ((performance.now() - startedAt) / 1_000),
});
const check = ({ rowsPerSecond: rate }: { rowsPerSecond: number }): void => assert.ok(rate > 0);

/** How many rows there are, and what became of one of them. */
type Proof = (text: string) => Promise<{ n: number; version: number }>;
const PROOF =
  'select count(*)::int as n, max(version) filter (where id = 10000)::int as version from written';

async function prove(proof: Proof, round: number): Promise<void> {
  assert.deepEqual(await proof(PROOF), { n: ROWS, version: ROWS - 1 + round });
}

/** Runs the write some times, and gives the rate of the median one. */
async function repeat(
  write: (round: number) => Promise<unknown>,
  before: () => Promise<unknown>,
  proof: Proof,
  rounds: number,
): Promise<{ rowsPerSecond: number }> {
  const rates: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    await before();
    const startedAt = performance.now();
    await write(round);
    rates.push(rowsPerSecond(startedAt).rowsPerSecond);
    await prove(proof, round);
  }
  rates.sort((a, b) => a - b);
  return { rowsPerSecond: rates[rates.length >> 1]! };
}

type Kind = 'insert' | 'upsert';

const suite = (kind: Kind) => {
  const before = kind === 'insert' ? 'truncate written' : 'select 1';
  const suffix = kind === 'insert' ? '' : ` ${ON_CONFLICT}`;
  return defineSuite({
    name: kind,
    title:
      kind === 'insert'
        ? '10,000 rows of 5 columns inserted'
        : '10,000 rows of 5 columns upserted, all of them there',
    kind: 'scenario',
    figure: 'rowsPerSecond',
    better: 'higher',
    servers: { postgres: postgresServer() },
    async prepare({ servers }) {
      await fill(servers.postgres.url);
      const { default: pg } = await import('pg');
      const client = new pg.Client(servers.postgres.url);
      await client.connect();
      await client.query(INSERT_UNNEST, columnsOf(rowsOf(0)));
      await client.end();
    },
    contenders: {
      'unnest by hand': {
        role: 'limit',
        library: 'pg',
        async setup({ servers, quick }) {
          const { default: pg } = await import('pg');
          const pool = new pg.Pool({ connectionString: servers.postgres.url, max: 20 });
          const inputs = Array.from({ length: 12 }, (_, round) => rowsOf(round));
          const write = (round: number) =>
            pool.query({ name: 'write', text: INSERT_UNNEST + suffix, values: columnsOf(inputs[round]!) });
          const proof: Proof = async (text) => (await pool.query(text)).rows[0];
          return {
            run: () => repeat(write, () => pool.query(before), proof, quick ? 2 : 11),
            check,
            close: () => pool.end(),
          };
        },
      },
      'kysely VALUES': {
        role: 'peer',
        library: 'kysely',
        async setup({ servers, quick }) {
          const [{ default: pg }, { Kysely, PostgresDialect }] = await Promise.all([
            import('pg'),
            import('kysely'),
          ]);
          const pool = new pg.Pool({ connectionString: servers.postgres.url, max: 20 });
          const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
          const inputs = Array.from({ length: 12 }, (_, round) => rowsOf(round));
          const write = (round: number) => {
            const insert = db.insertInto('written').values(inputs[round]!);
            if (kind === 'insert') return insert.execute();
            return insert
              .onConflict((oc) =>
                oc.column('id').doUpdateSet((eb) => ({
                  name: eb.ref('excluded.name'),
                  status: eb.ref('excluded.status'),
                  version: eb.ref('excluded.version'),
                  at: eb.ref('excluded.at'),
                })),
              )
              .execute();
          };
          const proof: Proof = async (text) => (await pool.query(text)).rows[0];
          return {
            run: () => repeat(write, () => pool.query(before), proof, quick ? 2 : 11),
            check,
            close: () => db.destroy(),
          };
        },
      },
      'postgres.js': {
        role: 'peer',
        library: 'postgres',
        async setup({ servers, quick }) {
          const { default: postgres } = await import('postgres');
          const sql = postgres(servers.postgres.url, { max: 20 });
          const inputs = Array.from({ length: 12 }, (_, round) => rowsOf(round));
          const write = (round: number) =>
            kind === 'insert'
              ? sql`insert into written ${sql(inputs[round]!)}`
              : sql`insert into written ${sql(inputs[round]!)} ${sql.unsafe(ON_CONFLICT)}`;
          const proof: Proof = async (text) => (await sql.unsafe(text))[0] as never;
          return {
            run: () => repeat(write, () => sql.unsafe(before), proof, quick ? 2 : 11),
            check,
            close: () => sql.end(),
          };
        },
      },
      hotpath: {
        role: 'ours',
        library: '@hotpath/postgres',
        async setup({ servers, quick }) {
          const { createPostgres } = await import('@hotpath/postgres');
          const db = createPostgres<Database>({ connectionString: servers.postgres.url });
          const inputs = Array.from({ length: 12 }, (_, round) => rowsOf(round));
          const write = (round: number) =>
            kind === 'insert'
              ? db.insertMany('written', inputs[round]!)
              : db.upsertMany('written', inputs[round]!);
          const proof: Proof = async (text) => (await db.query<{ n: number; version: number }>(text))[0]!;
          return {
            run: () => repeat(write, () => db.query(before), proof, quick ? 2 : 11),
            check,
            close: () => db.close(),
          };
        },
      },
    },
    goals: [
      { figure: 'rowsPerSecond', atLeast: { times: kind === 'insert' ? 1.5 : 1, of: 'unnest by hand' } },
    ],
  });
};

export default [suite('insert'), suite('upsert')];

import { strict as assert } from 'node:assert';
import { finished } from 'node:stream/promises';
import { defineSuite, postgresServer } from '../harness/index.ts';
import {
  columnsOf,
  type Database,
  DIGEST,
  digestOf,
  fill,
  INSERT_UNNEST,
  ON_CONFLICT,
  ROWS,
  rowsOf,
} from './policies.ts';

const rowsPerSecond = (startedAt: number): { rowsPerSecond: number } => ({
  rowsPerSecond: ROWS / ((performance.now() - startedAt) / 1_000),
});
const check = ({ rowsPerSecond: rate }: { rowsPerSecond: number }): void => assert.ok(rate > 0);

/** Asks the server, in the way of a contender. */
type Proof = (text: string) => Promise<{ n: number; digest: string }>;

/** Holds all columns of all rows that the server has against those that were to be written. */
async function prove(proof: Proof, round: number): Promise<void> {
  assert.deepEqual(await proof(DIGEST), { n: ROWS, digest: digestOf(rowsOf(round)) });
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

/** A text as slonik takes it, which otherwise allows literals alone. */
const verbatim = (text: string): TemplateStringsArray =>
  Object.freeze(Object.assign([text], { raw: Object.freeze([text]) }));

type Kind = 'insert' | 'upsert';
const COLUMNS = 'id, name, status, version, at';

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
      'COPY by hand': {
        role: 'limit',
        library: 'pg-copy-streams',
        note: kind === 'insert' ? 'text, in one piece' : 'into a temporary table, then merged',
        async setup({ servers, quick }) {
          const [{ default: pg }, { from }] = await Promise.all([import('pg'), import('pg-copy-streams')]);
          const client = new pg.Client(servers.postgres.url);
          await client.connect();
          const inputs = Array.from({ length: 12 }, (_, round) => rowsOf(round));
          const copy = (table: string, rows: (typeof inputs)[number]): Promise<unknown> => {
            const lines = rows.map(
              ({ id, name, status, version, at }) =>
                `${id}\t${name}\t${status}\t${version}\t${at.toISOString()}\n`,
            );
            const stream = client.query(from(`copy ${table} (${COLUMNS}) from stdin`));
            stream.end(lines.join(''));
            return finished(stream);
          };
          const write = async (round: number): Promise<void> => {
            if (kind === 'insert') {
              await copy('written', inputs[round]!);
              return;
            }
            await client.query('begin');
            await client.query('create temporary table stage (like written) on commit drop');
            await copy('stage', inputs[round]!);
            await client.query(
              `insert into written (${COLUMNS}) select ${COLUMNS} from stage ${ON_CONFLICT}`,
            );
            await client.query('commit');
          };
          const proof: Proof = async (text) => (await client.query(text)).rows[0];
          return {
            run: () => repeat(write, () => client.query(before), proof, quick ? 2 : 11),
            check,
            close: () => client.end(),
          };
        },
      },
      slonik: {
        role: 'peer',
        library: 'slonik',
        note: 'unnest',
        async setup({ servers, quick }) {
          const { createPool, sql } = await import('slonik');
          const pool = await createPool(servers.postgres.url, { maximumPoolSize: 20 });
          const inputs = Array.from({ length: 12 }, (_, round) => rowsOf(round));
          const types = ['int4', 'text', 'text', 'int4', 'timestamptz'];
          const conflict = kind === 'insert' ? sql.fragment`` : sql.fragment(verbatim(ON_CONFLICT));
          const write = (round: number) => {
            const rows = inputs[round]!.map(({ id, name, status, version, at }) => [
              id,
              name,
              status,
              version,
              at.toISOString(),
            ]);
            return pool.query(
              sql.unsafe`insert into written (id, name, status, version, at) select * from ${sql.unnest(rows, types)} ${conflict}`,
            );
          };
          const proof: Proof = async (text) => pool.one(sql.unsafe(verbatim(text))) as never;
          return {
            run: () => repeat(write, () => pool.query(sql.unsafe(verbatim(before))), proof, quick ? 2 : 11),
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
          const proof: Proof = async (text) => (await db.query<{ n: number; digest: string }>(text))[0]!;
          return {
            run: () => repeat(write, () => db.query(before), proof, quick ? 2 : 11),
            check,
            close: () => db.close(),
          };
        },
      },
    },
    goals: [
      kind === 'insert'
        ? { figure: 'rowsPerSecond', atLeast: { times: 0.97, of: 'COPY by hand' } }
        : { figure: 'rowsPerSecond', atLeast: { times: 1.02, of: 'unnest by hand' } },
    ],
  });
};

export default [suite('insert'), suite('upsert')];

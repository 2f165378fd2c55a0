import { strict as assert } from 'node:assert';
import { hash } from 'node:crypto';
import type { Generated } from 'kysely';
import type pg from 'pg';

/** The tables that the suites read and write. */
export interface Database {
  policies: { id: number; name: string; status: string; version: number; description: string };
  children: { id: number; parent: number; name: string; status: string; value: number };
  written: { id: number; name: string; status: string; version: number; at: Date | Generated<Date> };
}

export const POLICIES = 10_000;
export const SELECT_ONE = 'select id, name, status, version from policies where id = $1';

/** Ids in an order that no cache follows. */
export const idAt = (index: number): number => 1 + ((index * 7_919) % POLICIES);

export function checkPolicy(policy: { id: number; name: string }, index: number): void {
  assert.equal(policy.id, idAt(index));
  assert.equal(policy.name, `policy ${policy.id}`);
}

export async function fill(url: string): Promise<void> {
  const { default: driver } = await import('pg');
  const client: pg.Client = new driver.Client(url);
  await client.connect();
  await client.query(`
    create table policies (id int primary key, name text not null, status text not null, version int not null, description text not null);
    insert into policies select g, 'policy ' || g, 'active', g % 7, 'about ' || g from generate_series(1, ${POLICIES}) g;
    create table children (id int primary key, parent int not null, name text not null, status text not null, value int not null);
    insert into children select g, 1 + (g - 1) / 10, 'child ' || g, 'active', g from generate_series(1, 10000) g;
    create index on children (parent);
    create table written (id int primary key, name text not null, status text not null, version int not null, at timestamptz not null);
    analyze`);
  await client.end();
}

export const ROWS = 10_000;

/** Rows to be written; another round gives other values for the same keys. */
export function rowsOf(
  round: number,
): { id: number; name: string; status: string; version: number; at: Date }[] {
  return Array.from({ length: ROWS }, (_, i) => ({
    id: i + 1,
    name: `name ${round} ${i}`,
    status: 'active',
    version: i + round,
    at: new Date(1.7e12 + i * 1_000),
  }));
}

/** How many rows were written, and a digest of all their columns. */
export const DIGEST = `select count(*)::int as n, md5(string_agg(
  concat_ws(',', id, name, status, version, (extract(epoch from at) * 1000)::bigint), ';' order by id)) as digest from written`;

/** As the server makes it by {@link DIGEST}. */
export function digestOf(rows: ReturnType<typeof rowsOf>): string {
  const lines = rows.map(({ id, name, status, version, at }) =>
    [id, name, status, version, at.getTime()].join(','),
  );
  return hash('md5', lines.join(';'), 'hex');
}

/** The rows column by column, as a hand-written unnest wants them. */
export function columnsOf(rows: ReturnType<typeof rowsOf>): unknown[][] {
  return [
    rows.map(({ id }) => id),
    rows.map(({ name }) => name),
    rows.map(({ status }) => status),
    rows.map(({ version }) => version),
    rows.map(({ at }) => at.toISOString()),
  ];
}

export const INSERT_UNNEST =
  'insert into written (id, name, status, version, at) select * from unnest($1::int[], $2::text[], $3::text[], $4::int[], $5::timestamptz[])';
export const ON_CONFLICT =
  'on conflict (id) do update set name = excluded.name, status = excluded.status, version = excluded.version, at = excluded.at';

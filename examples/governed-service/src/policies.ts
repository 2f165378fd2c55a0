import type { Postgres } from '@hotpath/postgres';
import { sql } from 'kysely';
import type { Caches } from './caches.ts';
import type { Database, PolicyMetadata, PolicyStatus } from './schema.ts';

/** A policy as clients see it. */
export interface Policy {
  readonly id: number;
  readonly name: string;
  readonly version: number;
  readonly status: PolicyStatus;
  readonly description: string;
  readonly metadata: PolicyMetadata;
}

export interface PolicyFilter {
  /** Words to find in name and description. */
  readonly q?: string;
  readonly status?: PolicyStatus;
  /** From 1. */
  readonly page: number;
}

export interface PolicyPage {
  readonly policies: readonly Policy[];
  readonly page: number;
  readonly pageSize: number;
  readonly total: number;
}

/** What one bulk write did. */
export interface UpsertCounts {
  readonly inserted: number;
  readonly updated: number;
  readonly unchanged: number;
}

/** Reads through the cache, writes through to the database, and invalidates what a write made stale. */
export interface PolicyStore {
  find(id: number): Promise<Policy | null>;
  search(filter: PolicyFilter): Promise<PolicyPage>;
  upsert(policies: readonly Policy[]): Promise<UpsertCounts>;
}

const PAGE_SIZE = 20;
const COLUMNS = ['id', 'name', 'version', 'status', 'description', 'metadata'] as const;

export function createPolicyStore(db: Postgres<Database>, caches: Caches): PolicyStore {
  const rows = db.loader('policies', 'id', { columns: COLUMNS });
  const find = caches.hot.wrap((id: number): Promise<Policy | null> => rows.load(id), { name: 'find' });
  const search = caches.queries.wrap((filter: PolicyFilter) => searchPolicies(db, filter), {
    name: 'search',
  });

  return {
    find: (id) => find(id),
    search: (filter) => search(filter),
    upsert: async (policies) => {
      const counts = await db.upsertMany('policies', policies, { key: ['id'] });
      await Promise.all([search.invalidateAll(), ...policies.map((policy) => find.invalidate(policy.id))]);
      return counts;
    },
  };
}

async function searchPolicies(
  db: Postgres<Database>,
  { q, status, page }: PolicyFilter,
): Promise<PolicyPage> {
  let matching = db.kysely.selectFrom('policies');
  if (status !== undefined) matching = matching.where('status', '=', status);
  if (q !== undefined) {
    // The expression of the full-text index, so that the planner can use it.
    matching = matching.where(
      sql<boolean>`to_tsvector('english', coalesce(name, '') || ' ' || coalesce(description, '')) @@ websearch_to_tsquery('english', ${q})`,
    );
  }
  const [policies, counted] = await Promise.all([
    matching
      .select(COLUMNS)
      .orderBy('id')
      .limit(PAGE_SIZE)
      .offset((page - 1) * PAGE_SIZE)
      .execute(),
    matching.select((of) => of.fn.countAll<string>().as('total')).executeTakeFirstOrThrow(),
  ]);
  return { policies, page, pageSize: PAGE_SIZE, total: Number(counted.total) };
}

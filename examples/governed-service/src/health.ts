import type { CacheState } from '@hotpath/cache';
import { singleFlight } from '@hotpath/core';
import type { Postgres } from '@hotpath/postgres';
import type { AuditState, AuditTrail } from './audit.ts';
import type { Caches } from './caches.ts';
import type { EvidenceSource } from './evidence.ts';
import type { Database } from './schema.ts';

export interface Health {
  /** `degraded`: it answers, with a part away; `unavailable`: it can't do its work. */
  readonly status: 'ok' | 'degraded' | 'unavailable';
  readonly degraded: boolean;
  readonly constitution: { readonly hash: string };
  /** `prepared`: it holds all that the service needs. */
  readonly postgres: { readonly status: 'up' | 'down'; readonly prepared: boolean };
  readonly cache: { readonly hot: CacheState; readonly queries: CacheState };
  readonly circuits: Readonly<Record<string, string>>;
  readonly audit: { readonly status: AuditState };
}

const PROBE_TIMEOUT_MS = 1_000;

/** Asks each part how it is, now; takes about a second at most. */
export function createHealthCheck(parts: {
  readonly constitutionalHash: string;
  readonly isReady: () => boolean;
  readonly db: Postgres<Database>;
  readonly caches: Caches;
  readonly evidence: EvidenceSource;
  readonly audit: AuditTrail;
}): () => Promise<Health> {
  // However many ask, the database is asked by one at a time.
  const probes = singleFlight<'postgres', 'up' | 'down'>();
  return async () => {
    const postgres = await probes.run('postgres', () => probe(parts.db));
    const cache = { hot: parts.caches.hot.stats().state, queries: parts.caches.queries.stats().state };
    const circuits = parts.evidence.circuits();
    const audit = { status: parts.audit.state };
    const prepared = parts.isReady();
    const unavailable = postgres === 'down' || !prepared;
    const degraded =
      unavailable ||
      audit.status !== 'up' ||
      cache.hot !== 'up' ||
      cache.queries !== 'up' ||
      Object.values(circuits).some((state) => state !== 'closed');
    return {
      status: unavailable ? 'unavailable' : degraded ? 'degraded' : 'ok',
      degraded,
      constitution: { hash: parts.constitutionalHash },
      postgres: { status: postgres, prepared },
      cache,
      circuits,
      audit,
    };
  };
}

async function probe(db: Postgres<Database>): Promise<'up' | 'down'> {
  try {
    await db.query('select 1', [], { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    return 'up';
  } catch {
    return 'down';
  }
}

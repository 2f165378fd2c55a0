import type { Cache } from '@hotpath/cache';
import type { Postgres } from '@hotpath/postgres';
import type { EvidenceSource } from './evidence.ts';
import type { Database } from './schema.ts';

export interface Health {
  /** `degraded`: it answers, with a part away; `unavailable`: it can't do its work. */
  readonly status: 'ok' | 'degraded' | 'unavailable';
  readonly degraded: boolean;
  readonly constitution: { readonly hash: string };
  readonly postgres: { readonly status: 'up' | 'down' };
  readonly cache: { readonly state: string };
  readonly circuits: Readonly<Record<string, string>>;
}

const PROBE_TIMEOUT_MS = 1_000;

/** Asks each part how it is, now; takes about a second at most. */
export function createHealthCheck(parts: {
  readonly constitutionalHash: string;
  readonly db: Postgres<Database>;
  readonly cache: Cache;
  readonly evidence: EvidenceSource;
}): () => Promise<Health> {
  return async () => {
    const postgres = await probe(parts.db);
    const cache = parts.cache.stats().state;
    const circuits = parts.evidence.circuits();
    const degraded =
      postgres === 'down' || cache !== 'up' || Object.values(circuits).some((state) => state !== 'closed');
    return {
      status: postgres === 'down' ? 'unavailable' : degraded ? 'degraded' : 'ok',
      degraded,
      constitution: { hash: parts.constitutionalHash },
      postgres: { status: postgres },
      cache: { state: cache },
      circuits,
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

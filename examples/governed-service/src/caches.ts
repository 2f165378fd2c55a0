import { type Cache, databaseQueryCache, hotEndpointCache } from '@hotpath/cache';
import { Redis } from 'ioredis';

/** The service's caches: one for single policies, one for searches; both bound to the constitutional hash. */
export interface Caches extends AsyncDisposable {
  readonly hot: Cache;
  readonly queries: Cache;
}

/** While Redis is away, what other instances changed is noticed this late. */
const AWAY_TTL_MS = 10_000;
/** A page of long policies is large: what is kept in memory is counted in bytes as well. */
const MOST_BYTES = 64 * 1024 * 1024;

/** Without `redisUrl` there is only memory. */
export function createCaches(redisUrl: string | undefined, constitutionalHash: string): Caches {
  const redis = redisUrl === undefined ? undefined : connect(redisUrl);
  const l1 = { maxBytes: MOST_BYTES };
  const options = { constitutionalHash, redis, l1, awayTtlMs: AWAY_TTL_MS, graceMs: 60_000 };
  const hot = hotEndpointCache({ ...options, namespace: 'policy' });
  const queries = databaseQueryCache({ ...options, namespace: 'policy-search' });
  return {
    hot,
    queries,
    async [Symbol.asyncDispose]() {
      await Promise.all([hot.close(), queries.close()]);
      redis?.disconnect();
    },
  };
}

function connect(redisUrl: string): Redis {
  // The caches make connections of their own from this one's options.
  return new Redis(redisUrl, { lazyConnect: true });
}

import type { Cache } from './cache.ts';
import { RedisTier } from './internal/redis-tier.ts';
import { TwoTierCache } from './internal/two-tier-cache.ts';
import { type CacheOptions, resolveCacheOptions } from './options.ts';

/**
 * Makes a cache, which works at once: in memory, and in Redis as soon and as long as that answers.
 *
 * With `redis` it opens two connections of its own (on a Cluster two to each node), in the background. It owns
 * them, and nothing else: `close()` it at the end; the client stays yours. One cache a kind of data, not one a request.
 *
 * @throws TypeError when an option is of the wrong kind, missing or unknown.
 * @throws RangeError when an option is out of its range.
 *
 * @example
 * const cache = createCache({ namespace: 'policies', ttlMs: 300_000 });
 * const getPolicy = cache.wrap(async (id: number) => ({ id, name: `policy ${id}` }), { name: 'policy' });
 * await getPolicy(42);
 * await cache.close();
 */
export function createCache(options: CacheOptions): Cache {
  return new TwoTierCache(resolveCacheOptions(options), (resolved, counters, sink) => {
    const { redis } = resolved;
    return redis === undefined ? undefined : new RedisTier(redis, resolved, counters, sink);
  });
}

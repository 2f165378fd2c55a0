import { strict as assert } from 'node:assert';
import type { Contender, ServerAddress, ServerStarter } from '../harness/index.ts';

const KEYS = 1_000;
const body = 'x'.repeat(150);

export interface Policy {
  readonly id: number;
  readonly body: string;
}

type Redis = { readonly redis: ServerStarter<ServerAddress> };
type RedisContender = Contender<undefined, Redis>;

export async function loadPolicy(id: number): Promise<Policy> {
  await new Promise((resolve) => setTimeout(resolve, 2));
  return { id, body };
}

const idOf = (index: number): number => (index * 7) % KEYS;
const check = (value: Policy, index: number): void => assert.equal(value.id, idOf(index));

/** Every contender that keeps values in Redis; `l1Entries` is how many it may hold in memory. */
export function redisContenders(l1Entries: number): Record<string, RedisContender> {
  return {
    'ioredis, auto-pipelined': {
      role: 'limit',
      library: 'ioredis',
      note: 'GET and parse, SET on a miss, auto-pipelining on',
      async setup({ servers }) {
        const { Redis } = await import('ioredis');
        const redis = new Redis(servers.redis.url, { enableAutoPipelining: true });
        redis.on('error', () => {});
        const get = async (id: number): Promise<Policy> => {
          const text = await redis.get(`raw:${id}`);
          if (text !== null) return JSON.parse(text) as Policy;
          const policy = await loadPolicy(id);
          await redis.set(`raw:${id}`, JSON.stringify(policy));
          return policy;
        };
        await Promise.all(Array.from({ length: KEYS }, (_, id) => get(id)));
        return { run: (index) => get(idOf(index)), check, close: () => redis.disconnect() };
      },
    },
    'layered-loader': {
      role: 'peer',
      library: 'layered-loader',
      note: 'defaults',
      async setup({ servers }) {
        const { Loader, RedisCache } = await import('layered-loader');
        const { Redis } = await import('ioredis');
        const redis = new Redis(servers.redis.url);
        redis.on('error', () => {});
        const loader = new Loader<Policy>({
          ...(l1Entries > 0 && {
            inMemoryCache: { cacheType: 'lru-object' as const, ttlInMsecs: 300_000, maxItems: l1Entries },
          }),
          asyncCache: new RedisCache<Policy>(redis, { prefix: 'layered', json: true, ttlInMsecs: 300_000 }),
          dataSources: [
            {
              name: 'source',
              get: (key: string) => loadPolicy(Number(key)),
              getMany: (ids: string[]) => Promise.all(ids.map((id) => loadPolicy(Number(id)))),
            },
          ],
        });
        await Promise.all(Array.from({ length: KEYS }, (_, id) => loader.get(`${id}`)));
        return { run: (index) => loader.get(`${idOf(index)}`), check, close: () => redis.disconnect() };
      },
    },
    'async-cache-dedupe': {
      role: 'peer',
      library: 'async-cache-dedupe',
      note: 'Redis storage, ttl 300 s',
      async setup({ servers }) {
        const { createCache } = await import('async-cache-dedupe');
        const { Redis } = await import('ioredis');
        const redis = new Redis(servers.redis.url, { enableAutoPipelining: true });
        redis.on('error', () => {});
        const cache = createCache({
          ttl: 300,
          storage: { type: 'redis', options: { client: redis as never } },
        }).define('policy', loadPolicy);
        await Promise.all(Array.from({ length: KEYS }, (_, id) => cache.policy(id)));
        return { run: (index) => cache.policy(idOf(index)), check, close: () => redis.disconnect() };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/cache',
      note: 'defaults',
      async setup({ servers }) {
        const { createCache } = await import('@hotpath/cache');
        const { Redis } = await import('ioredis');
        const redis = new Redis(servers.redis.url, { lazyConnect: true });
        redis.on('error', () => {});
        const cache = createCache({
          namespace: 'bench',
          redis,
          ttlMs: 300_000,
          l1: { maxEntries: l1Entries },
        });
        const get = cache.wrap(loadPolicy, { name: 'policy' });
        while (cache.state !== 'up') await new Promise((resolve) => setTimeout(resolve, 5));
        await Promise.all(Array.from({ length: KEYS }, (_, id) => get(id)));
        return {
          run: (index) => get(idOf(index)),
          check,
          close: async () => {
            await cache.close();
            redis.disconnect();
          },
        };
      },
    },
  };
}

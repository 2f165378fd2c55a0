import { strict as assert } from 'node:assert';
import { once } from 'node:events';
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

/** Once, so that every key is in Redis. */
async function fill(get: (id: number) => Promise<unknown>): Promise<void> {
  await Promise.all(Array.from({ length: KEYS }, (_, id) => get(id)));
}

/** What a careful user of ioredis sets by hand, so that a lost Redis holds nobody up for long. */
const hardened = { commandTimeout: 100, enableOfflineQueue: false, maxRetriesPerRequest: 0 } as const;

/** Every contender that keeps values in Redis; `l1Entries` is how many it may hold in memory. */
export function redisContenders(l1Entries: number): Record<string, RedisContender> {
  return {
    'ioredis, auto-pipelined': ioredisContender(true),
    'layered-loader': layeredLoaderContender(l1Entries, false),
    'layered-loader, hardened': layeredLoaderContender(l1Entries, true),
    'async-cache-dedupe': dedupeContender(false),
    'async-cache-dedupe, hardened': dedupeContender(true),
    bentocache: bentocacheContender(l1Entries, false),
    'bentocache, hardened': bentocacheContender(l1Entries, true),
    cacheable: cacheableContender(l1Entries, false),
    'cacheable, non-blocking': cacheableContender(l1Entries, true),
    'cache-manager': cacheManagerContender(l1Entries),
    cachified: cachifiedContender,
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
        await fill(get);
        let answered = 0;
        return {
          run: (index) => get(idOf(index)),
          check,
          // Without Redis callers are served all the same; it has recovered when Redis answers again.
          usesServer() {
            const { hits, misses } = cache.stats().l2;
            const before = answered;
            answered = hits + misses;
            return answered > before;
          },
          close: async () => {
            await cache.close();
            redis.disconnect();
          },
        };
      },
    },
  };
}

/** What there is without a library for caches; keeps nothing in memory. */
export function ioredisContender(isAutoPipelined: boolean): RedisContender {
  return {
    role: 'limit',
    library: 'ioredis',
    note: `GET and parse, SET on a miss, auto-pipelining ${isAutoPipelined ? 'on' : 'off, its default'}`,
    async setup({ servers }) {
      const { Redis } = await import('ioredis');
      const redis = new Redis(servers.redis.url, { enableAutoPipelining: isAutoPipelined });
      redis.on('error', () => {});
      const get = async (id: number): Promise<Policy> => {
        const text = await redis.get(`raw:${id}`);
        if (text !== null) return JSON.parse(text) as Policy;
        const policy = await loadPolicy(id);
        await redis.set(`raw:${id}`, JSON.stringify(policy));
        return policy;
      };
      await fill(get);
      return { run: (index) => get(idOf(index)), check, close: () => redis.disconnect() };
    },
  };
}

function layeredLoaderContender(l1Entries: number, isHardened: boolean): RedisContender {
  return {
    role: 'peer',
    library: 'layered-loader',
    note: isHardened ? 'command timeout 100 ms, no offline queue' : 'defaults',
    async setup({ servers }) {
      const { Loader, RedisCache } = await import('layered-loader');
      const { Redis } = await import('ioredis');
      const redis = new Redis(servers.redis.url, isHardened ? hardened : {});
      redis.on('error', () => {});
      await once(redis, 'ready');
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
      await fill((id) => loader.get(`${id}`));
      return { run: (index) => loader.get(`${idOf(index)}`), check, close: () => redis.disconnect() };
    },
  };
}

/** It has one storage, so nothing is in memory. */
function dedupeContender(isHardened: boolean): RedisContender {
  return {
    role: 'peer',
    library: 'async-cache-dedupe',
    note: isHardened ? 'command timeout 100 ms, no offline queue' : 'Redis storage, ttl 300 s',
    async setup({ servers }) {
      const { createCache } = await import('async-cache-dedupe');
      const { Redis } = await import('ioredis');
      const redis = new Redis(servers.redis.url, isHardened ? hardened : {});
      redis.on('error', () => {});
      await once(redis, 'ready');
      const cache = createCache({
        ttl: 300,
        storage: { type: 'redis', options: { client: redis as never } },
      }).define('policy', loadPolicy);
      await fill((id) => cache.policy(id));
      return { run: (index) => cache.policy(idOf(index)), check, close: () => redis.disconnect() };
    },
  };
}

function cacheManagerContender(l1Entries: number): RedisContender {
  return {
    role: 'peer',
    library: 'cache-manager',
    note: 'over @keyv/redis, memory before it as its manual shows',
    async setup({ servers }) {
      const { createCache } = await import('cache-manager');
      const { CacheableMemory, Keyv } = await import('cacheable');
      const { createKeyv } = await import('@keyv/redis');
      const redis = createKeyv(servers.redis.url);
      redis.on('error', () => {});
      const memory = new CacheableMemory({ lruSize: l1Entries });
      const stores = [...(l1Entries > 0 ? [new Keyv({ store: memory as never })] : []), redis as never];
      const cache = createCache({ stores, ttl: 300_000 });
      const get = (id: number): Promise<Policy> => cache.wrap(`policy:${id}`, () => loadPolicy(id));
      await fill(get);
      return { run: (index) => get(idOf(index)), check, close: () => cache.disconnect() };
    },
  };
}

/** Its cache is whatever one gives it, here what its adapters for Redis do; it has one, so nothing is in memory. */
const cachifiedContender: RedisContender = {
  role: 'peer',
  library: '@epic-web/cachified',
  note: 'over ioredis',
  async setup({ servers }) {
    const { cachified } = await import('@epic-web/cachified');
    const { Redis } = await import('ioredis');
    const redis = new Redis(servers.redis.url);
    redis.on('error', () => {});
    await once(redis, 'ready');
    const cache = {
      async get(key: string) {
        const text = await redis.get(key);
        return text === null ? null : JSON.parse(text);
      },
      set: (key: string, entry: unknown) => redis.set(key, JSON.stringify(entry), 'PX', 300_000),
      delete: (key: string) => redis.del(key),
    };
    const get = (id: number): Promise<Policy> =>
      cachified({ cache, key: `policy:${id}`, ttl: 300_000, getFreshValue: () => loadPolicy(id) });
    await fill(get);
    return { run: (index) => get(idOf(index)), check, close: () => redis.disconnect() };
  },
};

function bentocacheContender(l1Entries: number, isHardened: boolean): RedisContender {
  return {
    role: 'peer',
    library: 'bentocache',
    note: isHardened ? 'breaker 1 s, command timeout 100 ms, no offline queue' : 'defaults',
    async setup({ servers }) {
      const { BentoCache, bentostore } = await import('bentocache');
      const { memoryDriver } = await import('bentocache/drivers/memory');
      const { redisDriver } = await import('bentocache/drivers/redis');
      const { host, port } = servers.redis;
      const connection = { host, port, ...(isHardened && hardened) };
      const store = bentostore().useL2Layer(redisDriver({ connection }));
      if (l1Entries > 0) store.useL1Layer(memoryDriver({ maxItems: l1Entries }));
      const bento = new BentoCache({
        default: 'main',
        stores: { main: store },
        ...(isHardened && { l2CircuitBreakerDuration: '1s' as const, suppressL2Errors: true }),
      });
      const get = (id: number) =>
        bento.getOrSet({ key: `policy:${id}`, ttl: '5m', factory: () => loadPolicy(id) });
      // Without an offline queue the first commands would come before the connection does.
      await new Promise((resolve) => setTimeout(resolve, 300));
      await fill(get);
      return { run: (index) => get(idOf(index)), check, close: () => bento.disconnectAll() };
    },
  };
}

/** A store for `cacheable`, whose memory can't be switched off. */
const keepsNothing = {
  get: () => undefined,
  set: () => true,
  delete: () => true,
  has: () => false,
  clear: () => {},
};

function cacheableContender(l1Entries: number, isNonBlocking: boolean): RedisContender {
  return {
    role: 'peer',
    library: 'cacheable',
    note: isNonBlocking ? 'nonBlocking, over @keyv/redis' : 'over @keyv/redis',
    async setup({ servers }) {
      const { Cacheable, CacheableMemory, Keyv } = await import('cacheable');
      const { createKeyv } = await import('@keyv/redis');
      const memory = l1Entries > 0 ? new CacheableMemory({ lruSize: l1Entries }) : keepsNothing;
      const cache = new Cacheable({
        primary: new Keyv({ store: memory as never }),
        secondary: createKeyv(servers.redis.url) as never,
        nonBlocking: isNonBlocking,
      });
      cache.on('error', () => {});
      const get = (id: number) =>
        cache.getOrSet(`policy:${id}`, () => loadPolicy(id), { ttl: '5m' }) as Promise<Policy>;
      await fill(get);
      return { run: (index) => get(idOf(index)), check, close: () => cache.disconnect() };
    },
  };
}

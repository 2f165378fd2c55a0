import { once } from 'node:events';

/** A cache in memory and Redis over one loader of texts. */
export interface TextCache {
  get(key: string): Promise<string | undefined>;
  close(): unknown;
}

type Load = (key: string) => Promise<string>;

/** Opens the named library's cache over `load`, each as its documentation shows it for a fleet. */
export function opened(library: string, url: string, load: Load): Promise<TextCache> {
  const open = makers[library];
  if (open === undefined) throw new RangeError(`no cache of ${library} is known here`);
  return open(url, load);
}

const makers: Readonly<Record<string, (url: string, load: Load) => Promise<TextCache>>> = {
  'layered-loader': async (url, load) => {
    const { Loader, RedisCache } = await import('layered-loader');
    const { Redis } = await import('ioredis');
    const redis = new Redis(url);
    await once(redis, 'ready');
    const loader = new Loader<string>({
      inMemoryCache: { cacheType: 'lru-object', ttlInMsecs: 300_000, maxItems: 1_000 },
      asyncCache: new RedisCache<string>(redis, { prefix: 'layered', json: true, ttlInMsecs: 300_000 }),
      dataSources: [{ name: 'source', get: load, getMany: (keys: string[]) => Promise.all(keys.map(load)) }],
    });
    return { get: async (key) => (await loader.get(key)) ?? undefined, close: () => redis.disconnect() };
  },
  'async-cache-dedupe': async (url, load) => {
    const { createCache } = await import('async-cache-dedupe');
    const { Redis } = await import('ioredis');
    const redis = new Redis(url);
    await once(redis, 'ready');
    const storage = { type: 'redis' as const, options: { client: redis as never } };
    const cache = createCache({ ttl: 300, storage }).define('load', load);
    return { get: (key) => cache.load(key), close: () => redis.disconnect() };
  },
  bentocache: async (url, load) => {
    const { BentoCache, bentostore } = await import('bentocache');
    const { memoryDriver } = await import('bentocache/drivers/memory');
    const { redisDriver } = await import('bentocache/drivers/redis');
    const { hostname: host, port } = new URL(url);
    const store = bentostore()
      .useL1Layer(memoryDriver({ maxItems: 1_000 }))
      .useL2Layer(redisDriver({ connection: { host, port: Number(port) } }));
    const bento = new BentoCache({ default: 'main', stores: { main: store } });
    return {
      get: (key) => bento.getOrSet({ key, ttl: '5m', factory: () => load(key) }),
      close: () => bento.disconnectAll(),
    };
  },
  cacheable: async (url, load) => {
    const { Cacheable } = await import('cacheable');
    const { createKeyv } = await import('@keyv/redis');
    const cache = new Cacheable({ secondary: createKeyv(url) as never });
    return {
      get: (key) => cache.getOrSet(key, () => load(key), { ttl: '5m' }),
      close: () => cache.disconnect(),
    };
  },
  '@hotpath/cache': async (url, load) => {
    const { createCache } = await import('@hotpath/cache');
    const { Redis } = await import('ioredis');
    const redis = new Redis(url, { lazyConnect: true });
    const cache = createCache({ namespace: 'stampede', redis, ttlMs: 300_000 });
    while (cache.state !== 'up') await new Promise((resolve) => setTimeout(resolve, 5));
    const get = cache.wrap(load, { name: 'text' });
    return { get, close: () => cache.close() };
  },
};

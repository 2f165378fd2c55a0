/** A cache in memory that is asked with a key and what to load when it has nothing. */
export interface MemoryCache {
  through<Value>(key: string, load: () => Promise<Value>): Promise<Value>;
  close?(): unknown;
}

export async function bentocacheInMemory(): Promise<MemoryCache> {
  const { BentoCache, bentostore } = await import('bentocache');
  const { memoryDriver } = await import('bentocache/drivers/memory');
  const layer = memoryDriver({ maxItems: 10_000, serialize: false });
  const bento = new BentoCache({ default: 'main', stores: { main: bentostore().useL1Layer(layer) } });
  return {
    through: (key, load) => bento.getOrSet({ key, ttl: '5m', factory: load }),
    close: () => bento.disconnectAll(),
  };
}

export async function cachifiedInMemory(): Promise<MemoryCache> {
  const { cachified } = await import('@epic-web/cachified');
  const { LRUCache } = await import('lru-cache');
  // biome-ignore lint/suspicious/noExplicitAny: the entry type of cachified holds any value
  const cache = new LRUCache<string, any>({ max: 10_000 });
  return { through: (key, load) => cachified({ cache, key, ttl: 300_000, getFreshValue: load }) };
}

export async function cacheManagerInMemory(): Promise<MemoryCache> {
  const { createCache } = await import('cache-manager');
  const cache = createCache({ ttl: 300_000 });
  return { through: (key, load) => cache.wrap(key, load), close: () => cache.disconnect() };
}

/** The memory of layered-loader in front of `load`, by keys that `keyOf` makes. */
export async function layeredLoaderInMemory<Value, Call>(
  load: (call: Call) => Promise<Value>,
  keyOf: (call: Call) => string,
): Promise<(call: Call) => Promise<Value | undefined | null>> {
  const { Loader } = await import('layered-loader');
  const loader = new Loader<Value, Call>({
    inMemoryCache: { cacheType: 'lru-object', ttlInMsecs: 300_000, maxItems: 10_000 },
    cacheKeyFromLoadParamsResolver: keyOf,
    dataSources: [{ name: 'source', get: load, getMany: async () => [] }],
  });
  return (call) => loader.get(call);
}

/** Ours over `load`; `peek` is a hit without a promise. */
export async function hotpathInMemory<Args extends readonly unknown[], Value>(
  load: (...args: Args) => Promise<Value>,
) {
  const { createCache } = await import('@hotpath/cache');
  const cache = createCache({ namespace: 'bench', ttlMs: 300_000 });
  return { get: cache.wrap(load, { name: 'policy' }), close: () => cache.close() };
}

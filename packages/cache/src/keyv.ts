import type { Cache } from './cache.ts';

/** What {@link createKeyvStore} gives: a storage adapter for `new Keyv({ store })`. */
export interface KeyvStore {
  readonly opts: { readonly dialect: string };
  namespace: string | undefined;
  get<Value>(key: string): Promise<Value | undefined>;
  getMany<Value>(keys: string[]): Promise<(Value | undefined)[]>;
  /** `ttlMs` absent: the cache's own. */
  set(key: string, value: unknown, ttlMs?: number): Promise<boolean>;
  has(key: string): Promise<boolean>;
  delete(key: string): Promise<boolean>;
  deleteMany(keys: string[]): Promise<boolean>;
  clear(): Promise<void>;
  on(event: string, listener: (...args: unknown[]) => void): KeyvStore;
  disconnect(): Promise<void>;
}

/** Makes a Keyv storage adapter over a cache; the cache stays its maker's to close. */
export function createKeyvStore(cache: Cache): KeyvStore {
  const store: KeyvStore = {
    opts: { dialect: 'hotpath' },
    namespace: undefined,
    get: (key) => cache.get(key),
    getMany: (keys) => cache.getMany(keys),
    set: async (key, value, ttlMs) => {
      await cache.set(key, value, ttlMs === undefined ? {} : { ttlMs, jitterRatio: 0 });
      return true;
    },
    has: (key) => cache.has(key),
    delete: async (key) => {
      const had = await cache.has(key);
      await cache.delete(key);
      return had;
    },
    deleteMany: async (keys) => {
      const had = await Promise.all(keys.map((key) => cache.has(key)));
      await cache.delete(...keys);
      return had.some(Boolean);
    },
    clear: async () => {
      await cache.clear();
    },
    on: () => store,
    disconnect: async () => {},
  };
  return store;
}

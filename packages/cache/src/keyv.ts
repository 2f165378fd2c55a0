import type { Cache } from './cache.ts';

/** One of the values that `setMany` stores. */
export interface KeyvStoreEntry {
  readonly key: string;
  readonly value: unknown;
  /** Milliseconds; absent: the cache's own. */
  readonly ttl?: number | undefined;
}

/** What {@link createKeyvStore} gives: a storage adapter for `new Keyv({ store })`. */
export interface KeyvStore {
  readonly opts: { readonly dialect: string };
  namespace: string | undefined;
  get<Value>(key: string): Promise<Value | undefined>;
  getMany<Value>(keys: string[]): Promise<(Value | undefined)[]>;
  /** `ttlMs` absent: the cache's own. */
  set(key: string, value: unknown, ttlMs?: number): Promise<boolean>;
  setMany(entries: readonly KeyvStoreEntry[]): Promise<boolean[]>;
  has(key: string): Promise<boolean>;
  hasMany(keys: string[]): Promise<boolean[]>;
  delete(key: string): Promise<boolean>;
  deleteMany(keys: string[]): Promise<boolean>;
  clear(): Promise<void>;
  on(event: string, listener: (...args: unknown[]) => void): KeyvStore;
  disconnect(): Promise<void>;
}

/**
 * Makes a Keyv storage adapter over a cache; the cache stays its maker's to close.
 *
 * A key is the cache's own; under a Keyv namespace it is the namespace, NUL and the key, and `clear()`
 * drops that namespace alone, in one round trip. Each Keyv needs a store of its own. There is no iterator:
 * nothing here ever walks through the keys. A time to live that Keyv gives is kept to the millisecond.
 *
 * @example
 * const cache = createCache({ namespace: 'sessions' });
 * const store = createKeyvStore(cache); // new Keyv({ store, namespace: 'eu' })
 * await store.set('a', 1, 60_000);
 * await cache.close();
 */
export function createKeyvStore(cache: Cache): KeyvStore {
  // Without NUL in it one namespace can't run into another's keys.
  const prefix = (): string =>
    store.namespace === undefined ? '' : `${encodeURIComponent(store.namespace)}\0`;
  // Keyv 6 gives `set` an absolute time instead of a life where all methods are `async` functions, which Keyv 5
  // never does: `get` and `has` are plain functions here, so that both give a life.
  const store: KeyvStore = {
    opts: { dialect: 'hotpath' },
    namespace: undefined,
    get: (key) => cache.get(prefix() + key),
    getMany: (keys) => cache.getMany(keys.map((key) => prefix() + key)),
    set: async (key, value, ttlMs) => {
      await cache.set(prefix() + key, value, ttlMs === undefined ? {} : { ttlMs, jitterRatio: 0 });
      return true;
    },
    setMany: (entries) => Promise.all(entries.map(({ key, value, ttl }) => store.set(key, value, ttl))),
    has: (key) => cache.has(prefix() + key),
    hasMany: (keys) => Promise.all(keys.map((key) => store.has(key))),
    delete: async (key) => store.deleteMany([key]),
    deleteMany: async (keys) => {
      const all = keys.map((key) => prefix() + key);
      const had = await Promise.all(all.map((key) => cache.has(key)));
      await cache.delete(...all);
      return had.some(Boolean);
    },
    clear: async () => {
      if (store.namespace === undefined) await cache.clear();
      else await cache.invalidatePrefix(prefix());
    },
    on: () => store,
    disconnect: async () => {},
  };
  return store;
}

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
  /** Set by Keyv; part of every key. */
  namespace: string | undefined;
  /** `undefined` when there is none. */
  get<Value>(key: string): Promise<Value | undefined>;
  /** In the order of the keys. One round trip. */
  getMany<Value>(keys: string[]): Promise<(Value | undefined)[]>;
  /** `ttlMs` absent: the cache's own; 0: the value is not kept. Always true: what Redis does not get, this process keeps. */
  set(key: string, value: unknown, ttlMs?: number): Promise<boolean>;
  /** As `set` for each, in one turn. */
  setMany(entries: readonly KeyvStoreEntry[]): Promise<boolean[]>;
  /** Whether there is a value, which may be `undefined`. */
  has(key: string): Promise<boolean>;
  /** In the order of the keys. One round trip. */
  hasMany(keys: string[]): Promise<boolean[]>;
  /** Whether there was one. */
  delete(key: string): Promise<boolean>;
  /** Whether there was any of them. */
  deleteMany(keys: string[]): Promise<boolean>;
  /** Drops what is in the namespace; without one, everything in the cache. */
  clear(): Promise<void>;
  /** There are no events: nothing that goes wrong with Redis is an error here. */
  on(event: string, listener: (...args: unknown[]) => void): KeyvStore;
  /** Does nothing: the cache is its maker's to close. */
  disconnect(): Promise<void>;
}

/**
 * Makes a Keyv storage adapter over a cache; the cache stays its maker's to close.
 *
 * A key is the cache's own; under a Keyv namespace it is the namespace, NUL and the key, and `clear()`
 * drops that namespace alone, in one round trip. Each Keyv needs a store of its own. There is no iterator:
 * nothing here ever walks through the keys. A time to live that Keyv gives is kept to the millisecond.
 * Round trips are the cache's own, but for a deletion: two, as Keyv asks whether the key was there.
 *
 * Its methods reject as the cache's do: with a TypeError for a key that is no string, and with
 * AbortedError (HOTPATH_CLOSED) once the cache is closed; never because of Redis.
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

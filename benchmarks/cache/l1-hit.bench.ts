import { strict as assert } from 'node:assert';
import { type Contender, defineSuite } from '../harness/index.ts';
import {
  bentocacheInMemory,
  cacheManagerInMemory,
  cachifiedInMemory,
  hotpathInMemory,
  layeredLoaderInMemory,
  type MemoryCache,
} from './memory-caches.ts';

const KEYS = 1_024;
const keys = Array.from({ length: KEYS }, (_, index) => `policy:${index}`);
const keyOf = (index: number): string => keys[index & (KEYS - 1)] as string;
const load = async (key: string): Promise<{ readonly key: string }> => ({ key });
const check = (value: { readonly key: string }, index: number): void => assert.equal(value.key, keyOf(index));

type Peer = Contender<{ readonly keys: number }, Record<never, never>>;

function through(library: string, note: string, open: () => Promise<MemoryCache>): Peer {
  return {
    role: 'peer',
    library,
    note,
    async setup() {
      const cache = await open();
      const get = (key: string) => cache.through(key, () => load(key));
      for (const key of keys) await get(key);
      return { run: (index) => get(keyOf(index)), check, close: async () => void (await cache.close?.()) };
    },
  };
}

export default defineSuite({
  name: 'l1-hit',
  title: 'A hit in memory, one string key of 1,024',
  kind: 'micro',
  parameters: { keys: KEYS },
  contenders: {
    'a settled promise': {
      role: 'baseline',
      setup: () => {
        const settled = keys.map((key) => Promise.resolve({ key }));
        return { run: (index) => settled[index & (KEYS - 1)], check };
      },
    },
    'await lru-cache': {
      role: 'limit',
      library: 'lru-cache',
      async setup() {
        const { LRUCache } = await import('lru-cache');
        const lru = new LRUCache<string, { key: string }>({ max: 10_000 });
        for (const key of keys) lru.set(key, { key });
        return { run: async (index) => lru.get(keyOf(index)), check };
      },
    },
    'layered-loader': {
      role: 'peer',
      library: 'layered-loader',
      note: 'defaults',
      async setup() {
        const get = await layeredLoaderInMemory(load, (key: string) => key);
        for (const key of keys) await get(key);
        return { run: (index) => get(keyOf(index)), check };
      },
    },
    'async-cache-dedupe': {
      role: 'peer',
      library: 'async-cache-dedupe',
      note: 'defaults, ttl 300 s',
      async setup() {
        const { createCache } = await import('async-cache-dedupe');
        const cache = createCache({ ttl: 300, storage: { type: 'memory' } }).define('load', load);
        for (const key of keys) await cache.load(key);
        return { run: (index) => cache.load(keyOf(index)), check };
      },
    },
    bentocache: through('bentocache', 'memory driver, serialisation off', bentocacheInMemory),
    cachified: through('@epic-web/cachified', 'over lru-cache', cachifiedInMemory),
    'cache-manager': through('cache-manager', 'defaults, ttl 300 s', cacheManagerInMemory),
    cacheable: {
      role: 'peer',
      library: 'cacheable',
      note: 'defaults, ttl 300 s',
      async setup() {
        const { Cacheable } = await import('cacheable');
        const cache = new Cacheable();
        const get = (key: string) => cache.getOrSet(key, () => load(key), { ttl: '5m' });
        for (const key of keys) await get(key);
        return {
          run: (index) => get(keyOf(index)),
          check: (value, index) => check(value as { readonly key: string }, index),
          close: () => cache.disconnect(),
        };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/cache',
      async setup() {
        const { get, close } = await hotpathInMemory(load);
        for (const key of keys) await get(key);
        return { run: (index) => get(keyOf(index)), check, close };
      },
    },
    'hotpath peek': {
      role: 'ours',
      library: '@hotpath/cache',
      async setup() {
        const { get, close } = await hotpathInMemory(load);
        for (const key of keys) await get(key);
        return { run: (index) => get.peek(keyOf(index)), check, close };
      },
    },
  },
  goals: [
    { contender: 'hotpath', figure: 'timeNs', atMost: 75 },
    // The await of any promise is in the figure; what the cache itself allocates is the difference.
    {
      contender: 'hotpath',
      figure: 'bytesPerOp',
      atMost: { times: 1, of: 'a settled promise', plus: 60 },
    },
    { contender: 'hotpath peek', figure: 'timeNs', atMost: 25 },
  ],
});

import { strict as assert } from 'node:assert';
import { type Case, defineSuite } from '../harness/index.ts';
import {
  bentocacheInMemory,
  cachifiedInMemory,
  hotpathInMemory,
  layeredLoaderInMemory,
  type MemoryCache,
} from './memory-caches.ts';

const CALLS = 1_024;

interface Query {
  readonly tenant: string;
  readonly page: number;
}
type Call = readonly [id: number, query: Query];
interface Answer {
  readonly id: number;
  readonly page: number;
}

const calls = Array.from(
  { length: CALLS },
  (_, id): Call => [id, { tenant: `tenant ${id % 37}`, page: id % 50 }],
);
const callOf = (index: number): Call => calls[index & (CALLS - 1)] as Call;
const load = async (id: number, query: Query): Promise<Answer> => ({ id, page: query.page });
const check = (value: Answer, index: number): void => {
  const [id, { page }] = callOf(index);
  assert.deepEqual({ ...value }, { id, page });
};
const jsonKey = (id: number, query: Query): string => JSON.stringify([id, query]);

/** A case that calls `get` with arguments of which each has been asked for once. */
async function filled(
  get: (id: number, query: Query) => Promise<Answer>,
  close: () => unknown = () => {},
): Promise<Case> {
  for (const call of calls) await get(...call);
  return {
    run: (index) => {
      const call = callOf(index);
      return get(call[0], call[1]);
    },
    check,
    close: async () => void (await close()),
  };
}

async function filledThrough(open: () => Promise<MemoryCache>): Promise<Case> {
  const cache = await open();
  return filled(
    (id, query) => cache.through(jsonKey(id, query), () => load(id, query)),
    () => cache.close?.(),
  );
}

export default defineSuite({
  name: 'l1-arguments',
  title: 'A hit in memory, the arguments (number, { tenant, page }) as the key, 1,024 of them',
  kind: 'micro',
  parameters: { calls: CALLS },
  contenders: {
    'a settled promise': {
      role: 'baseline',
      setup: () => {
        const settled = calls.map(([id, { page }]) => Promise.resolve({ id, page }));
        return { run: (index) => settled[index & (CALLS - 1)], check };
      },
    },
    'await lru-cache, template key': {
      role: 'limit',
      library: 'lru-cache',
      note: 'a key written by hand for these two fields',
      async setup() {
        const { LRUCache } = await import('lru-cache');
        const lru = new LRUCache<string, Answer>({ max: 10_000 });
        return filled(async (id, { tenant, page }) => {
          const key = `${id}|${page}|${tenant}`;
          const known = lru.get(key);
          if (known !== undefined) return known;
          const value = { id, page };
          lru.set(key, value);
          return value;
        });
      },
    },
    'layered-loader': {
      role: 'peer',
      library: 'layered-loader',
      note: 'JSON as the key',
      async setup() {
        const get = await layeredLoaderInMemory(
          (call: Call) => load(...call),
          (call) => jsonKey(...call),
        );
        for (const call of calls) await get(call);
        return { run: (index) => get(callOf(index)), check };
      },
    },
    'async-cache-dedupe': {
      role: 'peer',
      library: 'async-cache-dedupe',
      note: 'its own key, ttl 300 s',
      async setup() {
        const { createCache } = await import('async-cache-dedupe');
        const cache = createCache({ ttl: 300, storage: { type: 'memory' } }).define(
          'load',
          ({ id, query }: { readonly id: number; readonly query: Query }) => load(id, query),
        );
        const inputs = calls.map(([id, query]) => ({ id, query }));
        for (const input of inputs) await cache.load(input);
        return { run: (index) => cache.load(inputs[index & (CALLS - 1)] as (typeof inputs)[0]), check };
      },
    },
    bentocache: {
      role: 'peer',
      library: 'bentocache',
      note: 'memory driver, serialisation off, JSON as the key',
      setup: () => filledThrough(bentocacheInMemory),
    },
    cachified: {
      role: 'peer',
      library: '@epic-web/cachified',
      note: 'over lru-cache, JSON as the key',
      setup: () => filledThrough(cachifiedInMemory),
    },
    cacheable: {
      role: 'peer',
      library: 'cacheable',
      note: 'wrap, its own key',
      async setup() {
        const { Cacheable } = await import('cacheable');
        const cache = new Cacheable();
        return filled(cache.wrap(load, { ttl: '5m', keyPrefix: 'load' }), () => cache.disconnect());
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/cache',
      async setup() {
        const { get, close } = await hotpathInMemory(load);
        return filled(get, close);
      },
    },
  },
  goals: [{ contender: 'hotpath', figure: 'timeNs', atMost: 150 }],
});

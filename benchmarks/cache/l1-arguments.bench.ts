import { strict as assert } from 'node:assert';
import { defineSuite } from '../harness/index.ts';

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
        const get = async (id: number, { tenant, page }: Query): Promise<Answer> => {
          const key = `${id}|${page}|${tenant}`;
          const known = lru.get(key);
          if (known !== undefined) return known;
          const value = { id, page };
          lru.set(key, value);
          return value;
        };
        for (const call of calls) await get(...call);
        return {
          run: (index) => {
            const call = callOf(index);
            return get(call[0], call[1]);
          },
          check,
        };
      },
    },
    'layered-loader': {
      role: 'peer',
      library: 'layered-loader',
      note: 'JSON as the key',
      async setup() {
        const { Loader } = await import('layered-loader');
        const loader = new Loader<Answer, Call>({
          inMemoryCache: { cacheType: 'lru-object', ttlInMsecs: 300_000, maxItems: 10_000 },
          cacheKeyFromLoadParamsResolver: (call) => jsonKey(...call),
          dataSources: [{ name: 'source', get: (call: Call) => load(...call), getMany: async () => [] }],
        });
        for (const call of calls) await loader.get(call);
        return { run: (index) => loader.get(callOf(index)), check };
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
      async setup() {
        const { BentoCache, bentostore } = await import('bentocache');
        const { memoryDriver } = await import('bentocache/drivers/memory');
        const layer = memoryDriver({ maxItems: 10_000, serialize: false });
        const bento = new BentoCache({ default: 'main', stores: { main: bentostore().useL1Layer(layer) } });
        const get = (id: number, query: Query) =>
          bento.getOrSet({ key: jsonKey(id, query), ttl: '5m', factory: () => load(id, query) });
        for (const call of calls) await get(...call);
        return {
          run: (index) => {
            const call = callOf(index);
            return get(call[0], call[1]);
          },
          check,
          close: () => bento.disconnectAll(),
        };
      },
    },
    cachified: {
      role: 'peer',
      library: '@epic-web/cachified',
      note: 'over lru-cache, JSON as the key',
      async setup() {
        const { cachified } = await import('@epic-web/cachified');
        const { LRUCache } = await import('lru-cache');
        // biome-ignore lint/suspicious/noExplicitAny: the entry type of cachified holds any value
        const cache = new LRUCache<string, any>({ max: 10_000 });
        const get = (id: number, query: Query) =>
          cachified({ cache, key: jsonKey(id, query), ttl: 300_000, getFreshValue: () => load(id, query) });
        for (const call of calls) await get(...call);
        return {
          run: (index) => {
            const call = callOf(index);
            return get(call[0], call[1]);
          },
          check,
        };
      },
    },
    cacheable: {
      role: 'peer',
      library: 'cacheable',
      note: 'wrap, its own key',
      async setup() {
        const { Cacheable } = await import('cacheable');
        const cache = new Cacheable();
        const get = cache.wrap(load, { ttl: '5m', keyPrefix: 'load' });
        for (const call of calls) await get(...call);
        return {
          run: (index) => {
            const call = callOf(index);
            return get(call[0], call[1]);
          },
          check,
          close: () => cache.disconnect(),
        };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/cache',
      async setup() {
        const { createCache } = await import('@hotpath/cache');
        const cache = createCache({ namespace: 'bench', ttlMs: 300_000 });
        const get = cache.wrap(load, { name: 'policy' });
        for (const call of calls) await get(...call);
        return {
          run: (index) => {
            const call = callOf(index);
            return get(call[0], call[1]);
          },
          check,
          close: () => cache.close(),
        };
      },
    },
  },
  goals: [{ contender: 'hotpath', figure: 'timeNs', atMost: 150 }],
});

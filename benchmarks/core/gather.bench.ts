import { strict as assert } from 'node:assert';
import { defineSuite } from '../harness/index.ts';

const items = Array.from({ length: 10_000 }, (_, index) => index);

export default defineSuite({
  name: 'gather',
  title: 'An async no-op for each of 10,000 items, 50 at once; per item',
  kind: 'micro',
  parameters: { items: items.length, concurrency: 50 },
  contenders: {
    'await in turn': {
      role: 'baseline',
      setup() {
        const worker = async (item: number) => item;
        return {
          operations: items.length,
          async run() {
            const values: number[] = [];
            for (const item of items) values.push(await worker(item));
            return values;
          },
          check: (values: number[]) => assert.deepEqual(values, items),
        };
      },
    },
    'Promise.all': {
      role: 'limit',
      note: 'unbounded',
      setup() {
        const worker = async (item: number) => item;
        return {
          operations: items.length,
          run: () => Promise.all(items.map(worker)),
          check: (values: number[]) => assert.deepEqual(values, items),
        };
      },
    },
    'p-map': {
      role: 'peer',
      library: 'p-map',
      async setup({ parameters: { concurrency } }) {
        const { default: pMap } = await import('p-map');
        const worker = async (item: number) => item;
        return {
          operations: items.length,
          run: () => pMap(items, worker, { concurrency }),
          check: (values: number[]) => assert.deepEqual(values, items),
        };
      },
    },
    'p-limit': {
      role: 'peer',
      library: 'p-limit',
      async setup({ parameters: { concurrency } }) {
        const { default: pLimit } = await import('p-limit');
        const worker = async (item: number) => item;
        const limit = pLimit(concurrency);
        return {
          operations: items.length,
          run: () => limit.map(items, worker),
          check: (values: number[]) => assert.deepEqual(values, items),
        };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/core',
      note: 'mode settled',
      async setup({ parameters: { concurrency } }) {
        const { gather } = await import('@hotpath/core');
        const worker = async (item: number) => item;
        return {
          operations: items.length,
          run: () => gather(items, worker, { concurrency }),
          check(results: Awaited<ReturnType<typeof gather<number, number>>>) {
            assert.deepEqual(
              results.map((result) => (result.status === 'ok' ? result.value : result.error)),
              items,
            );
          },
        };
      },
    },
    'hotpath, fail fast': {
      role: 'ours',
      library: '@hotpath/core',
      note: 'mode failFast, as p-map does',
      async setup({ parameters: { concurrency } }) {
        const { gather } = await import('@hotpath/core');
        const worker = async (item: number) => item;
        return {
          operations: items.length,
          run: () => gather(items, worker, { concurrency, mode: 'failFast' }),
          check: (values: number[]) => assert.deepEqual(values, items),
        };
      },
    },
  },
  goals: [{ contender: 'hotpath', figure: 'timeNs', atMost: { times: 1.3, of: 'p-map' } }],
});

import { strict as assert } from 'node:assert';
import { defineSuite } from '../harness/index.ts';

const KEYS = 100;
const keys = Array.from({ length: KEYS }, (_, index) => index);

/** What a batch is loaded with; answers at once, so that only the batching is measured. */
const load = async (wanted: readonly number[]): Promise<number[]> => wanted.map((key) => key * 2);

const check = (values: readonly number[]): void =>
  assert.deepEqual(
    values,
    keys.map((key) => key * 2),
  );

export default defineSuite({
  name: 'batcher',
  title: '100 single loads of one tick that become one batch; per load',
  kind: 'micro',
  parameters: { keys: KEYS },
  contenders: {
    'load one by one': {
      role: 'baseline',
      setup: () => ({
        operations: KEYS,
        run: () => Promise.all(keys.map(async (key) => (await load([key]))[0] as number)),
        check,
      }),
    },
    'one batch by hand': {
      role: 'limit',
      setup: () => ({ operations: KEYS, run: () => load(keys), check }),
    },
    dataloader: {
      role: 'peer',
      library: 'dataloader',
      note: 'no cache',
      async setup() {
        const { default: DataLoader } = await import('dataloader');
        const loader = new DataLoader<number, number>(load, { cache: false, maxBatchSize: KEYS });
        return { operations: KEYS, run: () => Promise.all(keys.map((key) => loader.load(key))), check };
      },
    },
    'dataloader, shared keys': {
      role: 'peer',
      library: 'dataloader',
      note: 'with its cache for one tick, so that identical keys share a slot as ours do',
      async setup() {
        const { default: DataLoader } = await import('dataloader');
        const loader = new DataLoader<number, number>(
          (wanted) => {
            loader.clearAll();
            return load(wanted);
          },
          { maxBatchSize: KEYS },
        );
        return { operations: KEYS, run: () => Promise.all(keys.map((key) => loader.load(key))), check };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/core',
      async setup() {
        const { batcher } = await import('@hotpath/core');
        const loader = batcher<number, number>(load, { maxBatchSize: KEYS });
        return {
          operations: KEYS,
          run: () => Promise.all(keys.map((key) => loader.load(key))),
          check,
          close: () => loader.close(),
        };
      },
    },
  },
});

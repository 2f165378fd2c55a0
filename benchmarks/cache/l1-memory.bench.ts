import { strict as assert } from 'node:assert';
import { defineSuite } from '../harness/index.ts';

const ENTRIES = 1_000_000;
const VALUE_BYTES = 200;

/** Fills an L1 with `count` values of 200 B, more than its bound of bytes admits. */
async function fill(count: number) {
  const { createCache } = await import('@hotpath/cache');
  globalThis.gc?.();
  const beforeBytes = process.memoryUsage.rss();
  // A text of 200 B and a key of 12, with what the cache keeps of each, counts 496 B.
  const maxBytes = count * 500;
  const cache = createCache({
    namespace: 'memory',
    ttlMs: 3_600_000,
    l1: { maxEntries: Math.ceil(count * 1.1), maxBytes },
  });
  const load = async (id: string): Promise<string> => id.padEnd(VALUE_BYTES, 'x').split('').join('');
  const get = cache.wrap(load, { name: 'text' });
  const keyOf = (id: number): string => `key ${String(id).padStart(8, '0')}`;
  const calls = Math.ceil(count * 1.1);
  for (let id = 0; id < calls; id++) await get(keyOf(id));
  globalThis.gc?.();
  const { bytes, entries } = cache.stats().l1;
  const grownBytes = process.memoryUsage.rss() - beforeBytes;
  const last = get.peek(keyOf(calls - 1));
  await cache.close();
  return {
    entries,
    countedBytes: bytes,
    boundRatio: bytes / maxBytes,
    rssRatio: grownBytes / maxBytes,
    last,
  };
}

export default defineSuite({
  name: 'l1-memory',
  title: '1,000,000 values of 200 B in memory, bounded by bytes',
  kind: 'scenario',
  figure: 'rssRatio',
  better: 'lower',
  rounds: 1,
  parameters: { entries: ENTRIES, valueBytes: VALUE_BYTES },
  contenders: {
    hotpath: {
      role: 'ours',
      library: '@hotpath/cache',
      setup: ({ quick }) => ({
        run: async () => {
          const { last, ...figures } = await fill(quick ? ENTRIES / 10 : ENTRIES);
          assert.equal(last?.length, VALUE_BYTES);
          return figures;
        },
        check: ({ boundRatio }) => assert.ok(boundRatio <= 1),
      }),
    },
  },
  goals: [
    { figure: 'boundRatio', atLeast: 0.95 },
    { figure: 'rssRatio', atMost: 1.5 },
  ],
});

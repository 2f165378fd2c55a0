import { defineSuite, nodeServer } from '../harness/index.ts';
import { checkPolicy } from './policy.ts';

function* paths(count: number): Generator<string> {
  for (let index = 0; index < count; index++) yield `/policies/${index}`;
}

export default defineSuite({
  name: 'gather',
  title: '10,000 GETs of 208 bytes of JSON in one fan-out, 100 at a time',
  kind: 'scenario',
  figure: 'requestsPerSecond',
  better: 'higher',
  parameters: { requests: 10_000 },
  servers: { origin: nodeServer(new URL('origin.ts', import.meta.url)) },
  contenders: {
    'undici request, p-map': {
      role: 'peer',
      library: 'p-map',
      async setup({ servers: { origin }, parameters: { requests } }) {
        const { Pool } = await import('undici');
        const { default: pMap } = await import('p-map');
        const pool = new Pool(origin.url, { connections: 100 });
        const load = async (path: string): Promise<unknown> =>
          (await pool.request({ path, method: 'GET' })).body.json();
        return fanOut(
          requests,
          () => pMap(paths(requests), load, { concurrency: 100 }),
          () => pool.close(),
        );
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/http',
      async setup({ servers: { origin }, parameters: { requests } }) {
        const { createHttpClient } = await import('@hotpath/http');
        const client = createHttpClient({ baseUrl: origin.url });
        const run = async (): Promise<unknown[]> => {
          const results = await client.gather(paths(requests), { as: 'json' });
          return results.map((result) => {
            if (result.status !== 'ok') throw result.error;
            return result.value;
          });
        };
        return fanOut(requests, run, () => client.close());
      },
    },
  },
  goals: [
    { contender: 'hotpath', figure: 'requestsPerSecond', atLeast: { times: 1, of: 'undici request, p-map' } },
    // Less than 100 bytes a request stay behind.
    { contender: 'hotpath', figure: 'heldBytes', atMost: 1_000_000 },
  ],
});

function fanOut(requests: number, gather: () => Promise<unknown[]>, close: () => Promise<void>) {
  return {
    async run() {
      const startMs = performance.now();
      const values = await gather();
      const seconds = (performance.now() - startMs) / 1_000;
      if (values.length !== requests) throw new Error(`${values.length} results`);
      values.forEach(checkPolicy);
      const heldBytes = await grownBy(gather);
      return { requestsPerSecond: requests / seconds, heldBytes, rssBytes: process.memoryUsage().rss };
    },
    check({ requestsPerSecond }: { requestsPerSecond: number }) {
      if (!(requestsPerSecond > 0)) throw new Error('no requests');
    },
    close,
  };
}

/** How much larger the heap is after one more fan-out: its connections and its code are there already. */
async function grownBy(gather: () => Promise<unknown[]>): Promise<number> {
  globalThis.gc?.();
  const beforeBytes = process.memoryUsage().heapUsed;
  await gather().then(() => {});
  // The last result is still in use until this turn of the event loop has ended.
  await new Promise(setImmediate);
  globalThis.gc?.();
  return Math.max(0, process.memoryUsage().heapUsed - beforeBytes);
}

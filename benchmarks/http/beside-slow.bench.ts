import { defineSuite, nodeServer } from '../harness/index.ts';
import { checkPolicy } from './policy.ts';

export default defineSuite({
  name: 'beside-slow',
  title: 'A fast origin for 32 callers, while 200 callers wait on one that takes five seconds',
  kind: 'throughput',
  callers: 32,
  // Connections to the slow origin are opened first; both are to be measured after that.
  warmupMs: 1_500,
  servers: {
    fast: nodeServer(new URL('origin.ts', import.meta.url)),
    slow: nodeServer(new URL('origin.ts', import.meta.url)),
  },
  contenders: {
    'hotpath, alone': {
      role: 'baseline',
      library: '@hotpath/http',
      async setup({ servers: { fast } }) {
        const { createHttpClient } = await import('@hotpath/http');
        const client = createHttpClient({ timeoutMs: Number.POSITIVE_INFINITY });
        const url = `${fast.url}/policies/1`;
        return {
          run: () => client.getJson(url),
          check: checkPolicy,
          close: () => client.close({ drainMs: 0 }),
        };
      },
    },
    'hotpath, beside a slow one': {
      role: 'ours',
      library: '@hotpath/http',
      async setup({ servers: { fast, slow } }) {
        const { createHttpClient } = await import('@hotpath/http');
        const client = createHttpClient({ timeoutMs: Number.POSITIVE_INFINITY });
        const url = `${fast.url}/policies/1`;
        let closed = false;
        const wait = async (): Promise<void> => {
          while (!closed) await client.getJson(`${slow.url}/slow`).catch(() => {});
        };
        for (let index = 0; index < 200; index++) void wait();
        return {
          run: () => client.getJson(url),
          check: checkPolicy,
          close: () => {
            closed = true;
            return client.close({ drainMs: 0 });
          },
        };
      },
    },
  },
  goals: [
    {
      contender: 'hotpath, beside a slow one',
      figure: 'opsPerSecond',
      atLeast: { times: 0.95, of: 'hotpath, alone' },
    },
  ],
});

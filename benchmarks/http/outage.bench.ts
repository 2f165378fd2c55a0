import { defineSuite, nodeServer } from '../harness/index.ts';
import { axiosPolicy, gotPolicy } from './keep-alive-peers.ts';
import { checkPolicy } from './policy.ts';

const origin = nodeServer(new URL('origin.ts', import.meta.url));

export default (['kill', 'freeze'] as const).map((script) =>
  defineSuite({
    name: `outage-${script}`,
    title: `What callers see while their origin is ${script === 'kill' ? 'killed and restarted' : 'frozen'}`,
    kind: 'fault',
    server: 'origin',
    script,
    servers: { origin },
    contenders: {
      'undici request': {
        role: 'peer',
        library: 'undici',
        note: 'timeouts of one second',
        async setup({ servers: { origin } }) {
          const { Pool } = await import('undici');
          const pool = new Pool(origin.url, { connections: 100, headersTimeout: 1_000, bodyTimeout: 1_000 });
          return {
            run: async () => (await pool.request({ path: '/policies/1', method: 'GET' })).body.json(),
            check: checkPolicy,
            close: () => pool.destroy(),
          };
        },
      },
      got: {
        role: 'peer',
        library: 'got',
        note: 'request timeout of one second, keep-alive',
        setup: ({ servers: { origin } }) => gotPolicy(origin, { timeoutMs: 1_000 }),
      },
      'global fetch': {
        role: 'peer',
        note: 'AbortSignal.timeout of one second',
        setup({ servers: { origin } }) {
          const url = `${origin.url}/policies/1`;
          const get = async (): Promise<unknown> =>
            (await fetch(url, { signal: AbortSignal.timeout(1_000) })).json();
          return { run: get, check: checkPolicy };
        },
      },
      axios: {
        role: 'peer',
        library: 'axios',
        note: 'timeout of one second, keep-alive',
        setup: ({ servers: { origin } }) => axiosPolicy(origin, { timeoutMs: 1_000 }),
      },
      ky: {
        role: 'peer',
        library: 'ky',
        note: 'totalTimeout of one second; tries again twice, its default',
        async setup({ servers: { origin } }) {
          const { default: ky } = await import('ky');
          const client = ky.create({ totalTimeout: 1_000 });
          const url = `${origin.url}/policies/1`;
          return { run: () => client.get(url).json(), check: checkPolicy };
        },
      },
      hotpath: {
        role: 'ours',
        library: '@hotpath/http',
        note: 'timeoutMs 1,000; circuit tries again after one second',
        async setup({ servers: { origin } }) {
          const { createHttpClient } = await import('@hotpath/http');
          const client = createHttpClient({
            baseUrl: origin.url,
            timeoutMs: 1_000,
            breaker: { openMs: 1_000, openFactor: 1 },
          });
          return {
            run: () => client.getJson('/policies/1'),
            check: checkPolicy,
            close: () => client.close({ drainMs: 0 }),
          };
        },
      },
    },
    goals: [
      { contender: 'hotpath', figure: 'longestStallMs', atMost: 1_200 },
      { contender: 'hotpath', figure: 'unsettled', atMost: 0 },
    ],
  }),
);

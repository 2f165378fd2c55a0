import { defineSuite, nodeServer } from '../harness/index.ts';
import { axiosPolicy, gotPolicy } from './keep-alive-peers.ts';
import { checkPolicy } from './policy.ts';

export default defineSuite({
  name: 'json',
  title: 'GET of 208 bytes of JSON, parsed; 64 callers, keep-alive',
  kind: 'throughput',
  callers: 64,
  // The goals are for a steady state; until then it is the engine's compiler that is measured.
  warmupMs: 800,
  durationMs: 800,
  parameters: { callers: 64 },
  servers: { origin: nodeServer(new URL('origin.ts', import.meta.url)) },
  contenders: {
    'no network': {
      role: 'baseline',
      async setup() {
        const { policyBody } = await import('./policy.ts');
        return { run: async () => JSON.parse(policyBody) as unknown, check: checkPolicy };
      },
    },
    'raw sockets': {
      role: 'limit',
      note: 'one request a socket, minimal parser',
      async setup({ servers: { origin } }) {
        const { RawSockets } = await import('./raw-sockets.ts');
        const sockets = new RawSockets(origin.port);
        return { run: () => sockets.get('/policies/1'), check: checkPolicy, close: () => sockets.close() };
      },
    },
    'undici dispatch': {
      role: 'peer',
      library: 'undici',
      note: 'Pool of 64, own handler, no limits',
      async setup({ servers: { origin }, parameters: { callers } }) {
        const { Pool } = await import('undici');
        const pool = new Pool(origin.url, { connections: callers, pipelining: 1 });
        const noop = (): void => {};
        return {
          run: () =>
            new Promise<unknown>((resolve, reject) => {
              const chunks: Buffer[] = [];
              pool.dispatch(
                { path: '/policies/1', method: 'GET', headers: ['accept', 'application/json'] },
                {
                  onRequestStart: noop,
                  onResponseStart: noop,
                  onResponseData: (_controller, chunk) => void chunks.push(chunk),
                  onResponseEnd: () =>
                    resolve(
                      JSON.parse((chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)).toString()),
                    ),
                  onResponseError: (_controller, error) => reject(error),
                },
              );
            }),
          check: checkPolicy,
          close: () => pool.close(),
        };
      },
    },
    'undici request': {
      role: 'peer',
      library: 'undici',
      note: 'Pool of 64, body.json()',
      async setup({ servers: { origin }, parameters: { callers } }) {
        const { Pool } = await import('undici');
        const pool = new Pool(origin.url, { connections: callers, pipelining: 1 });
        const headers = { accept: 'application/json' };
        return {
          run: async () => (await pool.request({ path: '/policies/1', method: 'GET', headers })).body.json(),
          check: checkPolicy,
          close: () => pool.close(),
        };
      },
    },
    'undici fetch': {
      role: 'peer',
      library: 'undici',
      async setup({ servers: { origin } }) {
        const { fetch } = await import('undici');
        const url = `${origin.url}/policies/1`;
        return { run: async () => (await fetch(url)).json(), check: checkPolicy };
      },
    },
    'global fetch': {
      role: 'peer',
      setup({ servers: { origin } }) {
        const url = `${origin.url}/policies/1`;
        return { run: async () => (await fetch(url)).json(), check: checkPolicy };
      },
    },
    'node:http': {
      role: 'peer',
      note: 'agent with keep-alive',
      async setup({ servers: { origin }, parameters: { callers } }) {
        const { Agent, get } = await import('node:http');
        const agent = new Agent({ keepAlive: true, maxSockets: callers });
        const { host, port } = origin;
        return {
          run: () =>
            new Promise<unknown>((resolve, reject) => {
              get({ host, port, path: '/policies/1', agent }, (response) => {
                let text = '';
                response.setEncoding('utf8');
                response.on('data', (chunk: string) => {
                  text += chunk;
                });
                response.on('end', () => resolve(JSON.parse(text)));
              }).on('error', reject);
            }),
          check: checkPolicy,
          close: () => agent.destroy(),
        };
      },
    },
    got: {
      role: 'peer',
      library: 'got',
      note: 'agent with keep-alive',
      setup: ({ servers: { origin } }) => gotPolicy(origin),
    },
    axios: {
      role: 'peer',
      library: 'axios',
      note: 'agent with keep-alive',
      setup: ({ servers: { origin } }) => axiosPolicy(origin),
    },
    ky: {
      role: 'peer',
      library: 'ky',
      async setup({ servers: { origin } }) {
        const { default: ky } = await import('ky');
        const url = `${origin.url}/policies/1`;
        return { run: () => ky.get(url).json(), check: checkPolicy };
      },
    },
    ofetch: {
      role: 'peer',
      library: 'ofetch',
      async setup({ servers: { origin } }) {
        const { ofetch } = await import('ofetch');
        const url = `${origin.url}/policies/1`;
        return { run: () => ofetch(url), check: checkPolicy };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/http',
      note: 'defaults: queue, deadline, breaker, retry budget and figures on',
      async setup({ servers: { origin } }) {
        const { createHttpClient } = await import('@hotpath/http');
        const client = createHttpClient({ baseUrl: origin.url });
        return {
          run: () => client.getJson('/policies/1'),
          check: checkPolicy,
          figures: () => ({ reuseRatio: client.stats().origins[origin.url]!.reuseRatio }),
          close: () => client.close(),
        };
      },
    },
  },
  goals: [
    { contender: 'hotpath', figure: 'opsPerSecond', atLeast: { times: 0.9, of: 'undici dispatch' } },
    { contender: 'hotpath', figure: 'opsPerSecond', atLeast: { times: 1.1, of: 'undici request' } },
    { contender: 'hotpath', figure: 'cpuUs', atMost: 22 },
    { contender: 'hotpath', figure: 'reuseRatio', atLeast: 0.99 },
  ],
});

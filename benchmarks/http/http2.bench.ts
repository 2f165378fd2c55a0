import { defineSuite, nodeServer } from '../harness/index.ts';
import { checkPolicy } from './policy.ts';

const certificate = new URL('../../packages/http/test/support/cert.pem', import.meta.url);

async function readCertificate(): Promise<Buffer> {
  const { readFile } = await import('node:fs/promises');
  return readFile(certificate);
}

export default defineSuite({
  name: 'http2',
  title: 'GET of 208 bytes of JSON over HTTP/2 and TLS, parsed; 64 callers',
  kind: 'throughput',
  callers: 64,
  // The goals are for a steady state; until then it is the engine's compiler that is measured.
  warmupMs: 800,
  durationMs: 800,
  servers: { origin: nodeServer(new URL('origin-h2.ts', import.meta.url)) },
  contenders: {
    'node:http2': {
      role: 'limit',
      note: 'one connection',
      async setup({ servers: { origin } }) {
        const { connect } = await import('node:http2');
        const session = connect(origin.url, { ca: await readCertificate() });
        return {
          run: () =>
            new Promise<unknown>((resolve, reject) => {
              const stream = session.request({ ':path': '/policies/1', accept: 'application/json' });
              let text = '';
              stream.setEncoding('utf8');
              stream.on('data', (chunk: string) => {
                text += chunk;
              });
              stream.on('end', () => resolve(JSON.parse(text)));
              stream.on('error', reject);
            }),
          check: checkPolicy,
          close: () => session.close(),
        };
      },
    },
    'undici request': {
      role: 'peer',
      library: 'undici',
      note: 'Client with HTTP/2, one connection',
      async setup({ servers: { origin } }) {
        const { Client } = await import('undici');
        const client = new Client(origin.url, {
          allowH2: true,
          connect: { ca: await readCertificate(), preferH2: true } as never,
          h2Options: { maxConcurrentStreams: 100 },
        } as never);
        const headers = { accept: 'application/json' };
        return {
          run: async () =>
            (await client.request({ path: '/policies/1', method: 'GET', headers })).body.json(),
          check: checkPolicy,
          close: () => client.close(),
        };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/http',
      note: 'http2: true, two connections; queue, deadline, breaker, retry budget and figures on',
      async setup({ servers: { origin } }) {
        const { createHttpClient } = await import('@hotpath/http');
        const client = createHttpClient({
          baseUrl: origin.url,
          http2: true,
          tls: { ca: await readCertificate() },
        });
        return {
          run: () => client.getJson('/policies/1'),
          check: checkPolicy,
          figures: () => ({ connects: client.stats().origins[origin.url]!.connects }),
          close: () => client.close(),
        };
      },
    },
  },
  goals: [
    { contender: 'hotpath', figure: 'opsPerSecond', atLeast: { times: 1, of: 'node:http2' } },
    { contender: 'hotpath', figure: 'cpuUs', atMost: 30 },
  ],
});

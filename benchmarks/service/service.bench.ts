import { strict as assert } from 'node:assert';
import type { Case } from '../harness/index.ts';
import { defineSuite, nodeServer } from '../harness/index.ts';
import type { Reply } from './closed-loop.ts';
import { governedService, type Service } from './governed-service.ts';

const POLICIES = 1_000;

/** What both servers tell at `/stats`. */
interface Stats {
  readonly memory: { readonly rss: number };
  readonly cache?: { readonly hot: { readonly hitRate: number } };
}

/** `GET /v1/policies/:id` over connections of its own; `serverCpuUs` does not depend on how fast this client is. */
async function policyRequests({ url, host, port, pid }: Service, callers: number): Promise<Case> {
  const { ConnectionPool, processorMs } = await import('./closed-loop.ts');
  const pool = new ConnectionPool(callers, port, host);
  const requests = Array.from({ length: POLICIES }, (_, index) =>
    Buffer.from(
      `GET /v1/policies/${index + 1} HTTP/1.1\r\nHost: ${host}\r\nX-Constitutional-Hash: cdd01ef066bc6cf2\r\n\r\n`,
    ),
  );
  const beforeMs = processorMs(pid);
  let sent = 0;
  return {
    run(index) {
      sent++;
      return pool.send(requests[index % POLICIES] as Buffer);
    },
    check({ status, body }: Reply, index) {
      assert.equal(status, 200);
      assert.equal((JSON.parse(body) as { id: number }).id, (index % POLICIES) + 1);
    },
    async figures() {
      const afterMs = processorMs(pid);
      const { memory, cache } = (await (await fetch(`${url}/stats`)).json()) as Stats;
      return {
        ...(beforeMs !== undefined &&
          afterMs !== undefined && { serverCpuUs: ((afterMs - beforeMs) * 1_000) / sent }),
        serverRssBytes: memory.rss,
        ...(cache !== undefined && { hitRatio: cache.hot.hitRate }),
      };
    },
    close: () => pool.close(),
  };
}

export default defineSuite({
  name: 'policy-by-id',
  title: 'The reference service: a cached, validated, rate-limited GET /v1/policies/:id, 64 connections',
  kind: 'throughput',
  callers: 64,
  durationMs: 3_000,
  // The servers run on from round to round; in the first their code is still being compiled.
  warmupMs: 1_500,
  parameters: { policies: POLICIES },
  servers: {
    bare: nodeServer(new URL('bare-server.ts', import.meta.url), { env: { NODE_ENV: 'production' } }),
    governed: governedService(),
  },
  contenders: {
    'bare Fastify': {
      role: 'limit',
      library: 'fastify',
      note: 'a route that answers from memory',
      setup: ({ servers, callers }) => policyRequests(servers.bare as Service, callers),
    },
    hotpath: {
      role: 'ours',
      note: 'embedded PostgreSQL and Redis',
      setup: ({ servers, callers }) => policyRequests(servers.governed, callers),
    },
  },
  goals: [
    { figure: 'opsPerSecond', atLeast: { times: 0.8, of: 'bare Fastify' } },
    { figure: 'p99Ms', atMost: { times: 1.3, of: 'bare Fastify' } },
    // The same in processor time, which a client that is slower than the servers can not flatter.
    { figure: 'serverCpuUs', atMost: { times: 1 / 0.8, of: 'bare Fastify' } },
  ],
});

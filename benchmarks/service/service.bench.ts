import { strict as assert } from 'node:assert';
import type { Case, ServerAddress } from '../harness/index.ts';
import { defineSuite, nodeServer } from '../harness/index.ts';
import type { Reply } from './closed-loop.ts';
import { governedService } from './governed-service.ts';

const POLICIES = 1_000;

/** `GET /v1/policies/:id` over connections of its own; `serverCpuUs` does not depend on how fast this client is. */
async function policyRequests(
  service: ServerAddress & { readonly pid?: number },
  callers: number,
): Promise<Case> {
  const { ConnectionPool, processorMs } = await import('./closed-loop.ts');
  const pool = new ConnectionPool(callers, service.port, service.host);
  const requests = Array.from({ length: POLICIES }, (_, index) =>
    Buffer.from(
      `GET /v1/policies/${index + 1} HTTP/1.1\r\nHost: ${service.host}\r\nX-Constitutional-Hash: cdd01ef066bc6cf2\r\n\r\n`,
    ),
  );
  const pid = service.pid ?? 0;
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
    figures(): Record<string, number> {
      const afterMs = processorMs(pid);
      if (beforeMs === undefined || afterMs === undefined) return {};
      return { serverCpuUs: ((afterMs - beforeMs) * 1_000) / sent };
    },
    close: () => pool.close(),
  };
}

export default defineSuite({
  name: 'policy-by-id',
  title: 'The reference service: a cached, validated, rate-limited GET /v1/policies/:id, 64 connections',
  kind: 'throughput',
  callers: 64,
  durationMs: 4_000,
  // Each server is started anew for each round.
  warmupMs: 5_000,
  parameters: { policies: POLICIES },
  contenders: {
    'bare Fastify': {
      role: 'limit',
      library: 'fastify',
      note: 'a route that answers from memory',
      servers: { service: nodeServer(new URL('bare-server.ts', import.meta.url)) },
      setup: ({ servers, callers }) => policyRequests((servers as Services).service, callers),
    },
    hotpath: {
      role: 'ours',
      note: 'embedded PostgreSQL and Redis',
      servers: { service: governedService() },
      setup: ({ servers, callers }) => policyRequests((servers as Services).service, callers),
    },
  },
  goals: [
    { figure: 'opsPerSecond', atLeast: { times: 0.8, of: 'bare Fastify' } },
    { figure: 'p99Ms', atMost: { times: 1.3, of: 'bare Fastify' } },
  ],
});

interface Services {
  readonly service: ServerAddress & { readonly pid: number };
}

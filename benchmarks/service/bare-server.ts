// The limit: a Fastify route that answers with a policy from memory, unchecked and unlimited.
import type { AddressInfo } from 'node:net';
import Fastify from 'fastify';

const policies = new Map(
  Array.from({ length: 10_000 }, (_, index) => [
    index + 1,
    {
      id: index + 1,
      name: `policy-${index + 1}`,
      version: 1,
      status: 'active',
      description: `Requests of kind ${index % 50} need a recorded decision before they are carried out.`,
      metadata: { constitutional_hash: 'cdd01ef066bc6cf2', owner: `team-${index % 7}` },
    },
  ]),
);

const app = Fastify();
app.get<{ Params: { id: string } }>('/v1/policies/:id', async (request, reply) => {
  return policies.get(Number(request.params.id)) ?? reply.code(404).send({});
});
app.get('/stats', () => ({ memory: process.memoryUsage() }));
await app.listen({ port: Number(process.env.PORT ?? 0), host: '127.0.0.1' });
process.send?.({ port: (app.server.address() as AddressInfo).port, pid: process.pid });

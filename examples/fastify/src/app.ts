import { readFileSync } from 'node:fs';
import { createCache } from '@hotpath/cache';
import { createConstitution, fingerprint } from '@hotpath/constitution';
import { constitutionPlugin } from '@hotpath/constitution/fastify';
import { rateLimiter, rateLimitHeaders } from '@hotpath/resilience';
import Fastify, { type FastifyInstance } from 'fastify';
import type { Redis } from 'ioredis';

/** Where products come from; slow and precious. */
export type LoadProduct = (id: string) => Promise<{ readonly id: string; readonly name: string } | undefined>;

const DOCUMENT = new URL('../constitution.md', import.meta.url);
const LIMIT = { name: 'client', quota: 50, windowMs: 1_000 };

/** A service whose every request names its governing document, with a cached read and a limit a client. */
export async function createApp(redis: Redis, loadProduct: LoadProduct): Promise<FastifyInstance> {
  const constitution = createConstitution({ active: fingerprint(readFileSync(DOCUMENT)) });
  const cache = createCache({ namespace: 'fastify-example', redis });
  const product = cache.wrap(loadProduct, { name: 'product', ttlMs: 300_000, negativeTtlMs: 5_000 });
  const limiter = rateLimiter({ limit: LIMIT.quota, perMs: LIMIT.windowMs, burst: LIMIT.quota });

  const app = Fastify();
  await app.register(constitutionPlugin, { constitution, exempt: ['/health'] });

  app.addHook('onRequest', async (request, reply) => {
    const admission = limiter.tryAcquire(1, request.ip);
    reply.headers({ ...rateLimitHeaders(admission, LIMIT) });
    if (!admission.allowed) return reply.code(429).send({ error: 'too many requests' });
  });

  app.get('/health', async () => ({ cache: cache.state }));

  app.get<{ Params: { id: string } }>('/products/:id', async (request, reply) => {
    const found = await product(request.params.id);
    return found ?? reply.code(404).send({ error: 'no such product' });
  });

  app.delete<{ Params: { id: string } }>('/products/:id/cached', async (request) => {
    return await product.invalidate(request.params.id);
  });

  app.addHook('onClose', async () => {
    await cache.close();
    await limiter.close();
  });
  return app;
}

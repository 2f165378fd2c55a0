import type { Constitution } from '@hotpath/constitution';
import { constitutionPlugin } from '@hotpath/constitution/fastify';
import type { RateLimiter } from '@hotpath/resilience';
import Fastify, { type FastifyInstance } from 'fastify';
import type { AuditTrail } from './audit.ts';
import type { Decision, DecisionRequest } from './decisions.ts';
import { sendError } from './error-replies.ts';
import type { Health } from './health.ts';
import type { Policy, PolicyStore } from './policies.ts';
import { decisionRequestOf, policiesOf, policyFilterOf, policyIdOf } from './requests.ts';

/** Everything that the routes need, made and closed by the caller. */
export interface AppParts {
  readonly constitution: Constitution;
  readonly limiter: RateLimiter;
  readonly policies: PolicyStore;
  readonly audit: AuditTrail;
  readonly decide: (request: DecisionRequest, policy: Policy) => Promise<Decision>;
  readonly health: () => Promise<Health>;
  readonly stats: () => object;
}

/** Routes that say how the service is doing, and are neither governed nor limited. */
const OPERATIONAL = ['/health', '/stats'] as const;

const MOST_BODY_BYTES = 2 * 1024 * 1024;

/** Makes the HTTP application; listens to nothing yet. */
export async function createApp(parts: AppParts): Promise<FastifyInstance> {
  const { constitution, limiter, policies, audit, decide, health, stats } = parts;
  const app = Fastify({ bodyLimit: MOST_BODY_BYTES, forceCloseConnections: true });
  app.setErrorHandler(sendError);
  app.setNotFoundHandler((request, reply) =>
    reply
      .code(404)
      .send({
        error: { code: 'NOT_FOUND', message: `there is no ${request.method} ${request.url.split('?')[0]}` },
      }),
  );

  app.get('/health', async (_request, reply) => {
    const state = await health();
    return reply.code(state.status === 'unavailable' ? 503 : 200).send(state);
  });
  app.get('/stats', () => stats());

  await app.register(constitutionPlugin, {
    constitution,
    bodyField: 'constitutional_hash',
    exempt: OPERATIONAL,
  });

  app.addHook('onRequest', (request, reply, done) => {
    const path = request.routeOptions.url;
    if (path === '/health' || path === '/stats') return done();
    const admission = limiter.tryAcquire(1, request.ip);
    if (admission.allowed) return done();
    reply
      .code(429)
      .header('retry-after', String(Math.ceil(admission.retryAfterMs / 1_000)))
      .send({
        error: {
          code: 'HOTPATH_RATE_LIMITED',
          message: 'too many requests',
          retryAfterMs: admission.retryAfterMs,
        },
      });
  });

  app.get('/v1/policies/:id', async (request, reply) => {
    const id = policyIdOf(request.params);
    const policy = await policies.find(id);
    if (policy === null) return reply.code(404).send(noPolicy(id));
    return policy;
  });

  app.get('/v1/policies', (request) => policies.search(policyFilterOf(request.query)));

  app.post('/v1/policies', (request) => policies.upsert(policiesOf(request.body)));

  app.post('/v1/decisions', async (request, reply) => {
    const asked = decisionRequestOf(request.body);
    const policy = await policies.find(asked.policyId);
    if (policy === null) return reply.code(404).send(noPolicy(asked.policyId));
    const decision = await decide(asked, policy);
    // A decision that left no trace was never made.
    await audit.record(decision);
    return reply.code(201).send(decision);
  });

  return app;
}

function noPolicy(id: number): object {
  return { error: { code: 'POLICY_NOT_FOUND', message: `there is no policy ${id}` } };
}

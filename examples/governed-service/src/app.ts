import type { Constitution } from '@hotpath/constitution';
import { constitutionPlugin } from '@hotpath/constitution/fastify';
import type { RateLimiter } from '@hotpath/resilience';
import Fastify, { type FastifyInstance } from 'fastify';
import type { AuditTrail } from './audit.ts';
import type { Decision, DecisionRequest } from './decisions.ts';
import { sendError, sendProtocolError } from './error-replies.ts';
import type { Health } from './health.ts';
import type { Policy, PolicyStore } from './policies.ts';
import { decisionRequestOf, policiesOf, policyFilterOf, policyIdOf } from './requests.ts';

/** Everything that the routes need, made and closed by the caller. */
export interface AppParts {
  /** Whether the database holds all that the service needs. */
  readonly isReady: () => boolean;
  readonly constitution: Constitution;
  readonly limiter: RateLimiter;
  readonly policies: PolicyStore;
  readonly audit: AuditTrail;
  readonly decide: (request: DecisionRequest, policy: Policy) => Promise<Decision>;
  readonly health: () => Promise<Health>;
  readonly stats: () => object;
}

const MOST_BODY_BYTES = 2 * 1024 * 1024;
/** A request that has not arrived whole by then is given up. */
const REQUEST_TIMEOUT_MS = 30_000;
/** … and is noticed so much later at most. */
const CHECK_INTERVAL_MS = 2_000;

/**
 * Makes the HTTP application; listens to nothing yet.
 *
 * Everything under `/v1` is governed and limited; `/health` and `/stats` are for operators and are neither.
 */
export async function createApp(parts: AppParts): Promise<FastifyInstance> {
  const app = Fastify({
    bodyLimit: MOST_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // Node exchanges the two times where the head is given the longer one, as by default.
    http: { headersTimeout: REQUEST_TIMEOUT_MS, connectionsCheckingInterval: CHECK_INTERVAL_MS },
    // At the end, what has been asked is answered; only idle connections are closed.
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    frameworkErrors: sendError,
    clientErrorHandler: sendProtocolError,
  });
  app.removeContentTypeParser('text/plain');
  app.setErrorHandler(sendError);
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0];
    reply.code(404).send({ error: { code: 'NOT_FOUND', message: `there is no ${request.method} ${path}` } });
  });

  app.get('/health', async (_request, reply) => {
    const health = await parts.health();
    return reply.code(health.status === 'unavailable' ? 503 : 200).send(health);
  });
  app.get('/stats', () => parts.stats());
  await app.register(async (governed) => addGovernedRoutes(governed, parts), { prefix: '/v1' });
  return app;
}

async function addGovernedRoutes(app: FastifyInstance, parts: AppParts): Promise<void> {
  const { isReady, constitution, limiter, policies, audit, decide } = parts;

  app.addHook('onRequest', (request, reply, done) => {
    const admission = limiter.tryAcquire(1, request.ip);
    if (!admission.allowed) {
      const { retryAfterMs } = admission;
      reply.code(429).header('retry-after', String(Math.ceil(retryAfterMs / 1_000)));
      reply.send({ error: { code: 'HOTPATH_RATE_LIMITED', message: 'too many requests', retryAfterMs } });
    } else if (!isReady()) {
      reply.code(503).header('retry-after', '1');
      reply.send({ error: { code: 'NOT_READY', message: 'the database is not prepared yet; try again' } });
    } else {
      done();
    }
  });
  await app.register(constitutionPlugin, { constitution, field: 'constitutional_hash' });

  app.get('/policies/:id', async (request, reply) => {
    const id = policyIdOf(request.params);
    return (await policies.find(id)) ?? reply.code(404).send(noPolicy(id));
  });

  app.get('/policies', (request) => policies.search(policyFilterOf(request.query)));

  app.post('/policies', (request) => policies.upsert(policiesOf(request.body)));

  app.post('/decisions', async (request, reply) => {
    const asked = decisionRequestOf(request.body);
    const policy = await policies.find(asked.policyId);
    if (policy === null) return reply.code(404).send(noPolicy(asked.policyId));
    const decision = await decide(asked, policy);
    // A decision that left no trace was never made.
    await audit.record(decision);
    return reply.code(201).send(decision);
  });
}

function noPolicy(id: number): object {
  return { error: { code: 'POLICY_NOT_FOUND', message: `there is no policy ${id}` } };
}

import { createAuditLog, createConstitution } from '@hotpath/constitution';
import { createHttpClient } from '@hotpath/http';
import { createPostgres } from '@hotpath/postgres';
import { rateLimiter } from '@hotpath/resilience';
import type { FastifyInstance } from 'fastify';
import { createApp } from './app.ts';
import { createAuditTrail } from './audit.ts';
import { createCaches } from './caches.ts';
import type { Config } from './config.ts';
import { decide } from './decisions.ts';
import type { Servers } from './embedded.ts';
import { createEvidenceSource } from './evidence.ts';
import { startEvidenceServer } from './evidence-server.ts';
import { createHealthCheck } from './health.ts';
import { OpenedResources } from './opened.ts';
import { createPolicyStore } from './policies.ts';
import { prepareDatabase } from './prepare-database.ts';
import type { Database } from './schema.ts';

export interface Service extends AsyncDisposable {
  readonly url: string;
  /** Settles when the database holds all that the service needs; until then requests are answered with 503. */
  readonly ready: Promise<void>;
}

/**
 * Starts everything that the service consists of, and listens; the database is prepared meanwhile.
 *
 * Whatever was opened is closed in the reverse order, also when a later part fails to start.
 */
export async function startService(config: Config, servers: Servers): Promise<Service> {
  const opened = new OpenedResources();
  try {
    return await openService(config, servers, opened);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

async function openService(config: Config, servers: Servers, opened: OpenedResources): Promise<Service> {
  const { constitutionalHash } = config;
  const closing = new AbortController();
  let isReady = false;

  const constitution = opened.use(createConstitution({ active: constitutionalHash }));
  const auditLog = opened.use(await createAuditLog({ directory: config.auditDirectory, constitution }));
  const limiter = opened.use(
    rateLimiter({ limit: config.rateLimitPerSecond, perMs: 1_000, burst: config.rateLimitPerSecond }),
  );
  const db = createPostgres<Database>({
    connectionString: servers.databaseUrl,
    client: { application_name: `governed-service ${constitutionalHash}` },
    pool: { max: 20, acquireTimeoutMs: STATEMENT_TIMEOUT_MS },
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    queryTimeoutMs: STATEMENT_TIMEOUT_MS,
  });
  opened.defer(() => db.close({ timeoutMs: CLOSE_TIMEOUT_MS }));
  const caches = opened.use(createCaches(servers.redisUrl, constitutionalHash));
  const evidenceServer = opened.use(await startEvidenceServer());
  const evidenceClient = opened.use(
    createHttpClient({
      baseUrl: evidenceServer.baseUrl,
      governance: { hash: constitutionalHash },
      // The three endpoints share an origin, but not their fate: each has a circuit of its own.
      breaker: false,
    }),
  );
  const evidence = opened.use(createEvidenceSource(evidenceClient, config.decisionTimeoutMs));
  const policies = createPolicyStore(db, caches);
  const audit = createAuditTrail(db, auditLog, constitutionalHash);

  const app = await createApp({
    isReady: () => isReady,
    constitution,
    limiter,
    policies,
    audit,
    decide: (request, policy) => decide(request, policy, evidence),
    health: createHealthCheck({ constitutionalHash, isReady: () => isReady, db, caches, evidence, audit }),
    stats: () => ({
      cache: { hot: caches.hot.stats(), queries: caches.queries.stats() },
      postgres: db.stats(),
      http: evidenceClient.stats(),
      limiter: limiter.stats(),
      constitution: constitution.stats(),
      audit: auditLog.stats(),
      memory: process.memoryUsage(),
    }),
  });
  opened.defer(() => drain(app));
  const url = await app.listen({ host: config.host, port: config.port });

  const ready = prepareDatabase(servers.databaseUrl, config, closing.signal).then(() => {
    isReady = true;
  });
  opened.defer(async () => {
    closing.abort();
    await ready.catch(() => {});
  });

  return { url, ready, [Symbol.asyncDispose]: () => opened.close() };
}

/** A request waits no longer for the database, whether it is slow or silent. */
const STATEMENT_TIMEOUT_MS = 5_000;
/** At the end, requests that have begun may take so long before their connections are cut. */
const DRAIN_TIMEOUT_MS = 6_000;
/** What the database still owes after that is not waited for. */
const CLOSE_TIMEOUT_MS = 1_000;

async function drain(app: FastifyInstance): Promise<void> {
  const timer = setTimeout(() => app.server.closeAllConnections(), DRAIN_TIMEOUT_MS);
  await app.close();
  clearTimeout(timer);
}

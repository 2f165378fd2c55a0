import { type PostgresServer, type RedisServer, startPostgres, startRedis } from '@hotpath/testkit';
import { afterAll, beforeAll } from 'vitest';

/** A PostgreSQL and a Redis, and how a service is told of them. */
export interface SharedServers {
  readonly postgres: PostgresServer;
  readonly redis: RedisServer;
  readonly env: Readonly<Record<string, string>>;
}

/** Starts the servers that all tests of a file share, and ends them after the last; they are there once a test runs. */
export function shareServers(): SharedServers {
  const servers: Partial<SharedServers> = {};
  beforeAll(async () => {
    const [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
    const env = { DATABASE_URL: postgres.connectionString, REDIS_URL: redis.url, SEED_POLICIES: '500' };
    Object.assign(servers, { postgres, redis, env });
  });
  afterAll(async () => {
    await Promise.all([servers.postgres?.[Symbol.asyncDispose](), servers.redis?.[Symbol.asyncDispose]()]);
  });
  return servers as SharedServers;
}

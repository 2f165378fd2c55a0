import { type PostgresServer, type RedisServer, startPostgres, startRedis } from '@hotpath/testkit';
import type { Config } from './config.ts';

/** Where the servers are that the service uses; closing stops those that were started for it. */
export interface Servers extends AsyncDisposable {
  readonly databaseUrl: string;
  /** Absent when there is no Redis to be had. */
  readonly redisUrl: string | undefined;
}

/** Starts a private PostgreSQL and Redis for whatever the configuration does not name. */
export async function startServers(config: Config): Promise<Servers> {
  let postgres: PostgresServer | undefined;
  let redis: RedisServer | undefined;
  const stop = async (): Promise<void> => {
    await Promise.allSettled([postgres?.[Symbol.asyncDispose](), redis?.[Symbol.asyncDispose]()]);
  };
  try {
    postgres = config.databaseUrl === undefined ? await startPostgres() : undefined;
    redis = config.redisUrl === undefined ? await startRedisIfInstalled() : undefined;
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    databaseUrl: config.databaseUrl ?? (postgres as PostgresServer).connectionString,
    redisUrl: config.redisUrl ?? redis?.url,
    [Symbol.asyncDispose]: stop,
  };
}

async function startRedisIfInstalled(): Promise<RedisServer | undefined> {
  try {
    return await startRedis();
  } catch (error) {
    console.error(`Running without Redis: ${(error as Error).message}`);
    return undefined;
  }
}

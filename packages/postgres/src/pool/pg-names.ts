import { isHotpathError, TimeoutError } from '@hotpath/core';
import type pg from 'pg';
import type { PoolOptions } from './pool-options.ts';

type PgPoolOptions = Pick<
  pg.PoolConfig,
  'min' | 'idleTimeoutMillis' | 'connectionTimeoutMillis' | 'maxLifetimeSeconds'
>;

/** pg-pool's names for what has another name here; ours win. */
export function withAliases(options: PoolOptions & PgPoolOptions): PoolOptions {
  const { min, idleTimeoutMillis, connectionTimeoutMillis, maxLifetimeSeconds } = options;
  const { poolSize } = options as { poolSize?: number };
  const aliases: Record<string, unknown> = {};
  if (poolSize !== undefined) aliases.max = poolSize;
  if (min !== undefined) aliases.minConnections = min;
  if (idleTimeoutMillis !== undefined) aliases.idleTimeoutMs = idleTimeoutMillis ?? 0;
  if (maxLifetimeSeconds !== undefined) aliases.maxLifetimeMs = maxLifetimeSeconds * 1000;
  if (connectionTimeoutMillis !== undefined) {
    aliases.acquireTimeoutMs = connectionTimeoutMillis;
    aliases.connectTimeoutMs = connectionTimeoutMillis;
  }
  const defined = Object.entries(options).filter(([, value]) => value !== undefined);
  const all = { ...aliases, ...Object.fromEntries(defined) } as Record<string, unknown>;
  if (all.maxUses === Number.POSITIVE_INFINITY) delete all.maxUses;
  return all as PoolOptions;
}

/** Errors as users of pg-pool know them: the cause of a failed connect itself, and its words for a timeout. */
export function asPgKnows(error: unknown): unknown {
  if (isHotpathError(error, 'HOTPATH_PG_DOWN') && error.cause !== undefined) return error.cause;
  if (isHotpathError(error, 'HOTPATH_PG_ACQUIRE_TIMEOUT')) {
    return new TimeoutError(error.code, 'timeout exceeded when trying to connect', { cause: error });
  }
  return error;
}

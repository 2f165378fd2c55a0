import { describe, type Milliseconds, optionReader, type ResolvedOptions } from '@hotpath/core';
import pg from 'pg';
import { type PoolOptions, type ResolvedPoolOptions, resolvePoolOptions } from './pool/pool-options.ts';

/** What `createPostgres` takes. Absent means default; `0` is a value. */
export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`. Default: pg's own, from the `PG…` variables. */
  readonly connectionString?: string | undefined;
  /** More of pg's connection settings (`host`, `ssl`, `password` as a function, `types`, …). */
  readonly client?: Omit<pg.ClientConfig, 'connectionString'> | undefined;
  readonly pool?: PoolOptions | undefined;
  /** The server ends a statement after this. Default 60,000; 0 means never. Not sent behind a pooler. */
  readonly statementTimeoutMs?: Milliseconds | undefined;
  /** The server ends a wait for a lock after this. Default 30,000; 0 means never. Not sent behind a pooler. */
  readonly lockTimeoutMs?: Milliseconds | undefined;
  /** The server ends a session that idles in a transaction after this. Default 60,000; 0 means never. Not sent behind a pooler. */
  readonly idleInTransactionTimeoutMs?: Milliseconds | undefined;
  /** How long a query may take as seen from here, the wait for a connection included. Default `statementTimeoutMs` and 5,000; 0 means without end. */
  readonly queryTimeoutMs?: Milliseconds | undefined;
  /** Says that connections share sessions by transaction (PgBouncer): nothing is kept prepared. */
  readonly pooler?: 'transaction' | undefined;
  /** A way to the server that is not through the pooler, for `listen` and `indexes`. Default: `connectionString`. */
  readonly directConnectionString?: string | undefined;
  /** Connection strings of servers that follow this one, for `readonly`. */
  readonly replicas?: readonly string[] | undefined;
  /** How far a replica may be behind to be read from. Default 1,000. */
  readonly maxReplicaLagMs?: Milliseconds | undefined;
  /** How often that is measured. Default 500. */
  readonly replicaCheckMs?: Milliseconds | undefined;
  /**
   * How often the session that listens is asked for a sign of life, and how long it may take to give one: a connection
   * that vanished without a word is noticed within twice that. Default 5,000; 0 means never.
   */
  readonly listenHeartbeatMs?: Milliseconds | undefined;
  /** How many query texts are remembered, for preparing and for `stats`. Default 1,000. */
  readonly maxQueryShapes?: number | undefined;
  /** A query that takes this long is an event. Default 1,000. */
  readonly slowQueryMs?: Milliseconds | undefined;
  /** The share of slow reading queries that are explained, by running them once more. Default 0. */
  readonly explainSampleRatio?: number | undefined;
  /** In development: reports a call site that runs the same query again and again. Default false. */
  readonly detectNPlusOne?: boolean | NPlusOneOptions | undefined;
}

/** When repeated queries are reported. */
export interface NPlusOneOptions {
  /** How many runs of one query text by one call site. Default 10. */
  readonly threshold?: number | undefined;
  /** Within how long. Default 100. */
  readonly windowMs?: Milliseconds | undefined;
}

export type ResolvedNPlusOneOptions = ResolvedOptions<NPlusOneOptions>;

export interface ResolvedPostgresOptions
  extends Omit<
    ResolvedOptions<PostgresOptions>,
    'pool' | 'pooler' | 'connectionString' | 'directConnectionString' | 'client' | 'detectNPlusOne'
  > {
  readonly connectionString: string | undefined;
  readonly directConnectionString: string | undefined;
  readonly client: Omit<pg.ClientConfig, 'connectionString'>;
  readonly pool: ResolvedPoolOptions;
  readonly pooler: 'transaction' | undefined;
  readonly detectNPlusOne: ResolvedNPlusOneOptions | undefined;
}

/** @throws TypeError or RangeError when an option is wrong. */
export function resolvePostgresOptions(options: PostgresOptions): ResolvedPostgresOptions {
  const read = optionReader('createPostgres', options);
  const duration = { min: 0 };
  const statementTimeoutMs = read.number('statementTimeoutMs', 60_000, duration);
  const connectionString = read.string('connectionString', undefined);
  checkConnectionString("option 'connectionString'", connectionString);
  const detect = options.detectNPlusOne;
  read.any('detectNPlusOne');
  const readDetect = optionReader('createPostgres detectNPlusOne', typeof detect === 'boolean' ? {} : detect);
  const detectNPlusOne: ResolvedNPlusOneOptions = {
    threshold: readDetect.integer('threshold', 10, { min: 2 }),
    windowMs: readDetect.number('windowMs', 100, { min: 1 }),
  };
  readDetect.end();
  const replicas = read.object<readonly string[]>('replicas', [], ['map']);
  replicas.forEach((replica, index) => {
    checkConnectionString(`option 'replicas', at ${index},`, replica);
  });
  const directConnectionString = read.string('directConnectionString', connectionString);
  checkConnectionString("option 'directConnectionString'", directConnectionString);
  const resolved: ResolvedPostgresOptions = {
    connectionString,
    client: read.object('client', {}),
    pool: resolvePoolOptions('createPostgres pool', read.object('pool', undefined), true),
    statementTimeoutMs,
    lockTimeoutMs: read.number('lockTimeoutMs', 30_000, duration),
    idleInTransactionTimeoutMs: read.number('idleInTransactionTimeoutMs', 60_000, duration),
    queryTimeoutMs: read.number(
      'queryTimeoutMs',
      statementTimeoutMs === 0 ? 0 : statementTimeoutMs + 5_000,
      duration,
    ),
    pooler: read.oneOf('pooler', ['transaction'], undefined),
    directConnectionString,
    replicas,
    maxReplicaLagMs: read.number('maxReplicaLagMs', 1_000, duration),
    replicaCheckMs: read.number('replicaCheckMs', 500, { min: 10 }),
    listenHeartbeatMs: read.number('listenHeartbeatMs', 5_000, duration),
    maxQueryShapes: read.integer('maxQueryShapes', 1_000, { min: 2 }),
    slowQueryMs: read.number('slowQueryMs', 1_000, duration),
    explainSampleRatio: read.number('explainSampleRatio', 0, { min: 0, max: 1 }),
    detectNPlusOne: detect === undefined || detect === false ? undefined : detectNPlusOne,
  };
  read.end();
  return Object.freeze(resolved);
}

/**
 * Refuses what pg can't read, certificates that it names included, and what it would read as something else: of
 * `localhost:5432` it takes 5432 as the database.
 *
 * @throws TypeError without the text, which may hold a password.
 */
function checkConnectionString(name: string, given: unknown): void {
  if (given === undefined) return;
  if (typeof given !== 'string') {
    throw new TypeError(`createPostgres: ${name} must be a string, got ${describe(given)}`);
  }
  if (!/^(?:\/|socket:|[a-z][a-z\d+.-]*:\/\/)/i.test(given)) {
    throw new TypeError(
      `createPostgres: ${name} must begin with a scheme, as postgres://user:password@host:port/database, or be the path of a socket`,
    );
  }
  try {
    new pg.Client({ connectionString: given });
  } catch (error) {
    throw new TypeError(`createPostgres: ${name} can't be read: ${(error as Error).message}`);
  }
}

/** What may be wrong when a client of this configuration can't connect. */
export function downHint(config: { connectionString?: unknown; host?: unknown }): string | undefined {
  return config.connectionString || config.host
    ? undefined
    : "no connectionString was given, so pg's defaults and the PG* variables were used";
}

/** What pg's client is given: time limits travel in the first message, which a pooler would refuse. */
export function clientConfig(options: ResolvedPostgresOptions, connectionString: string | undefined): object {
  const limits =
    options.pooler === undefined
      ? {
          statement_timeout: options.statementTimeoutMs,
          lock_timeout: options.lockTimeoutMs,
          idle_in_transaction_session_timeout: options.idleInTransactionTimeoutMs,
        }
      : {};
  return {
    keepAlive: true,
    ...limits,
    ...options.client,
    ...(connectionString === undefined ? {} : { connectionString }),
  };
}

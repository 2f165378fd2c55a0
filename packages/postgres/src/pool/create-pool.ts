import { EventEmitter } from 'node:events';
import type pg from 'pg';
import { type AcquireOptions, AcquireWaiter, acquireConnection } from '../query/acquire.ts';
import { QueryShapes } from '../query/query-shape.ts';
import type { PgCallback, PgClient, PgClientConstructor, PgSubmittable } from '../wire/pg-client.ts';
import { WireClient } from '../wire/wire-client.ts';
import { ConnectionPool } from './connection-pool.ts';
import { asPgKnows, withAliases } from './pg-names.ts';
import { PoolClient } from './pool-client.ts';
import { type PoolOptions, resolvePoolOptions } from './pool-options.ts';
import type { PoolStats } from './pool-stats.ts';
import type { PooledConnection } from './pooled-connection.ts';

/** What `createPool` takes: all that `pg.Pool` takes, in its names, and this package's own. */
export interface CreatePoolOptions
  extends Omit<pg.PoolConfig, 'max' | 'maxUses' | 'allowExitOnIdle'>,
    PoolOptions {
  /** Whether statements are kept prepared. Default true; it has to be off behind a transaction pooler. */
  readonly prepare?: boolean | undefined;
}

/** `pg.Pool`, and what is new. */
export type Pool = pg.Pool &
  AsyncDisposable & {
    /**
     * As `connect`, with a deadline and signal of its own.
     *
     * @throws TimeoutError (HOTPATH_PG_ACQUIRE_TIMEOUT) when no connection came free in time; RejectedError
     * (HOTPATH_PG_QUEUE_FULL) when `maxWaiting` callers wait; AbortedError (HOTPATH_PG_CLOSED) after `end`; the cause
     * itself when no connection can be made; the signal's reason, untouched.
     */
    acquire(options?: AcquireOptions): Promise<pg.PoolClient>;
    /** Counters since it was made, and what goes on now. */
    stats(): PoolStats;
    /**
     * Takes no new callers, serves those that wait already, and ends each connection when it comes back; as `end`,
     * and may be called again.
     */
    close(): Promise<void>;
  };

type Release = (error?: unknown) => void;
type ConnectCallback = (error: unknown, client: PgClient | undefined, release: Release) => void;

const SHAPES = 1_000;
const nothing = (): void => {};

/** Named so that libraries which look for a pool by the name of its class find one. */
class HotpathPool extends EventEmitter {
  readonly options: CreatePoolOptions;
  readonly Client: PgClientConstructor;
  ending = false;
  ended = false;
  readonly #pool: ConnectionPool;
  #closed: Promise<void> | undefined;

  constructor(options: CreatePoolOptions) {
    super();
    this.options = { ...options };
    hide(this.options, 'password');
    const resolved = resolvePoolOptions('createPool', withAliases(options), false);
    const own = options.Client as unknown as PgClientConstructor | undefined;
    const shapes = new QueryShapes(SHAPES);
    // Where the protocol is spoken differently, pg's client is left to itself.
    const isPlain = options.prepare === false || 'pipeline' in options || 'binary' in options;
    const config = { ...options };
    hide(config, 'password');
    this.Client = own ?? (WireClient as unknown as PgClientConstructor);
    const createClient = (): PgClient => {
      if (own !== undefined) return new own(config);
      const size = resolved.statementCacheSize;
      return isPlain ? new WireClient(config, size) : new PoolClient(config, size, shapes);
    };
    this.#pool = new ConnectionPool(resolved, {
      createClient,
      onConnect: options.onConnect as ((client: PgClient) => unknown) | undefined,
      verify: options.verify as never,
      onOpened: (client) => {
        options.log?.('new client connected');
        this.emit('connect', client);
      },
      onAcquired: (client) => this.emit('acquire', client),
      onReleased: (error, client) => this.emit('release', error, client),
      onRemoved: (client, reason) => {
        options.log?.(`client removed: ${reason}`);
        this.emit('remove', client);
      },
      onIdleError: (error, client) => {
        Object.assign(error, { client });
        // Without a listener an emitter throws: a lost idle connection is no reason to end a process.
        if (this.listenerCount('error') > 0) this.emit('error', error, client);
      },
    });
  }

  get totalCount(): number {
    return this.#pool.total;
  }

  get idleCount(): number {
    return this.#pool.idle;
  }

  get waitingCount(): number {
    return this.#pool.waiting;
  }

  get expiredCount(): number {
    return this.#pool.expired;
  }

  stats(): PoolStats {
    return this.#pool.stats();
  }

  connect(callback?: ConnectCallback): Promise<PgClient> | undefined {
    if (callback === undefined) return this.acquire();
    let isSync = true;
    const pool = this.#pool;
    const waiter = new AcquireWaiter(
      pool,
      pool.options.acquireTimeoutMs,
      undefined,
      (connection) => {
        const client = this.#lend(connection);
        const release = (client as unknown as { release: Release }).release;
        if (isSync) process.nextTick(callback, undefined, client, release);
        else callback(undefined, client, release);
      },
      (error) => {
        const known = asPgKnows(error);
        if (isSync) process.nextTick(callback, known, undefined, nothing);
        else callback(known, undefined, nothing);
      },
    );
    pool.acquire(waiter);
    waiter.wait();
    isSync = false;
    return undefined;
  }

  async acquire(options?: AcquireOptions): Promise<PgClient> {
    try {
      return this.#lend(await acquireConnection(this.#pool, options));
    } catch (error) {
      throw asPgKnows(error);
    }
  }

  query(config: unknown, values?: unknown, callback?: PgCallback): unknown {
    if (typeof values === 'function') return this.query(config, undefined, values as PgCallback);
    if (typeof config === 'function') {
      const error = new Error('Passing a function as the first parameter to pool.query is not supported');
      setImmediate(() => (config as (error: Error) => void)(error));
      return undefined;
    }
    if (isSubmittable(config)) return this.#submit(config);
    if (callback !== undefined) {
      this.#query(config, values, callback);
      return undefined;
    }
    return new Promise((resolve, reject) => {
      this.#query(config, values, (error, result) => (error ? reject(error) : resolve(result)));
    }).catch((error) => {
      if (error instanceof Error) Error.captureStackTrace(error);
      throw error;
    });
  }

  #query(config: unknown, values: unknown, callback: PgCallback): void {
    const pool = this.#pool;
    const waiter = new AcquireWaiter(
      pool,
      pool.options.acquireTimeoutMs,
      undefined,
      (connection) => {
        let over = false;
        const end: PgCallback = (error, result) => {
          if (over) return;
          over = true;
          // An error of the statement leaves the connection as good as it was.
          pool.release(connection, connection.usable ? undefined : error);
          callback(error ?? undefined, result);
        };
        try {
          connection.client.query(config, values, end);
        } catch (error) {
          end(error as Error);
        }
      },
      (error) => callback(asPgKnows(error) as Error),
    );
    pool.acquire(waiter);
    waiter.wait();
  }

  /** Runs a cursor or stream, which is the caller's at once; its connection comes back when it has ended. */
  #submit<Query extends PgSubmittable>(query: Query): Query {
    const pool = this.#pool;
    const waiter = new AcquireWaiter(
      pool,
      pool.options.acquireTimeoutMs,
      undefined,
      (connection) => {
        const { client } = connection;
        const onEnd = (): void => {
          client.removeListener('drain', onEnd);
          client.removeListener('end', onEnd);
          pool.release(connection);
        };
        client.once('drain', onEnd);
        client.once('end', onEnd);
        client.query(query);
      },
      (error) => query.handleError(asPgKnows(error) as Error),
    );
    pool.acquire(waiter);
    waiter.wait();
    return query;
  }

  /** Makes `client.release` for one borrowing: a second call of it is an error, whoever has the client then. */
  #lend(connection: PooledConnection): PgClient {
    let released = false;
    const release: Release = (error) => {
      if (released) throw new Error('Release called on client which has already been released to the pool.');
      released = true;
      this.#pool.release(connection, error);
    };
    Object.assign(connection.client, { release });
    return connection.client;
  }

  end(callback?: (error?: Error) => void): Promise<void> | undefined {
    if (this.ending) {
      const error = new Error('Called end on pool more than once');
      if (callback === undefined) return Promise.reject(error);
      callback(error);
      return undefined;
    }
    const closed = this.close();
    if (callback === undefined) return closed;
    void closed.then(() => callback());
    return undefined;
  }

  close(): Promise<void> {
    this.ending = true;
    this.#closed ??= new Promise((resolve) => {
      this.#pool.close(() => {
        this.ended = true;
        resolve();
      }, true);
    });
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function isSubmittable(query: unknown): query is PgSubmittable {
  return typeof (query as Partial<PgSubmittable> | null | undefined)?.submit === 'function';
}

/** Keeps secrets out of what is printed or spread. */
function hide(options: object, name: string): void {
  const value = (options as Record<string, unknown>)[name];
  if (value !== undefined) {
    Object.defineProperty(options, name, { value, enumerable: false, writable: true, configurable: true });
  }
}

/**
 * Makes a pool that can stand in for `pg.Pool`: promises, callbacks, events, counters and options are the same.
 *
 * Statements given as text are prepared by themselves. `end` serves who waits, and each connection is ended when it
 * comes back.
 *
 * @throws TypeError or RangeError when an option is wrong. Options it does not know are pg's.
 *
 * @example
 * const pool = createPool({ connectionString: process.env.DATABASE_URL, max: 20 });
 * const { rows } = await pool.query('select $1::int as x', [1]);
 * await pool.end();
 */
export function createPool(options: CreatePoolOptions = {}): Pool {
  return new HotpathPool(options) as unknown as Pool;
}

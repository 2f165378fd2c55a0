import type { Milliseconds } from '@hotpath/core';
import { acquireTimeout } from '../errors.ts';
import type { ConnectionPool } from '../pool/connection-pool.ts';
import type { PooledConnection } from '../pool/pooled-connection.ts';
import { Waiter } from '../pool/waiter-queue.ts';
import { checkLimits } from './time-limit.ts';

/** What may be said about one acquire. */
export interface AcquireOptions {
  /** Default: the pool's `acquireTimeoutMs`. */
  readonly timeoutMs?: Milliseconds | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Waits for a connection of `pool`.
 *
 * @throws TimeoutError (HOTPATH_PG_ACQUIRE_TIMEOUT), RejectedError (HOTPATH_PG_QUEUE_FULL), UnavailableError
 * (HOTPATH_PG_DOWN), AbortedError (HOTPATH_PG_CLOSED); the signal's reason, untouched.
 */
export function acquireConnection(pool: ConnectionPool, options?: AcquireOptions): Promise<PooledConnection> {
  return new Promise((resolve, reject) => {
    checkLimits('acquire', options);
    const signal = options?.signal;
    if (signal?.aborted) return reject(signal.reason);
    const waiter = new AcquireWaiter(
      pool,
      options?.timeoutMs ?? pool.options.acquireTimeoutMs,
      signal,
      resolve,
      reject,
    );
    pool.acquire(waiter);
    waiter.wait();
  });
}

/** A wait for a connection that ends with the connection in the caller's hands. */
export class AcquireWaiter extends Waiter {
  readonly #pool: ConnectionPool;
  readonly #timeoutMs: Milliseconds;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (connection: PooledConnection) => void;
  readonly #reject: (error: unknown) => void;
  #queuedAtMs: Milliseconds | undefined;
  #onAbort: (() => void) | undefined;

  constructor(
    pool: ConnectionPool,
    timeoutMs: Milliseconds,
    signal: AbortSignal | undefined,
    resolve: (connection: PooledConnection) => void,
    reject: (error: unknown) => void,
  ) {
    super();
    this.#pool = pool;
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Starts the clock and heeds the signal, when it was not served at once. */
  wait(): void {
    if (!this.queued) return;
    this.#queuedAtMs = this.#pool.options.clock.now();
    if (this.#timeoutMs > 0) this.#pool.wheel.arm(this, this.#timeoutMs);
    const signal = this.#signal;
    if (signal === undefined) return;
    this.#onAbort = () => {
      if (this.#pool.leave(this)) this.onRefused(signal.reason);
    };
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  override onConnection(connection: PooledConnection): void {
    if (this.#queuedAtMs !== undefined) {
      this.#pool.counters.wait.record(this.#pool.options.clock.now() - this.#queuedAtMs);
      this.#end();
    }
    this.#resolve(connection);
  }

  override onRefused(error: Error): void {
    this.#end();
    this.#reject(error);
  }

  override onDue(): void {
    this.#pool.leave(this);
    this.#pool.counters.acquireTimeouts++;
    this.onRefused(acquireTimeout(this.#timeoutMs));
  }

  #end(): void {
    this.#pool.wheel.disarm(this);
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}

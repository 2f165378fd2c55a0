import type { PooledConnection } from '../pool/pooled-connection.ts';
import { CursorExchange } from '../wire/cursor-exchange.ts';
import type { Executor } from './executor.ts';
import type { QueryOptions } from './query-task.ts';
import { CANCEL_GRACE_MS, within } from './time-limit.ts';

/** Reads the rows of one query a batch at a time; the server makes no more than was asked for. */
export class CursorReader {
  readonly #executor: Executor;
  readonly #connection: PooledConnection;
  readonly #exchange: CursorExchange;
  readonly #limits: QueryOptions;

  /** @param limits For each batch. */
  constructor(
    executor: Executor,
    connection: PooledConnection,
    text: string,
    values: readonly unknown[],
    batchSize: number,
    limits: QueryOptions = {},
  ) {
    const wire = connection.wire!;
    this.#executor = executor;
    this.#connection = connection;
    this.#limits = limits;
    this.#exchange = new CursorExchange(wire, text, values, batchSize);
    wire.query(this.#exchange);
  }

  /** The next rows; none when there are no more. */
  async read(): Promise<unknown[]> {
    this.#limits.signal?.throwIfAborted();
    return within(this.#executor, this.#connection, this.#exchange.read(), this.#limits);
  }

  /** Ends the query; resolves when the connection is free for the next, or is given up. Never rejects. */
  async close(): Promise<void> {
    const connection = this.#connection;
    const over = this.#exchange.close();
    await within(this.#executor, connection, over, { timeoutMs: CANCEL_GRACE_MS }).catch(() => over);
    if (!this.#exchange.isOwn || !connection.inTransaction) return;
    // The request to cancel has hit the COMMIT.
    await connection.cancelling;
    if (!connection.usable) return;
    const limits = { timeoutMs: CANCEL_GRACE_MS };
    await this.#executor.runOn(connection, 'rollback', undefined, limits).catch(() => connection.destroy());
  }
}

import type { PooledConnection } from '../pool/pooled-connection.ts';
import { CursorExchange } from '../wire/cursor-exchange.ts';
import type { Executor } from './executor.ts';

/** Reads the rows of one query a batch at a time; the server makes no more than was asked for. */
export class CursorReader {
  readonly #exchange: CursorExchange;

  constructor(
    _executor: Executor,
    connection: PooledConnection,
    text: string,
    values: readonly unknown[],
    batchSize: number,
  ) {
    const wire = connection.wire!;
    this.#exchange = new CursorExchange(wire, text, values, batchSize);
    wire.query(this.#exchange);
  }

  /** The next rows; none when there are no more. */
  read(): Promise<unknown[]> {
    return this.#exchange.read();
  }

  /** Ends the query; resolves when the connection is free for the next. */
  close(): Promise<void> {
    return this.#exchange.close();
  }
}

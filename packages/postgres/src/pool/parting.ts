import type { Clock, Milliseconds } from '@hotpath/core';
import type { PgClient } from '../wire/pg-client.ts';
import type { PooledConnection } from './pooled-connection.ts';

/** How long a server may take to answer the goodbye: one that does not must not hold the socket for ever. */
export const LINGER_MS: Milliseconds = 2_000;

/** Connections that were given up and whose sockets are still open. */
export class Parting {
  readonly #clock: Clock;
  readonly #onGone: (client: PgClient, reason: string) => void;
  readonly #connections = new Set<PooledConnection>();

  /** @param onGone Called once for each, when its socket is closed. */
  constructor(clock: Clock, onGone: (client: PgClient, reason: string) => void) {
    this.#clock = clock;
    this.#onGone = onGone;
  }

  get size(): number {
    return this.#connections.size;
  }

  /** Says goodbye to the server; to one that still owes an answer, without a word. */
  add(connection: PooledConnection, reason: string): void {
    const { client } = connection;
    if (!connection.quiet) connection.destroy();
    const linger = this.#clock.setTimeout(() => connection.destroy(), LINGER_MS);
    linger.unref();
    this.#connections.add(connection);
    client.end(() => {
      this.#clock.clearTimeout(linger);
      this.#connections.delete(connection);
      this.#onGone(client, reason);
    });
  }

  destroyAll(): void {
    for (const connection of this.#connections) connection.destroy();
  }
}

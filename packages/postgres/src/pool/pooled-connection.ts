import type { Milliseconds } from '@hotpath/core';
import type { PgClient } from '../wire/pg-client.ts';
import { isWireClient, type WireClient } from '../wire/wire-client.ts';

/** `settling`: given back while a query or transaction was open, which is brought to its end first. */
export type ConnectionState = 'connecting' | 'idle' | 'checking' | 'busy' | 'settling' | 'closed';

/** A connection and what the pool knows about it. */
export class PooledConnection {
  readonly client: PgClient;
  /** The client, where it can take exchanges; absent for a client class of the user's own. */
  readonly wire: WireClient | undefined;
  readonly generation: number;
  state: ConnectionState = 'connecting';
  openedAtMs: Milliseconds = 0;
  expiresAtMs: Milliseconds = Number.POSITIVE_INFINITY;
  lastUsedAtMs: Milliseconds = 0;
  acquiredAtMs: Milliseconds = 0;
  uses = 0;
  /** Why it must not be used again. */
  broken: Error | undefined;
  /** Where it was acquired, when that was noted. */
  site: string | undefined;
  leakReported = false;
  /** The last request to cancel what it runs; it must be over before anybody else runs anything. */
  cancelling: Promise<void> | undefined;
  /** Gives the attempt to open it up. */
  abandon: (() => void) | undefined;
  /** Whether one to take its place is being opened. */
  replacing = false;
  /** The one whose place it is to take, while it is opened. */
  replaces: PooledConnection | undefined;

  constructor(client: PgClient, generation: number) {
    this.client = client;
    this.wire = isWireClient(client) ? client : undefined;
    this.generation = generation;
  }

  /** Whether the driver would still take a query. */
  get usable(): boolean {
    return this.broken === undefined && this.client._queryable !== false && this.client._ending !== true;
  }

  /** Whether it waits for no answer. */
  get quiet(): boolean {
    return this.client.readyForQuery !== false;
  }

  /** Whether a transaction is open, as far as the server has told. */
  get inTransaction(): boolean {
    return this.wire !== undefined && this.wire.transactionStatus !== 'I';
  }

  /** Drops the connection at once, without a word to the server. */
  destroy(): void {
    const { connection } = this.client as { connection?: { stream?: { destroy?(): void } } };
    if (typeof connection?.stream?.destroy === 'function') connection.stream.destroy();
    // A client class of the user's own may have no end of its own before it is connected.
    else (this.client as Partial<PgClient>).end?.();
  }
}

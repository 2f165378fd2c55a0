import { WheelTimer } from '@hotpath/core';
import { openTransactionChannel } from '../telemetry.ts';
import { SyncExchange } from '../wire/sync-exchange.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { PooledConnection } from './pooled-connection.ts';

class Deadline extends WheelTimer {
  readonly #pool: ConnectionPool;
  #settle: ((ok: boolean) => void) | undefined;

  constructor(pool: ConnectionPool, settle: (ok: boolean) => void) {
    super();
    this.#pool = pool;
    this.#settle = settle;
    pool.wheel.arm(this, pool.options.validationTimeoutMs);
  }

  settle(ok: boolean): void {
    const settle = this.#settle;
    this.#settle = undefined;
    this.#pool.wheel.disarm(this);
    settle?.(ok);
  }

  override onDue(): void {
    this.settle(false);
  }
}

/** Sees in one round trip whether a connection still answers. */
export function validateConnection(
  pool: ConnectionPool,
  { wire, client }: PooledConnection,
  done: (ok: boolean) => void,
): void {
  const deadline = new Deadline(pool, done);
  if (wire === undefined) client.query('select 1', (error: unknown) => deadline.settle(!error));
  else wire.query(new SyncExchange(wire, (error) => deadline.settle(error === undefined)));
}

/**
 * Waits for the answers that a connection still owes, and rolls back a transaction that was left open.
 *
 * The time for it starts when the transaction is found; a running statement has its own.
 */
export function settleConnection(
  pool: ConnectionPool,
  connection: PooledConnection,
  done: (ok: boolean) => void,
): void {
  const { client } = connection;
  const rollBack = (): void => {
    if (!connection.usable) {
      done(false);
      return;
    }
    if (!connection.inTransaction) {
      done(true);
      return;
    }
    pool.counters.openTransactions++;
    if (openTransactionChannel.hasSubscribers) openTransactionChannel.publish({ site: connection.site });
    const deadline = new Deadline(pool, done);
    client.query('rollback', (error: unknown) => deadline.settle(!error && !connection.inTransaction));
  };
  if (connection.quiet) {
    rollBack();
    return;
  }
  const onDrain = (): void => {
    client.removeListener('end', onDrain);
    client.removeListener('drain', onDrain);
    rollBack();
  };
  client.once('drain', onDrain);
  client.once('end', onDrain);
}

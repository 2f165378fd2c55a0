import type { Clock, Milliseconds } from '@hotpath/core';
import { connectTimeout, poolClosed } from '../errors.ts';
import type { PgClient } from '../wire/pg-client.ts';
import type { PooledConnection } from './pooled-connection.ts';

/** What a new connection goes through before it is used. */
export interface DialHooks {
  onConnect?: ((client: PgClient) => unknown) | undefined;
  verify?: ((client: PgClient, done: (error?: Error) => void) => void) | undefined;
}

/**
 * Connects, then runs the hooks; calls back once. On failure nothing of the connection stays behind.
 *
 * The time covers the hooks as well. What is returned gives the attempt up.
 */
export function dial(
  connection: PooledConnection,
  { onConnect, verify }: DialHooks,
  clock: Clock,
  timeoutMs: Milliseconds,
  done: (error: Error | undefined) => void,
): () => void {
  const { client } = connection;
  let settled = false;
  const settle = (error: Error | undefined): void => {
    if (settled) return;
    settled = true;
    clock.clearTimeout(timer);
    if (error !== undefined) connection.destroy();
    done(error);
  };
  const timer =
    timeoutMs > 0 ? clock.setTimeout(() => settle(connectTimeout(timeoutMs)), timeoutMs) : undefined;
  const checkUp = (): void => {
    if (verify === undefined) {
      settle(undefined);
      return;
    }
    verify(client, (error) => settle(error ?? undefined));
  };
  client.connect((error) => {
    if (error) return settle(error);
    if (settled) return;
    if (onConnect === undefined) return checkUp();
    new Promise((resolve) => resolve(onConnect(client))).then(checkUp, settle);
  });
  return () => settle(poolClosed());
}

import type { Milliseconds } from '@hotpath/core';
import type { PgClient } from '../wire/pg-client.ts';
import { type DialHooks, dial } from './dial.ts';
import { DialPace } from './dial-pace.ts';
import type { ResolvedPoolOptions } from './pool-options.ts';
import type { PoolCounters } from './pool-stats.ts';
import { PooledConnection } from './pooled-connection.ts';

/** What becomes of connections that a {@link Connector} opens; each is called synchronously. */
export interface ConnectorEvents {
  /** It can be used from now on. */
  onOpened(connection: PooledConnection): void;
  /** It can't be had; nothing of it is left. `undefined` when it could not even be made. */
  onFailed(error: Error, retryAfterMs: Milliseconds, connection: PooledConnection | undefined): void;
  /** It broke, then or at any time after. */
  onBroken(connection: PooledConnection, error: Error): void;
  /** Another one may be tried, after a pause. */
  onPauseOver(): void;
}

export interface ConnectorHooks extends DialHooks {
  createClient(): PgClient;
}

/** Opens connections, at the pace that the server allows. */
export class Connector {
  readonly #options: ResolvedPoolOptions;
  readonly #hooks: ConnectorHooks;
  readonly #counters: PoolCounters;
  readonly #events: ConnectorEvents;
  readonly #pace: DialPace;
  #connecting = 0;

  constructor(
    options: ResolvedPoolOptions,
    hooks: ConnectorHooks,
    counters: PoolCounters,
    events: ConnectorEvents,
  ) {
    this.#options = options;
    this.#hooks = hooks;
    this.#counters = counters;
    this.#events = events;
    this.#pace = new DialPace(options, () => events.onPauseOver());
  }

  /** How many are on their way. */
  get connecting(): number {
    return this.#connecting;
  }

  mayOpen(): boolean {
    return this.#pace.mayDial(this.#connecting);
  }

  /** @returns Nothing when no client can be made, as where a file that its configuration names is gone. */
  create(generation: number): PooledConnection | undefined {
    let client: PgClient;
    try {
      client = this.#hooks.createClient();
    } catch (error) {
      this.#fail(error as Error, undefined);
      return undefined;
    }
    const connection = new PooledConnection(client, generation);
    connection.client.on('error', (error: Error) => this.#events.onBroken(connection, error));
    connection.client.on('end', () => this.#events.onBroken(connection, new Error('Connection terminated')));
    return connection;
  }

  /** Tells one of `onOpened` and `onFailed` how it went, unless the connection is abandoned before. */
  open(connection: PooledConnection): void {
    const { clock, connectTimeoutMs, maxLifetimeMs, random } = this.#options;
    this.#connecting++;
    connection.abandon = dial(connection, this.#hooks, clock, connectTimeoutMs, (error) => {
      this.#connecting--;
      if (connection.state === 'closed') return;
      if (error !== undefined) {
        connection.state = 'closed';
        this.#fail(error, connection);
        return;
      }
      this.#pace.succeeded();
      const now = clock.now();
      connection.openedAtMs = now;
      if (maxLifetimeMs > 0) connection.expiresAtMs = now + maxLifetimeMs * (1 - 0.1 * random());
      this.#counters.opened++;
      this.#events.onOpened(connection);
    });
  }

  #fail(error: Error, connection: PooledConnection | undefined): void {
    this.#counters.connectFailures++;
    this.#events.onFailed(error, this.#pace.failed(this.#options.clock.now()), connection);
  }

  /** Nobody is told of pauses that end from now on. */
  stop(): void {
    this.#pace.stop();
  }
}

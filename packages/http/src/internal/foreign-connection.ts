import type { Milliseconds } from '@hotpath/core';
import type { Dispatcher } from 'undici';
import { Connection, type ConnectionOwner } from './connection.ts';
import type { Exchange } from './exchange.ts';
import type { OriginPool } from './origin-pool.ts';

/** A place for one exchange on a dispatcher that the caller brought, and whose sockets are its own affair. */
export class ForeignConnection extends Connection {
  readonly #owner: ConnectionOwner;
  readonly #dispatcher: Dispatcher;

  constructor(owner: ConnectionOwner, origin: OriginPool, dispatcher: Dispatcher, openedMs: Milliseconds) {
    super(origin, openedMs, 1);
    this.#owner = owner;
    this.#dispatcher = dispatcher;
  }

  get usable(): boolean {
    return true;
  }

  dispatch(exchange: Exchange): void {
    this.served++;
    try {
      this.#dispatcher.dispatch(
        exchange as unknown as Dispatcher.DispatchOptions,
        exchange as Dispatcher.DispatchHandler,
      );
    } catch (error) {
      exchange.onResponseError(undefined as never, error as Error);
    }
  }

  close(): void {
    queueMicrotask(() => this.#owner.onClosed(this));
  }

  destroy(): void {
    this.close();
  }
}

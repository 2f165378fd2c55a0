import type { Socket } from 'node:net';
import type { Milliseconds } from '@hotpath/core';
import { Client, type Dispatcher } from 'undici';
import { Connection, type SocketConnectionOptions } from './connection.ts';
import type { Exchange } from './exchange.ts';

/** Given to an exchange whose socket closed before anything was written: it may go elsewhere, whatever its method. */
export const NOT_SENT: Error = new Error('the connection closed before the request was written');

/** Servers announce how long they keep an idle connection; it is left to them this much earlier. */
const KEEP_ALIVE_MARGIN_MS = 500;

/**
 * One socket that speaks HTTP/1.1, one exchange at a time, through an undici client of its own.
 *
 * The client never connects by itself: it is given the socket that the pool has opened, and asking
 * for a second one fails. So nothing ever waits inside undici, and each socket is accounted for.
 */
export class H1Connection extends Connection {
  readonly #socket: Socket;
  readonly #client: Client;
  #handedOver = false;
  #spareTimer: NodeJS.Timeout | undefined;
  readonly #dropSpare = (): void => {
    this.#socket.destroy();
  };

  constructor(options: SocketConnectionOptions) {
    const { owner, origin, socket, openedMs, keepAliveMs, maxHeaderBytes } = options;
    super(origin, openedMs, 1);
    this.#socket = socket;
    this.#client = new Client(origin.url, {
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: keepAliveMs,
      keepAliveTimeoutThreshold: KEEP_ALIVE_MARGIN_MS,
      maxHeaderSize: maxHeaderBytes,
      connect: (_options, callback) => {
        // undici goes on only after its own connecting step has returned.
        if (this.#handedOver) queueMicrotask(() => callback(NOT_SENT, null));
        else {
          this.#handedOver = true;
          queueMicrotask(() => callback(null, socket));
        }
      },
    });
    socket.once('close', () => {
      clearTimeout(this.#spareTimer);
      owner.onClosed(this);
    });
    this.#watchSpare(keepAliveMs);
  }

  get usable(): boolean {
    return !this.#socket.destroyed;
  }

  dispatch(exchange: Exchange): void {
    if (this.served++ === 0) this.#unwatchSpare();
    this.#client.dispatch(
      exchange as unknown as Dispatcher.DispatchOptions,
      exchange as Dispatcher.DispatchHandler,
    );
  }

  close(): void {
    this.#socket.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  // Until its first exchange undici does not look at the socket, so nobody else would see it end.
  #watchSpare(keepAliveMs: Milliseconds): void {
    const socket = this.#socket;
    socket.unref();
    socket.once('data', this.#dropSpare).once('end', this.#dropSpare).once('error', this.#dropSpare);
    this.#spareTimer = setTimeout(this.#dropSpare, keepAliveMs);
    this.#spareTimer.unref();
  }

  #unwatchSpare(): void {
    const socket = this.#socket;
    clearTimeout(this.#spareTimer);
    socket.off('data', this.#dropSpare).off('end', this.#dropSpare);
    socket.pause();
    socket.ref();
  }
}

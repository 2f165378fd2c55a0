import type { Socket } from 'node:net';
import type { Milliseconds } from '@hotpath/core';
import type { Exchange } from './exchange.ts';
import type { OriginPool } from './origin-pool.ts';

/** Who is told what becomes of a connection: its pool. */
export interface ConnectionOwner {
  /** Its socket is closed. */
  onClosed(connection: Connection): void;
  /** It carries more or fewer exchanges at a time than before. */
  onCapacity(connection: Connection): void;
  /** It is to take no more exchanges, and to be closed after those that it holds. */
  retire(connection: Connection): void;
}

/** What a connection on a socket of our own is made of. */
export interface SocketConnectionOptions {
  readonly owner: ConnectionOwner;
  readonly origin: OriginPool;
  /** Connected, and nobody else's from now on. */
  readonly socket: Socket;
  readonly openedMs: Milliseconds;
  /** How long it may be idle. */
  readonly keepAliveMs: Milliseconds;
  /** The largest head of an answer. */
  readonly maxHeaderBytes: number;
}

/**
 * A connection as the pool sees it: it holds up to `capacity` exchanges at a time.
 *
 * The pool alone touches the fields that begin with an underscore: its two lists go through them,
 * so that joining and leaving a list allocates nothing.
 */
export abstract class Connection {
  readonly origin: OriginPool;
  readonly openedMs: Milliseconds;
  /** How many exchanges fit at a time. */
  capacity: number;
  inFlight = 0;
  /** How many exchanges it was given so far. */
  served = 0;
  /** The pool gave it up, and waits for its socket to close. */
  closing = false;

  _roomNext: Connection | undefined = undefined;
  _roomPrevious: Connection | undefined = undefined;
  _hasRoom = false;
  _idleNext: Connection | undefined = undefined;
  _idlePrevious: Connection | undefined = undefined;
  _isIdle = false;
  _idlePeriod = 0;

  constructor(origin: OriginPool, openedMs: Milliseconds, capacity: number) {
    this.origin = origin;
    this.openedMs = openedMs;
    this.capacity = capacity;
  }

  /** Whether an exchange that was given to it now could be sent. */
  abstract get usable(): boolean;
  /** Sends an exchange, whose place the pool has counted already. */
  abstract dispatch(exchange: Exchange): void;
  /** Ends an idle connection; the pool hears of it through `onClosed`. */
  abstract close(): void;
  /** Ends it with whatever it carries. */
  abstract destroy(): void;
}

import type { Connection } from './connection.ts';
import { WaiterQueue } from './waiter-queue.ts';

/** What the pool knows of one origin: its connections and who waits for one. */
export class OriginPool {
  readonly url: URL;
  /** Scheme, host and port, as in `https://example.com:8443`. */
  readonly key: string;
  readonly waiters: WaiterQueue = new WaiterQueue();
  /** Connections that are there or being made. */
  open = 0;
  /** Of these, being made. */
  connecting = 0;
  /** Exchanges that are on a connection. */
  inFlight = 0;
  /** Connections made so far. */
  connects = 0;
  /** Exchanges given to a connection so far. */
  dispatched = 0;
  /** The connection that was used most recently, among those with room. */
  lastWithRoom: Connection | undefined = undefined;
  /** Exchanges that one connection of this origin carries, as far as is known. */
  exchangesPerConnection = 1;

  constructor(url: URL) {
    this.url = url;
    this.key = url.origin;
  }

  /** Whether anybody is on a connection, or waits for one. */
  get isInUse(): boolean {
    return this.inFlight > 0 || this.connecting > 0 || this.waiters.size > 0;
  }

  /** Whether it has waiters that the connections being made will not serve. */
  get lacksConnection(): boolean {
    return this.waiters.size > this.connecting * this.exchangesPerConnection;
  }

  addWithRoom(connection: Connection): void {
    const last = this.lastWithRoom;
    connection._hasRoom = true;
    connection._roomPrevious = last;
    if (last !== undefined) last._roomNext = connection;
    this.lastWithRoom = connection;
  }

  removeWithRoom(connection: Connection): void {
    if (!connection._hasRoom) return;
    const { _roomNext: next, _roomPrevious: previous } = connection;
    if (next === undefined) this.lastWithRoom = previous;
    else next._roomPrevious = previous;
    if (previous !== undefined) previous._roomNext = next;
    connection._roomNext = undefined;
    connection._roomPrevious = undefined;
    connection._hasRoom = false;
  }
}

import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2';
import type { Socket } from 'node:net';
import type { Milliseconds } from '@hotpath/core';
import type { Dispatcher } from 'undici';
import { Connection, type ConnectionOwner, type SocketConnectionOptions } from './connection.ts';
import type { Exchange } from './exchange.ts';
import { NotProcessed } from './failure.ts';
import { H2Stream } from './h2-stream.ts';

/** Streams to one origin that there are always places for, however few connections it may have. */
const STREAMS_PER_ORIGIN = 100;
/** Streams on one connection, where there may be as many connections as it takes. */
const STREAMS = 32;
/** A peer that takes longer to answer a ping is gone. */
const PING_TIMEOUT_MS = 2_000;
/** Older versions take header objects only. */
const TAKES_RAW_HEADERS = Number(process.versions.node.split('.')[0]) >= 24;

export interface H2ConnectionOptions extends SocketConnectionOptions {
  /** On that socket; the peer has sent its settings. */
  readonly session: ClientHttp2Session;
  /** How many streams it is given at a time, where the peer allows that many. */
  readonly maxStreams: number;
}

/**
 * One socket that speaks HTTP/2: many exchanges at a time, each a stream of its own.
 *
 * Built on node:http2, because what happens on GOAWAY must be known exactly: streams above the last
 * one that the peer names, and those that it refuses, were not processed and may be sent elsewhere.
 */
export class H2Connection extends Connection {
  readonly #owner: ConnectionOwner;
  readonly #session: ClientHttp2Session;
  readonly #socket: Socket;
  readonly #authority: string;
  readonly #scheme: string;
  readonly #keepAliveMs: Milliseconds;
  readonly maxHeaderBytes: number;
  #idleTimer: NodeJS.Timeout | undefined;
  #active = 0;
  #pingTimer: NodeJS.Timeout | undefined;
  /** Counts what comes over it, for streams to tell whether anything did since they began. */
  heard = 0;
  /** The last stream that the peer says it may have processed. */
  lastProcessedId: number = Number.POSITIVE_INFINITY;

  constructor(options: H2ConnectionOptions) {
    const { owner, origin, session, socket, openedMs, keepAliveMs, maxStreams, maxHeaderBytes } = options;
    super(origin, openedMs, streamsOf(session, maxStreams));
    this.maxHeaderBytes = maxHeaderBytes;
    this.#owner = owner;
    this.#session = session;
    this.#socket = socket;
    this.#authority = origin.url.host;
    this.#scheme = origin.url.protocol.slice(0, -1);
    this.#keepAliveMs = keepAliveMs;
    session.on('remoteSettings', () => {
      this.capacity = streamsOf(session, maxStreams);
      owner.onCapacity(this);
    });
    session.on('goaway', (_code, lastStreamId) => {
      this.lastProcessedId = lastStreamId;
      owner.retire(this);
    });
    session.on('error', () => {});
    session.once('close', () => {
      clearTimeout(this.#idleTimer);
      clearTimeout(this.#pingTimer);
      owner.onClosed(this);
    });
    this.#rest();
  }

  get usable(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  dispatch(exchange: Exchange): void {
    this.served++;
    if (this.#active++ === 0) {
      clearTimeout(this.#idleTimer);
      this.#session.ref();
    }
    let stream: ClientHttp2Stream;
    try {
      const headers = TAKES_RAW_HEADERS ? this.#rawHeaders(exchange) : this.#headers(exchange);
      stream = this.#session.request(headers as OutgoingHttpHeaders, { endStream: exchange.body === null });
    } catch (error) {
      this.ended();
      exchange.onResponseError(NO_CONTROLLER, new NotProcessed((error as Error).message, { cause: error }));
      return;
    }
    const carried = new H2Stream(this, stream, exchange);
    exchange.onRequestStart(carried);
    if (!carried.aborted) carried.sendBody();
  }

  close(): void {
    this.destroy();
  }

  destroy(): void {
    this.#session.destroy();
    // A session that the peer's GOAWAY has closed would wait for the peer to close its end as well.
    this.#socket.destroy();
  }

  /**
   * Asks whether the peer is still there, and ends the connection when it does not answer.
   *
   * A stream that is given up leaves its connection alone; without this a dead one would take every
   * request to come, until the system gives it up after many minutes.
   */
  probe(): void {
    if (this.#pingTimer !== undefined || !this.usable) return;
    this.#pingTimer = setTimeout(() => this.destroy(), PING_TIMEOUT_MS);
    this.#pingTimer.unref();
    const answered = (): void => {
      clearTimeout(this.#pingTimer);
      this.#pingTimer = undefined;
    };
    // `false`: too many are under way; the timer then goes by those.
    this.#session.ping((error) => {
      if (error === null) answered();
    });
  }

  /** An exchange is over, however it ended. */
  ended(): void {
    if (--this.#active === 0) this.#rest();
  }

  #rest(): void {
    this.#session.unref();
    this.#idleTimer = setTimeout(() => this.#owner.retire(this), this.#keepAliveMs);
    this.#idleTimer.unref();
  }

  #rawHeaders({ method, path, headers }: Exchange): string[] {
    return [
      ':method',
      method,
      ':path',
      path,
      ':scheme',
      this.#scheme,
      ':authority',
      this.#authority,
      ...headers,
    ];
  }

  #headers(exchange: Exchange): OutgoingHttpHeaders {
    const result: OutgoingHttpHeaders = {};
    const raw = this.#rawHeaders(exchange);
    for (let index = 0; index < raw.length; index += 2) {
      const name = raw[index]!;
      const value = raw[index + 1]!;
      const earlier = result[name];
      result[name] = earlier === undefined ? value : [...[earlier as string | string[]].flat(), value];
    }
    return result;
  }
}

/**
 * How many streams a connection is given before another is made.
 *
 * Few: the client parses the answers of one connection while the server works for the others. On a
 * single one they take turns.
 */
export function streamsPerConnection(connectionsPerOrigin: number): number {
  return Math.max(STREAMS, Math.ceil(STREAMS_PER_ORIGIN / connectionsPerOrigin));
}

function streamsOf({ remoteSettings }: ClientHttp2Session, most: number): number {
  return Math.max(1, Math.min(most, remoteSettings.maxConcurrentStreams ?? most));
}

const NO_CONTROLLER = undefined as unknown as Dispatcher.DispatchController;

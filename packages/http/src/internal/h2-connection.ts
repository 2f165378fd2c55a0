import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import type { Milliseconds } from '@hotpath/core';
import { type Dispatcher, errors } from 'undici';
import { Connection } from './connection.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { Exchange } from './exchange.ts';
import { NotProcessed } from './failure.ts';
import type { OriginPool } from './origin-pool.ts';

/** Streams on one connection, where the peer allows that many. */
export const MOST_STREAMS = 100;
/** Node's 64 KiB would make a large body wait for its acknowledgements. */
const WINDOW_BYTES = 1024 * 1024;
/** A peer that takes longer to answer a ping is gone. */
const PING_TIMEOUT_MS = 2_000;
/** Older versions take header objects only. */
const TAKES_RAW_HEADERS = Number(process.versions.node.split('.')[0]) >= 24;

class StreamLost extends Error {
  readonly code = 'ECONNRESET';
}

/**
 * One socket that speaks HTTP/2: many exchanges at a time, each a stream of its own.
 *
 * Built on node:http2, because what happens on GOAWAY must be known exactly: streams above the last
 * one that the peer names, and those that it refuses, were not processed and may be sent elsewhere.
 */
export class H2Connection extends Connection {
  readonly #pool: ConnectionPool;
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

  constructor(
    pool: ConnectionPool,
    origin: OriginPool,
    session: ClientHttp2Session,
    socket: Socket,
    openedMs: Milliseconds,
    keepAliveMs: Milliseconds,
    maxHeaderBytes: number,
  ) {
    super(origin, openedMs, streamsOf(session));
    this.maxHeaderBytes = maxHeaderBytes;
    this.#pool = pool;
    this.#session = session;
    this.#socket = socket;
    this.#authority = origin.url.host;
    this.#scheme = origin.url.protocol.slice(0, -1);
    this.#keepAliveMs = keepAliveMs;
    session.on('remoteSettings', () => {
      this.capacity = streamsOf(session);
    });
    session.on('goaway', (_code, lastStreamId) => {
      this.lastProcessedId = lastStreamId;
      pool.retire(this);
    });
    session.on('error', () => {});
    session.once('close', () => {
      clearTimeout(this.#idleTimer);
      clearTimeout(this.#pingTimer);
      pool.onClosed(this);
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
      exchange.onResponseError(NO_CONTROLLER, new NotProcessed('the session is closed', { cause: error }));
      return;
    }
    const carried = new StreamExchange(this, stream, exchange);
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
    this.#idleTimer = setTimeout(() => this.#pool.retire(this), this.#keepAliveMs);
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

function streamsOf(session: ClientHttp2Session): number {
  return Math.max(1, Math.min(MOST_STREAMS, session.remoteSettings.maxConcurrentStreams ?? MOST_STREAMS));
}

// The setting that announces this is advice: node takes four times as much.
function sizeOf(rawHeaders: readonly string[]): number {
  let size = 0;
  for (const part of rawHeaders) size += part.length;
  return size;
}

const NO_CONTROLLER = undefined as unknown as Dispatcher.DispatchController;
const CARRIED = Symbol('carried');

interface CarryingStream extends ClientHttp2Stream {
  [CARRIED]: StreamExchange;
}

/** One exchange on its stream; it is also the controller that the exchange is given. */
class StreamExchange implements Dispatcher.DispatchController {
  readonly #connection: H2Connection;
  readonly #stream: ClientHttp2Stream;
  readonly #exchange: Exchange;
  #done = false;
  #responded = false;
  readonly #heardBefore: number;
  aborted = false;
  paused = false;
  reason: Error | null = null;

  constructor(connection: H2Connection, stream: ClientHttp2Stream, exchange: Exchange) {
    this.#connection = connection;
    this.#stream = stream;
    this.#exchange = exchange;
    this.#heardBefore = connection.heard;
    (stream as CarryingStream)[CARRIED] = this;
    stream.on('response', onResponse);
    stream.on('data', onData);
    stream.on('end', onEnd);
    stream.on('error', onError);
    stream.on('close', onClose);
  }

  sendBody(): void {
    const { body } = this.#exchange;
    if (body === null) return;
    if (typeof body === 'string' || ArrayBuffer.isView(body)) {
      this.#stream.end(body);
      return;
    }
    const source = body instanceof Blob ? Readable.fromWeb(body.stream() as never) : Readable.from(body);
    source.once('error', (error) => this.abort(error));
    source.pipe(this.#stream);
  }

  abort(reason: Error): void {
    if (this.#done) return;
    this.aborted = true;
    this.reason = reason;
    this.#stream.close(constants.NGHTTP2_CANCEL);
    // Nothing came since it was sent, of this answer or another: slow, or gone?
    if (this.#connection.heard === this.#heardBefore) this.#connection.probe();
    this.#fail(reason);
  }

  pause(): void {
    this.paused = true;
    this.#stream.pause();
  }

  resume(): void {
    this.paused = false;
    this.#stream.resume();
  }

  response(headers: IncomingHttpHeaders, raw: readonly string[]): void {
    this.#connection.heard++;
    if (this.#done) return;
    this.#responded = true;
    this.#exchange.onResponseStarted();
    if (sizeOf(raw) > this.#connection.maxHeaderBytes) {
      this.abort(new errors.HeadersOverflowError());
      return;
    }
    const { ':status': status } = headers as { ':status'?: number };
    this.#exchange.onResponseStart(this, status ?? 0, headers as never);
  }

  data(chunk: Buffer): void {
    this.#connection.heard++;
    if (!this.#done) this.#exchange.onResponseData(this, chunk);
  }

  end(): void {
    // A reset also ends the readable side, and a server that goes down ends streams without an answer.
    if (this.#done || !this.#responded || this.#stream.rstCode !== constants.NGHTTP2_NO_ERROR) return;
    this.#done = true;
    this.#connection.ended();
    this.#exchange.onResponseEnd(this, {});
  }

  lost(error: Error | undefined): void {
    if (this.#done) return;
    const { id, rstCode } = this.#stream;
    const wasRefused = rstCode === constants.NGHTTP2_REFUSED_STREAM;
    if (wasRefused || id === undefined || id > this.#connection.lastProcessedId) {
      this.#fail(new NotProcessed('the server did not process the stream', { cause: error }));
    } else {
      this.#fail(new StreamLost(`the stream was reset (code ${rstCode})`, { cause: error }));
    }
  }

  #fail(error: Error): void {
    this.#done = true;
    this.#connection.ended();
    this.#exchange.onResponseError(this, error);
  }
}

// One function for all streams each: a closure for every listener of every stream would cost more than the rest.
function onResponse(
  this: ClientHttp2Stream,
  headers: IncomingHttpHeaders,
  _flags: number,
  raw: readonly string[],
): void {
  (this as CarryingStream)[CARRIED].response(headers, raw);
}
function onData(this: ClientHttp2Stream, chunk: Buffer): void {
  (this as CarryingStream)[CARRIED].data(chunk);
}
function onEnd(this: ClientHttp2Stream): void {
  (this as CarryingStream)[CARRIED].end();
}
function onError(this: ClientHttp2Stream, error: Error): void {
  (this as CarryingStream)[CARRIED].lost(error);
}
function onClose(this: ClientHttp2Stream): void {
  (this as CarryingStream)[CARRIED].lost(undefined);
}

/**
 * Starts HTTP/2 on a connected socket, and calls back when the peer has said how many streams it takes.
 */
export function openSession(
  origin: OriginPool,
  socket: Socket,
  maxHeaderBytes: number,
  callback: (error: unknown, session: ClientHttp2Session | undefined) => void,
): void {
  const session = connect(origin.url, {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: WINDOW_BYTES, maxHeaderListSize: maxHeaderBytes },
  });
  let settled = false;
  const settle = (error: unknown): void => {
    if (settled) return;
    settled = true;
    if (error === null) callback(null, session);
    else {
      session.destroy();
      callback(error, undefined);
    }
  };
  session.once('remoteSettings', () => settle(null));
  session.once('error', settle);
  session.once('close', () => settle(new Error('the session closed before it was ready')));
}

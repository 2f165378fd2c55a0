import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from 'node:http2';
import { Readable } from 'node:stream';
import { type Dispatcher, errors } from 'undici';
import type { Exchange } from './exchange.ts';
import { NotProcessed } from './failure.ts';
import type { H2Connection } from './h2-connection.ts';

class StreamLost extends Error {
  readonly code = 'ECONNRESET';
}

// The setting that announces this is advice: node takes four times as much.
function sizeOf(rawHeaders: readonly string[]): number {
  let size = 0;
  for (const part of rawHeaders) size += part.length;
  return size;
}

function readableOf(body: Blob | Readable | AsyncIterable<Uint8Array>): Readable {
  if (body instanceof Readable) return body;
  return body instanceof Blob ? Readable.fromWeb(body.stream() as never) : Readable.from(body);
}

const CARRIED = Symbol('carried');

interface CarryingStream extends ClientHttp2Stream {
  [CARRIED]: H2Stream | undefined;
}

/** One exchange on its stream; it is also the controller that the exchange is given. */
export class H2Stream implements Dispatcher.DispatchController {
  readonly #connection: H2Connection;
  readonly #stream: ClientHttp2Stream;
  readonly #exchange: Exchange;
  #source: Readable | undefined;
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
    const source = readableOf(body);
    this.#source = source;
    source.on('error', (error) => this.abort(error));
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
    if (sizeOf(raw) > this.#connection.maxHeaderBytes) {
      this.#exchange.onResponseStarted();
      this.abort(new errors.HeadersOverflowError());
      return;
    }
    const status = headers[':status'] as number | undefined;
    // It is no header over HTTP/1.1.
    delete headers[':status'];
    try {
      this.#exchange.onResponseStarted();
      this.#exchange.onResponseStart(this, status ?? 0, headers as never);
    } catch (error) {
      this.abort(error as Error);
    }
  }

  data(chunk: Buffer): void {
    this.#connection.heard++;
    if (this.#done) return;
    try {
      this.#exchange.onResponseData(this, chunk);
    } catch (error) {
      this.abort(error as Error);
    }
  }

  end(): void {
    // A reset also ends the readable side, and a server that goes down ends streams without an answer.
    if (this.#done || !this.#responded || this.#stream.rstCode !== constants.NGHTTP2_NO_ERROR) return;
    this.#finish();
    // The answer came before all of the body was sent: the rest is not wanted.
    if (this.#exchange.body !== null && !this.#stream.writableFinished) {
      this.#stream.close(constants.NGHTTP2_CANCEL);
    }
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
    this.#finish();
    this.#exchange.onResponseError(this, error);
  }

  #finish(): void {
    this.#done = true;
    // Node keeps its streams in a Map, and what such a table once held outlives minor collections when it is
    // replaced: half of the streams do, and with them what they refer to.
    (this.#stream as CarryingStream)[CARRIED] = undefined;
    this.#source?.destroy();
    this.#connection.ended();
  }
}

// One function for all streams each: a closure for every listener of every stream would cost more than the rest.
function onResponse(
  this: ClientHttp2Stream,
  headers: IncomingHttpHeaders,
  _flags: number,
  raw: readonly string[],
): void {
  (this as CarryingStream)[CARRIED]?.response(headers, raw);
}
function onData(this: ClientHttp2Stream, chunk: Buffer): void {
  (this as CarryingStream)[CARRIED]?.data(chunk);
}
function onEnd(this: ClientHttp2Stream): void {
  (this as CarryingStream)[CARRIED]?.end();
}
function onError(this: ClientHttp2Stream, error: Error): void {
  (this as CarryingStream)[CARRIED]?.lost(error);
}
function onClose(this: ClientHttp2Stream): void {
  (this as CarryingStream)[CARRIED]?.lost(undefined);
}

import type { Milliseconds } from '@hotpath/core';
import type { Dispatcher } from 'undici';
import type { HttpPhase } from '../errors.ts';
import type { HttpResponseHeaders } from '../response.ts';
import type { Connection } from './connection.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { Exchange, WireBody } from './exchange.ts';
import { TooLarge } from './failure.ts';
import type { Origin } from './origin.ts';
import { Waiter } from './waiter-queue.ts';

/** Who is told how a try ended; exactly one of the two is called, once, unless the try was cancelled. */
export interface AttemptOwner {
  onResponse(attempt: Attempt): void;
  /** `error` is as undici, the platform or the pool gave it. */
  onFailure(attempt: Attempt, error: unknown): void;
}

/** What is the same in all tries of one request. */
export interface AttemptRequest extends AttemptOwner {
  readonly method: string;
  readonly headers: string[];
  readonly body: WireBody;
  readonly priority: number;
  readonly maxResponseBytes: number;
}

const NO_BYTES: Buffer = Buffer.alloc(0);
const NO_HEADERS: HttpResponseHeaders = Object.freeze({});

/** One try of a request: waits for a connection, sends, and collects the answer. */
export class Attempt extends Waiter implements Exchange {
  // What undici reads.
  readonly origin: string;
  readonly path: string;
  readonly method: string;
  readonly headers: string[];
  readonly body: WireBody;
  readonly reset: boolean | undefined;
  readonly headersTimeout = 0;
  readonly bodyTimeout = 0;

  readonly priority: number;
  readonly target: Origin;
  readonly number: number;
  readonly startedMs: Milliseconds;
  phase: HttpPhase = 'queue';
  /** It was on a connection that had carried others before. */
  reused = false;
  /** It was written, as a whole or in part. */
  sent = false;
  /** The answer has begun. */
  responded = false;
  status = 0;
  responseHeaders: HttpResponseHeaders = NO_HEADERS;
  readonly #request: AttemptRequest;
  readonly #pool: ConnectionPool;
  #connection: Connection | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #done = false;
  #size = 0;
  #first: Buffer = NO_BYTES;
  #rest: Buffer[] | undefined;

  constructor(
    request: AttemptRequest,
    pool: ConnectionPool,
    target: Origin,
    path: string,
    number: number,
    startedMs: Milliseconds,
  ) {
    super();
    this.origin = target.key;
    this.path = path;
    this.method = request.method;
    this.headers = request.headers;
    this.body = request.body;
    // A HEAD would otherwise cost its connection.
    this.reset = request.method === 'HEAD' ? false : undefined;
    this.priority = request.priority;
    this.target = target;
    this.number = number;
    this.startedMs = startedMs;
    this.#request = request;
    this.#pool = pool;
  }

  get bytes(): Buffer {
    return this.#rest === undefined ? this.#first : Buffer.concat(this.#rest, this.#size);
  }

  /** Takes a connection or a place in the queue; `false` when the queue is full. */
  start(): boolean {
    const connection = this.#pool.take(this.target.pool);
    if (connection === undefined) return this.#pool.enqueue(this.target.pool, this);
    this.onConnection(connection);
    return true;
  }

  /** Ends it, wherever it is; its owner is not told. */
  cancel(reason: Error): void {
    if (this.#done) return;
    this.#done = true;
    if (this._queue !== undefined) this.#pool.leave(this.target.pool, this);
    // Without a controller it is not yet written: onRequestStart will find it done.
    else this.#controller?.abort(reason);
  }

  onConnection(connection: Connection): void {
    this.#connection = connection;
    this.reused = connection.served > 0;
    this.phase = 'headers';
    connection.dispatch(this);
  }

  onConnectFailure(error: unknown): void {
    if (this.#done) return;
    this.#done = true;
    this.phase = 'connect';
    this.#request.onFailure(this, error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    this.sent = true;
    if (this.#done) controller.abort(new Error('cancelled'));
  }

  onResponseStarted(): void {
    this.responded = true;
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: HttpResponseHeaders,
  ): void {
    if (status < 200) return;
    this.status = status;
    this.responseHeaders = headers;
    this.phase = 'body';
    const length = headers['content-length'];
    if (length !== undefined && this.method !== 'HEAD' && Number(length) > this.#request.maxResponseBytes) {
      controller.abort(new TooLarge(this.#request.maxResponseBytes));
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const size = this.#size + chunk.length;
    this.#size = size;
    if (size > this.#request.maxResponseBytes) {
      controller.abort(new TooLarge(this.#request.maxResponseBytes));
    } else if (size === chunk.length) this.#first = chunk;
    else if (this.#rest === undefined) this.#rest = [this.#first, chunk];
    else this.#rest.push(chunk);
  }

  onResponseEnd(): void {
    this.#giveBack();
    if (this.#done) return;
    this.#done = true;
    this.#request.onResponse(this);
  }

  onResponseError(_controller: unknown, error: unknown): void {
    this.#giveBack();
    if (this.#done) return;
    this.#done = true;
    this.#request.onFailure(this, error);
  }

  #giveBack(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#connection = undefined;
    this.#pool.release(connection);
  }
}

import { type Milliseconds, WheelTimer } from '@hotpath/core';
import type { Dispatcher } from 'undici';
import type { HttpPhase } from '../errors.ts';
import type { HttpResponseHeaders } from '../response.ts';
import { BodyStream } from './body-stream.ts';
import { CallbackTimer } from './callback-timer.ts';
import type { Connection } from './connection.ts';
import type { Engine } from './engine.ts';
import type { Exchange, WireBody } from './exchange.ts';
import { AttemptTimeout, TooLarge } from './failure.ts';
import type { Origin } from './origin.ts';
import { Waiter } from './waiter-queue.ts';

/** What the tries of one request have in common, and who is told how they ended. */
export interface AttemptOwner {
  readonly origin: Origin;
  readonly path: string;
  readonly method: string;
  readonly headers: string[];
  readonly body: WireBody;
  readonly priority: number;
  readonly maxResponseBytes: number;
  /** The same for a body that is handed on as it arrives. */
  readonly maxStreamBytes: number;
  readonly attemptTimeoutMs: Milliseconds;
  /** It has a connection; `false` when it should not be sent any more. */
  onConnected(attempt: Attempt): boolean;
  /** Whether the body of this answer is to be handed on as it arrives. */
  wantsStream(attempt: Attempt): boolean;
  /** The head of such an answer is there. After it comes `onStreamEnd`, once. */
  onStream(attempt: Attempt, body: BodyStream): void;
  onStreamEnd(attempt: Attempt, failure: unknown): void;
  /** The answer is there, whole. Either this or `onFailure` is called, once, unless the try was cancelled or streams. */
  onResponse(attempt: Attempt): void;
  /** `error` is as undici, the platform or the pool gave it. */
  onFailure(attempt: Attempt, error: unknown): void;
}

/** The most that a client keeps of an answer beyond its end. */
const SPECIMEN_BYTES = 4 * 1024;
const NO_BYTES: Buffer = Buffer.alloc(0);
const NO_HEADERS: HttpResponseHeaders = Object.freeze({});
const CANCELLED = new Error('cancelled');

class AttemptTimer extends WheelTimer {
  readonly #attempt: Attempt;
  readonly #timeoutMs: Milliseconds;

  constructor(attempt: Attempt, timeoutMs: Milliseconds) {
    super();
    this.#attempt = attempt;
    this.#timeoutMs = timeoutMs;
  }

  override onDue(): void {
    this.#attempt.fail(new AttemptTimeout(this.#timeoutMs));
  }
}

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
  readonly startedMs: Milliseconds;
  /** The generation of the origin's circuit that let it in. */
  readonly permit: number;
  queuedMs: Milliseconds = 0;
  phase: HttpPhase = 'queue';
  /** It was on a connection that had carried others before. */
  reused = false;
  /** The answer has begun. */
  responded = false;
  /** Its permit was given back. */
  isConcluded = false;
  status = 0;
  responseHeaders: HttpResponseHeaders = NO_HEADERS;
  readonly #owner: AttemptOwner;
  readonly #engine: Engine;
  #connection: Connection | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #timer: WheelTimer | undefined;
  #stream: BodyStream | undefined;
  #done = false;
  #maxBytes = 0;
  #size = 0;
  #first: Buffer = NO_BYTES;
  #rest: Buffer[] | undefined;

  constructor(owner: AttemptOwner, engine: Engine, permit: number, startedMs: Milliseconds) {
    super();
    this.origin = owner.origin.key;
    this.path = owner.path;
    this.method = owner.method;
    this.headers = owner.headers;
    this.body = owner.body;
    // A HEAD would otherwise cost its connection.
    this.reset = owner.method === 'HEAD' ? false : undefined;
    this.priority = owner.priority;
    this.target = owner.origin;
    this.permit = permit;
    this.startedMs = startedMs;
    this.#owner = owner;
    this.#engine = engine;
  }

  /** Whether it has ended, or was given up. */
  get isDone(): boolean {
    return this.#done;
  }

  get bytes(): Buffer {
    return this.#rest === undefined ? this.#first : Buffer.concat(this.#rest, this.#size);
  }

  /** Whether it waits for a socket rather than for a place. */
  get isConnecting(): boolean {
    return this._queue !== undefined && this.target.pool.connecting > 0;
  }

  /** Takes a connection or a place in the queue; `false` when the queue is full. */
  start(): boolean {
    const { pool } = this.#engine;
    const connection = pool.take(this.target.pool, this.startedMs);
    if (connection === undefined) return pool.enqueue(this.target.pool, this);
    this.#sendOn(connection);
    return true;
  }

  /** As `start`, but only where it would not have to wait for a place; `false` otherwise. */
  startIfFree(): boolean {
    const { pool } = this.#engine;
    const connection = pool.take(this.target.pool, this.startedMs);
    if (connection === undefined) return pool.hasPlaceFor(this.target.pool) && this.start();
    this.#sendOn(connection);
    return true;
  }

  /** Ends it, wherever it is; its owner is not told. */
  cancel(reason: Error = CANCELLED): void {
    if (this.#done) return;
    this.#finish();
    if (this._queue !== undefined) {
      if (this.isConnecting) this.phase = 'connect';
      this.#engine.pool.leave(this.target.pool, this);
    }
    // Without a controller it is not yet written: onRequestStart will find it done.
    else this.#controller?.abort(reason);
  }

  /** Ends it, wherever it is, and tells its owner why. */
  fail(error: Error): void {
    if (this.#done) return;
    this.cancel(error);
    this.#owner.onFailure(this, error);
  }

  /**
   * Its answer is no longer wanted. Where the rest of it is short and comes soon the connection
   * outlives it: to abort would cost the socket.
   */
  abandon(drainBytes: number, drainMs: Milliseconds): void {
    if (this.#done) return;
    const length = Number(this.responseHeaders['content-length']);
    if (this.phase === 'body' && length - this.#size <= drainBytes) {
      this.#finish();
      this.#timer = new CallbackTimer(() => this.#controller?.abort(CANCELLED));
      this.#engine.wheel.arm(this.#timer, drainMs);
    } else this.cancel();
  }

  override onConnection(connection: Connection): void {
    this.queuedMs = this.#engine.clock.now() - this.startedMs;
    if (this.#owner.onConnected(this)) {
      this.#sendOn(connection);
      return;
    }
    this.#engine.pool.release(connection);
  }

  override onConnectFailure(error: unknown): void {
    if (this.#done) return;
    this.#finish();
    this.phase = 'connect';
    this.#owner.onFailure(this, error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#done) controller.abort(CANCELLED);
  }

  onResponseStarted(): void {
    this.responded = true;
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: HttpResponseHeaders,
  ): void {
    if (status < 200 || this.#done) return;
    this.status = status;
    this.responseHeaders = headers;
    this.phase = 'body';
    const owner = this.#owner;
    const isStream = owner.wantsStream(this);
    if (this.#done) return;
    this.#maxBytes = isStream ? owner.maxStreamBytes : owner.maxResponseBytes;
    const length = headers['content-length'];
    // Without a body it says how long one would be.
    const isBodiless = this.method === 'HEAD' || status === 304;
    if (length !== undefined && !isBodiless && Number(length) > this.#maxBytes) {
      controller.abort(new TooLarge(this.#maxBytes));
    } else if (isStream) {
      this.#stream = new BodyStream(controller, () => {
        this.cancel();
        owner.onStreamEnd(this, undefined);
      });
      owner.onStream(this, this.#stream);
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#done) return;
    const size = this.#size + chunk.length;
    this.#size = size;
    if (size > this.#maxBytes) controller.abort(new TooLarge(this.#maxBytes));
    else if (this.#stream !== undefined) this.#stream.push(chunk);
    else if (size === chunk.length) this.#first = chunk;
    else if (this.#rest === undefined) this.#rest = [this.#first, chunk];
    else this.#rest.push(chunk);
  }

  onResponseEnd(): void {
    this.#giveBack();
    if (this.#done) return;
    this.#finish();
    if (this.#size <= SPECIMEN_BYTES && this.body === null) this.#engine.specimen = this;
    if (this.#stream === undefined) this.#owner.onResponse(this);
    else this.#owner.onStreamEnd(this, undefined);
  }

  onResponseError(_controller: unknown, error: unknown): void {
    this.#giveBack();
    if (this.#done) return;
    this.#finish();
    if (this.#stream === undefined) this.#owner.onFailure(this, error);
    else this.#owner.onStreamEnd(this, error);
  }

  #sendOn(connection: Connection): void {
    this.#connection = connection;
    this.reused = connection.served > 0;
    this.phase = 'headers';
    const { attemptTimeoutMs } = this.#owner;
    if (attemptTimeoutMs !== Number.POSITIVE_INFINITY) {
      this.#timer = new AttemptTimer(this, attemptTimeoutMs);
      this.#engine.wheel.arm(this.#timer, attemptTimeoutMs);
    }
    connection.dispatch(this);
  }

  #finish(): void {
    this.#done = true;
    if (this.#timer !== undefined) this.#engine.wheel.disarm(this.#timer);
  }

  #giveBack(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#connection = undefined;
    if (this.#timer !== undefined) this.#engine.wheel.disarm(this.#timer);
    this.#engine.pool.release(connection);
  }
}

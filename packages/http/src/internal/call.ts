import { type Milliseconds, WheelTimer } from '@hotpath/core';
import { type HttpErrorDetails, HttpRejectedError, HttpStatusError, HttpTimeoutError } from '../errors.ts';
import type { HttpResponseHeaders } from '../response.ts';
import { Attempt, type AttemptRequest } from './attempt.ts';
import type { Engine } from './engine.ts';
import type { WireBody } from './exchange.ts';
import { ClientClosed, isConnectionLoss, toFailure } from './failure.ts';
import { NOT_SENT } from './h1-connection.ts';
import type { Origin } from './origin.ts';
import { redactUrl } from './target.ts';

/** Makes the caller's value of a whole, accepted answer; may throw. */
export type Decode = (call: Call, status: number, headers: HttpResponseHeaders, bytes: Buffer) => unknown;

/** A request with everything resolved. */
export interface CallSpec {
  readonly method: string;
  readonly origin: Origin;
  readonly path: string;
  readonly headers: string[];
  readonly body: WireBody;
  readonly isReplayable: boolean;
  readonly isIdempotent: boolean;
  readonly priority: number;
  readonly timeoutMs: Milliseconds;
  readonly attemptTimeoutMs: Milliseconds;
  readonly maxResponseBytes: number;
  readonly signal: AbortSignal | undefined;
  readonly retry: boolean;
  readonly acceptStatus: ((status: number) => boolean) | undefined;
  readonly decode: Decode;
}

/** One request of a caller, through all its tries. Its own timer is its deadline. */
export class Call extends WheelTimer implements AttemptRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: string[];
  readonly body: WireBody;
  readonly priority: number;
  readonly maxResponseBytes: number;
  readonly origin: Origin;
  attempts = 0;
  readonly #spec: CallSpec;
  readonly #engine: Engine;
  readonly #resolve: (value: unknown) => void;
  readonly #reject: (error: unknown) => void;
  #attempt: Attempt | undefined;
  #settled = false;
  #replayed = false;

  constructor(
    engine: Engine,
    spec: CallSpec,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    super();
    this.#engine = engine;
    this.#spec = spec;
    this.method = spec.method;
    this.path = spec.path;
    this.headers = spec.headers;
    this.body = spec.body;
    this.priority = spec.priority;
    this.maxResponseBytes = spec.maxResponseBytes;
    this.origin = spec.origin;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { signal, timeoutMs } = this.#spec;
    if (signal !== undefined) {
      if (signal.aborted) {
        this.#settled = true;
        this.#reject(signal.reason);
        return;
      }
      signal.addEventListener('abort', this);
    }
    if (timeoutMs !== Number.POSITIVE_INFINITY) this.#engine.wheel.arm(this, timeoutMs);
    this.#engine.calls.add(this);
    this.#try();
  }

  /** The caller's signal has aborted. */
  handleEvent(): void {
    this.#fail(this.#spec.signal?.reason);
  }

  override onDue(): void {
    const { timeoutMs } = this.#spec;
    this.#fail(
      new HttpTimeoutError('HOTPATH_HTTP_TIMEOUT', `not done within ${timeoutMs} ms`, this.#details()),
    );
  }

  /** The client is being closed. */
  close(): void {
    this.#fail(toFailure(new ClientClosed('the client was closed'), this.#details()).error);
  }

  onResponse(attempt: Attempt): void {
    const { status, responseHeaders } = attempt;
    const { acceptStatus, decode } = this.#spec;
    if (acceptStatus === undefined ? status >= 400 : !acceptStatus(status)) {
      this.#fail(
        new HttpStatusError('HOTPATH_HTTP_STATUS', `answered with status ${status}`, this.#details(), {
          headers: responseHeaders,
          body: attempt.bytes.toString(),
        }),
      );
      return;
    }
    let value: unknown;
    try {
      value = decode(this, status, responseHeaders, attempt.bytes);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#settle();
    this.#resolve(value);
  }

  onFailure(attempt: Attempt, raw: unknown): void {
    if (raw === NOT_SENT) {
      this.attempts--;
      this.#try();
      return;
    }
    if (this.#isStale(attempt, raw)) {
      this.#replayed = true;
      this.attempts--;
      this.origin.replays++;
      // Its siblings are of the same age.
      this.#engine.pool.dropIdle(attempt.target.pool);
      this.#try();
      return;
    }
    this.#fail(toFailure(raw, this.#details()).error);
  }

  details(): HttpErrorDetails {
    return this.#details();
  }

  #isStale(attempt: Attempt, raw: unknown): boolean {
    return (
      !this.#replayed &&
      attempt.reused &&
      !attempt.responded &&
      this.#spec.isReplayable &&
      this.#spec.isIdempotent &&
      isConnectionLoss(raw)
    );
  }

  #try(): void {
    const engine = this.#engine;
    this.attempts++;
    const attempt = new Attempt(this, engine.pool, this.origin, this.path, this.attempts, engine.clock.now());
    this.#attempt = attempt;
    if (!attempt.start()) {
      this.#fail(
        new HttpRejectedError('HOTPATH_HTTP_QUEUE_FULL', 'too many requests wait already', this.#details()),
      );
    }
  }

  #fail(error: unknown): void {
    if (this.#settled) return;
    this.#settle();
    this.#attempt?.cancel(error instanceof Error ? error : new Error('aborted', { cause: error }));
    this.#reject(error);
  }

  #settle(): void {
    this.#settled = true;
    this.#engine.wheel.disarm(this);
    this.#engine.calls.delete(this);
    this.#spec.signal?.removeEventListener('abort', this);
  }

  #details(): HttpErrorDetails {
    const attempt = this.#attempt;
    return {
      method: this.method,
      url: redactUrl(this.origin.key + this.path),
      attempt: this.attempts,
      phase: attempt === undefined ? 'queue' : attempt.phase,
      status: attempt === undefined || attempt.status === 0 ? undefined : attempt.status,
    };
  }
}

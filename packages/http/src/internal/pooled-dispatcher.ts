import { Dispatcher } from 'undici';
import type { HttpErrorDetails } from '../errors.ts';
import { queueFull } from './call-errors.ts';
import type { Connection } from './connection.ts';
import type { Engine } from './engine.ts';
import type { Exchange, WireBody } from './exchange.ts';
import { ClientClosed, toFailure } from './failure.ts';
import { NOT_SENT } from './h1-connection.ts';
import type { OriginPool } from './origin-pool.ts';
import { MOST_RESENDS } from './replay.ts';
import { parseAbsolute, redactUrl } from './target.ts';
import { PRIORITY, Waiter } from './waiter-queue.ts';

/** Headers in any of undici's forms, as name, value, name, value … */
function flatten(headers: Dispatcher.DispatchOptions['headers']): string[] {
  const flat: string[] = [];
  const add = (name: string, value: unknown): void => {
    if (value === undefined || value === null) return;
    for (const one of Array.isArray(value) ? value : [value]) flat.push(name.toLowerCase(), String(one));
  };
  if (headers === undefined || headers === null) return flat;
  if (Array.isArray(headers)) {
    for (let index = 0; index < headers.length; index += 2) add(String(headers[index]), headers[index + 1]);
  } else if (Symbol.iterator in headers) {
    for (const [name, value] of headers as Iterable<[string, unknown]>) add(name, value);
  } else {
    for (const [name, value] of Object.entries(headers)) add(name, value);
  }
  return flat;
}

/** A request of somebody else on a connection of ours: undici's handler, and the way to give the connection back. */
class BorrowedExchange extends Waiter implements Exchange {
  readonly origin: string;
  readonly path: string;
  readonly method: string;
  readonly headers: string[];
  readonly body: WireBody;
  readonly query: Record<string, unknown> | undefined;
  readonly reset: boolean | undefined;
  readonly headersTimeout: number;
  readonly bodyTimeout: number;
  readonly priority = PRIORITY.default;
  readonly #engine: Engine;
  readonly #pool: OriginPool;
  readonly #handler: Dispatcher.DispatchHandler;
  #connection: Connection | undefined;
  #resends = 0;

  constructor(
    engine: Engine,
    pool: OriginPool,
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ) {
    super();
    this.#engine = engine;
    this.#pool = pool;
    this.#handler = handler;
    this.origin = pool.key;
    this.path = options.path;
    this.method = options.method;
    this.headers = flatten(options.headers);
    this.body = (options.body ?? null) as WireBody;
    this.query = options.query;
    this.reset = options.reset ?? (options.method === 'HEAD' ? false : undefined);
    this.headersTimeout = options.headersTimeout ?? 300_000;
    this.bodyTimeout = options.bodyTimeout ?? 300_000;
  }

  start(): boolean {
    const connection = this.#engine.pool.take(this.#pool, this.#engine.clock.now());
    if (connection === undefined) return this.#engine.pool.enqueue(this.#pool, this);
    this.onConnection(connection);
    return true;
  }

  override onConnection(connection: Connection): void {
    this.#connection = connection;
    connection.dispatch(this);
  }

  override onConnectFailure(error: unknown): void {
    this.fail(error);
  }

  /** Tells the handler that nothing was written. Errors of the platform stay as they are: interceptors know them. */
  fail(error: unknown): void {
    const isForeign = typeof (error as { code?: unknown }).code === 'string';
    const told = isForeign ? error : toFailure(error, this.#details()).error;
    this.#handler.onResponseError?.(null as never, told as Error);
  }

  failAsUnqueued(): void {
    if (this.#engine.isClosed) this.fail(new ClientClosed('the client is closed'));
    else this.fail(queueFull(this.#details()));
  }

  #details(): HttpErrorDetails {
    return {
      method: this.method,
      url: redactUrl(this.origin + this.path),
      attempt: 1,
      phase: this.#pool.connecting > 0 ? 'connect' : 'queue',
    };
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#handler.onRequestStart?.(controller, null);
  }

  onResponseStarted(): void {
    this.#handler.onResponseStarted?.();
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
    statusText?: string,
  ): void {
    this.#handler.onResponseStart?.(controller, status, headers, statusText);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#handler.onResponseData?.(controller, chunk);
  }

  onResponseEnd(controller: Dispatcher.DispatchController, trailers: Record<string, string>): void {
    this.#giveBack();
    this.#handler.onResponseEnd?.(controller, trailers);
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    this.#giveBack();
    // Nothing of it was written: another connection will do.
    if (error !== NOT_SENT || ++this.#resends > MOST_RESENDS)
      this.#handler.onResponseError?.(controller, error);
    else if (!this.start()) this.failAsUnqueued();
  }

  #giveBack(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#connection = undefined;
    this.#engine.pool.release(connection);
  }
}

/**
 * A client's connections as an undici dispatcher: for `fetch`, interceptors and whatever else takes one.
 *
 * Requests made through it share the client's connections and queue, and nothing more: no retry,
 * breaker, deadline or cap. It is closed with its client, which lets those under way end.
 */
export class PooledDispatcher extends Dispatcher {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    super();
    this.#engine = engine;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    try {
      if (options.upgrade || options.method === 'CONNECT') {
        throw new TypeError('a pooled connection can not be upgraded');
      }
      const url = parseAbsolute('dispatch', String(options.origin));
      const { pool } = this.#engine.origins.of(url, options.method);
      const exchange = new BorrowedExchange(this.#engine, pool, options, handler);
      if (this.#engine.isClosed || !exchange.start()) exchange.failAsUnqueued();
    } catch (error) {
      handler.onResponseError?.(null as never, error as Error);
    }
    return true;
  }
}

import type { Socket } from 'node:net';
import { type Clock, createTimerWheel, type Milliseconds, type TimerWheel } from '@hotpath/core';
import type { ResolvedHttpClientOptions } from '../options.ts';
import type { HttpJsonOptions, HttpRequest } from '../request.ts';
import { connectChannel } from '../telemetry.ts';
import { AddressBook } from './address-book.ts';
import type { Attempt } from './attempt.ts';
import { BaseUrl, BaseUrls } from './base-urls.ts';
import { Call } from './call.ts';
import { CallList } from './call-list.ts';
import type { CallSpec, CallTarget } from './call-spec.ts';
import { Coalescer, coalescingKey } from './coalescer.ts';
import type { Connection } from './connection.ts';
import { ConnectionPool } from './connection-pool.ts';
import { asJson, asResponse } from './decode.ts';
import { Dialer } from './dialer.ts';
import { ClientClosed } from './failure.ts';
import { ForeignConnection } from './foreign-connection.ts';
import { H1Connection } from './h1-connection.ts';
import { H2Connection, streamsPerConnection } from './h2-connection.ts';
import { openSession } from './open-session.ts';
import type { Operation } from './operation.ts';
import type { OriginPool } from './origin-pool.ts';
import { Origins } from './origins.ts';
import { readOptions, readRequest } from './request-input.ts';
import { RequestResolver } from './resolve-request.ts';

/** Told what a request cost, when it is over. */
export interface CallObserver {
  attempts: number;
  queuedMs: Milliseconds;
  /** See {@link CallList.giveUp}. */
  readonly group: object | undefined;
}

/** What a client is made of: its connections, its origins, and the requests that are under way. */
export class Engine {
  readonly options: ResolvedHttpClientOptions;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly pool: ConnectionPool;
  readonly origins: Origins;
  readonly bases: BaseUrls;
  readonly calls: CallList = new CallList();
  /**
   * The last try with a small answer, kept until the next, and with it one object of every shape that a request has.
   *
   * V8 drops the code that it has optimised for a shape when a collection finds nothing of that shape
   * alive. After one between two bursts, all that handles requests would be compiled anew.
   */
  specimen: Attempt | undefined = undefined;
  readonly #resolver: RequestResolver;
  readonly #coalescer: Coalescer;
  readonly #dialer: Dialer;
  readonly #maxStreams: number;
  readonly #closed = new AbortController();
  #closing: Promise<void> | undefined;

  constructor(options: ResolvedHttpClientOptions) {
    this.options = options;
    this.clock = options.clock;
    this.#maxStreams = streamsPerConnection(Math.min(options.connections, options.connectionsPerOrigin));
    this.wheel = createTimerWheel({ clock: options.clock });
    this.#dialer = new Dialer({
      connectTimeoutMs: options.connectTimeoutMs,
      tls: options.tls,
      addresses: new AddressBook({ ...options.dns, clock: options.clock }),
      vet: options.vet,
      speaksHttp2: (origin) => this.#speaksHttp2(origin),
      wheel: this.wheel,
      wrap: (origin, socket, callback) => this.#wrap(origin, socket, callback),
    });
    this.pool = new ConnectionPool(
      {
        maxConnections: options.connections,
        maxConnectionsPerOrigin: options.connectionsPerOrigin,
        maxIdle: options.keepAliveConnections,
        maxAgeMs: options.maxConnectionAgeMs,
        maxWaitingPerOrigin: options.maxQueued,
        exchangesExpected: (origin) => (this.#speaksHttp2(origin) ? this.#maxStreams : 1),
        hasOneOrigin: options.baseUrls.length === 1,
        clock: options.clock,
      },
      (origin, callback) => this.#dial(origin, callback),
    );
    this.origins = new Origins(options, this.pool);
    this.bases = new BaseUrls(
      options.baseUrls.map(
        (url) => new BaseUrl(this.origins.of(url, 'GET'), url.pathname.replace(/\/+$/, '')),
      ),
      options.clock,
      options.random,
    );
    this.#resolver = new RequestResolver(options, this.origins, this.bases, {
      response: asResponse,
      json: asJson,
      stream: undefined,
      events: undefined,
    });
    this.#coalescer = new Coalescer(this);
  }

  /** Sends a request; rejects, rather than throws, also when its options are wrong. */
  run(
    operation: Operation,
    url: string | URL,
    given: HttpJsonOptions | undefined,
    json?: unknown,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const input = readOptions(operation.name, given);
      const spec = this.#resolver.resolve(operation, operation.method, input, json);
      const target = this.#resolver.target(operation.name, spec.method, url, input?.query);
      this.#start(target, spec, resolve, reject, undefined);
    });
  }

  /** The same for a request in one object, or a bare URL; `signal` ends it besides its own. */
  send(
    operation: Operation,
    given: HttpRequest | string,
    signal?: AbortSignal,
    observer?: CallObserver,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (typeof given === 'string' && signal === undefined) {
        const spec = this.#resolver.resolve(operation, operation.method, undefined, undefined);
        const target = this.#resolver.target(operation.name, spec.method, given, undefined);
        this.#start(target, spec, resolve, reject, observer);
        return;
      }
      const input = readRequest(operation.name, given);
      if (signal !== undefined) {
        input.signal = input.signal === undefined ? signal : AbortSignal.any([signal, input.signal]);
      }
      const { method = operation.method, url, query } = input;
      const spec = this.#resolver.resolve(operation, method, input, undefined);
      const target = this.#resolver.target(operation.name, spec.method, url, query);
      this.#start(target, spec, resolve, reject, observer);
    });
  }

  #start(
    target: CallTarget,
    spec: CallSpec,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
    observer: CallObserver | undefined,
  ): void {
    if (spec.coalesce) {
      const key = coalescingKey(target, spec);
      if (key !== undefined) {
        this.#coalescer.join(key, target, spec, resolve, reject, observer);
        return;
      }
    }
    new Call(this, target, spec, resolve, reject, observer).start();
  }

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** Aborts when the client begins to close: for waits that are nobody's request. */
  get closeSignal(): AbortSignal {
    return this.#closed.signal;
  }

  close(drainMs: Milliseconds): Promise<void> {
    this.#closing ??= this.#close(drainMs);
    return this.#closing;
  }

  async #close(drainMs: Milliseconds): Promise<void> {
    this.#closed.abort();
    const deadline = this.clock.setTimeout(() => {
      this.calls.close();
      // Exchanges of the dispatcher are nobody's calls.
      this.pool.destroy(new ClientClosed('the client is closed'));
      this.#dialer.abort();
    }, drainMs);
    while (this.calls.size > 0) {
      await new Promise<void>((resolve) => {
        this.onCallsDone = resolve;
      });
    }
    // What is being connected then is for nobody.
    if (!this.pool.hasWaiters) this.#dialer.abort();
    await this.pool.close();
    this.clock.clearTimeout(deadline);
    for (const origin of this.origins.values()) origin.close();
  }

  /** Called when the last call under way is done. */
  onCallsDone: (() => void) | undefined = undefined;

  #speaksHttp2({ url, key }: OriginPool): boolean {
    const { http2 } = this.options;
    return http2 === undefined ? url.protocol === 'https:' : http2.has(key);
  }

  #dial(origin: OriginPool, callback: (error: unknown, connection: Connection | undefined) => void): void {
    const { dispatcher } = this.options;
    if (dispatcher !== undefined) {
      queueMicrotask(() =>
        callback(null, new ForeignConnection(this.pool, origin, dispatcher, this.clock.now())),
      );
      return;
    }
    if (!connectChannel.hasSubscribers) {
      this.#dialer.dial(origin, callback);
      return;
    }
    const startedMs = this.clock.now();
    this.#dialer.dial(origin, (error, connection) => {
      const durationMs = this.clock.now() - startedMs;
      const protocol =
        connection === undefined ? undefined : connection instanceof H2Connection ? 'h2' : 'http/1.1';
      connectChannel.publish({ origin: origin.key, protocol, durationMs, error: error ?? undefined });
      callback(error, connection);
    });
  }

  #wrap(
    origin: OriginPool,
    socket: Socket,
    callback: (error: unknown, connection: Connection | undefined) => void,
  ): void {
    const { keepAliveMs, maxHeaderBytes } = this.options;
    const { alpnProtocol } = socket as { alpnProtocol?: string | false };
    // Without TLS there is nothing to negotiate: the caller's word is taken for it.
    const isH2 = alpnProtocol === 'h2' || (origin.url.protocol === 'http:' && this.#speaksHttp2(origin));
    const openedMs = this.clock.now();
    const options = { owner: this.pool, origin, socket, openedMs, keepAliveMs, maxHeaderBytes };
    if (!isH2) {
      callback(null, new H1Connection(options));
      return;
    }
    openSession(origin, socket, maxHeaderBytes, (error, session) => {
      if (session === undefined) callback(error, undefined);
      else callback(null, new H2Connection({ ...options, session, maxStreams: this.#maxStreams }));
    });
  }
}

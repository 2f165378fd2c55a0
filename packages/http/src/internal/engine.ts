import type { Socket } from 'node:net';
import { type Clock, createTimerWheel, type TimerWheel } from '@hotpath/core';
import { HttpRejectedError } from '../errors.ts';
import type { ResolvedHttpClientOptions } from '../options.ts';
import type { HttpJsonOptions, HttpMethod } from '../request.ts';
import { AddressBook, resolveWithSystem } from './address-book.ts';
import { Call, type CallSpec, type Decode } from './call.ts';
import { ConnectionPool } from './connection-pool.ts';
import { Dialer } from './dialer.ts';
import type { WireBody } from './exchange.ts';
import { H1Connection } from './h1-connection.ts';
import { flattenHeaders, type HeaderMap, mergeHeaders } from './headers.ts';
import { Origin } from './origin.ts';
import { appendQuery, isAbsolute, joinPath, parseAbsolute, redactUrl } from './target.ts';
import { PRIORITY } from './waiter-queue.ts';

/** A base URL: an origin and the path that every relative URL is put behind. */
interface Base {
  readonly origin: Origin;
  /** Without a slash at its end. */
  readonly path: string;
}

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** What a client is made of: its connections, its origins, and the requests that are under way. */
export class Engine {
  readonly options: ResolvedHttpClientOptions;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly pool: ConnectionPool;
  readonly calls: Set<Call> = new Set();
  readonly #dialer: Dialer;
  readonly #origins = new Map<string, Origin>();
  readonly #bases: readonly Base[];
  readonly #plainHeaders: string[];
  readonly #jsonHeaderMap: HeaderMap;
  readonly #jsonHeaders: string[];

  constructor(options: ResolvedHttpClientOptions) {
    this.options = options;
    this.clock = options.clock;
    this.wheel = createTimerWheel({ clock: options.clock });
    this.#dialer = new Dialer({
      connectTimeoutMs: options.connectTimeoutMs,
      tls: options.tls,
      addresses: new AddressBook({
        ttlMs: 10_000,
        maxHosts: 1_000,
        resolve: resolveWithSystem,
        clock: options.clock,
      }),
      vet: () => {},
      speaksHttp2: () => false,
      clock: options.clock,
      wrap: (origin, socket) => this.#wrap(origin, socket),
    });
    this.pool = new ConnectionPool(
      {
        maxConnections: options.connections,
        maxConnectionsPerOrigin: options.connectionsPerOrigin,
        maxIdle: options.keepAliveConnections,
        maxAgeMs: options.maxConnectionAgeMs,
        maxWaitingPerOrigin: options.maxQueued,
        reserved: options.baseUrls.length === 1 ? 0 : Math.floor(options.connections / 4),
        clock: options.clock,
      },
      (origin, callback) => this.#dialer.dial(origin, callback),
    );
    this.#bases = options.baseUrls.map((url) => ({
      origin: this.#originOf(url),
      path: url.pathname.replace(/\/+$/, ''),
    }));
    this.#plainHeaders = flattenHeaders(options.headers);
    this.#jsonHeaderMap = options.headers.has('accept')
      ? options.headers
      : new Map([...options.headers, ['accept', 'application/json']]);
    this.#jsonHeaders = flattenHeaders(this.#jsonHeaderMap);
  }

  run(
    owner: string,
    method: HttpMethod,
    url: string | URL,
    given: HttpJsonOptions | undefined,
    decode: Decode,
    wantsJson: boolean,
    json?: unknown,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      new Call(
        this,
        this.#resolve(owner, method, url, given, decode, wantsJson, json),
        resolve,
        reject,
      ).start();
    });
  }

  #resolve(
    owner: string,
    method: HttpMethod,
    url: string | URL,
    given: HttpJsonOptions | undefined,
    decode: Decode,
    wantsJson: boolean,
    jsonBody: unknown,
  ): CallSpec {
    let origin: Origin;
    let path: string;
    const base = this.#bases[0];
    if (typeof url === 'string' && base !== undefined && !isAbsolute(url)) {
      origin = base.origin;
      path = joinPath(base.path, url.startsWith('/') ? url : `/${url}`);
    } else {
      const parsed = parseAbsolute(owner, url);
      origin = this.#originOf(parsed);
      path = parsed.pathname + parsed.search;
    }
    let headers = wantsJson ? this.#jsonHeaders : this.#plainHeaders;
    let body: WireBody = null;
    const json = jsonBody === undefined ? given?.json : jsonBody;
    if (json !== undefined) body = JSON.stringify(json);
    else if (given?.body !== undefined) body = given.body;
    if (given?.headers !== undefined || json !== undefined || given?.idempotencyKey !== undefined) {
      let base = wantsJson ? this.#jsonHeaderMap : this.options.headers;
      if (json !== undefined && !base.has('content-type')) {
        base = new Map([...base, ['content-type', 'application/json']]);
      }
      base = mergeHeaders(owner, base, given?.headers);
      if (given?.idempotencyKey !== undefined) {
        base = mergeHeaders(owner, base, { 'idempotency-key': given.idempotencyKey });
      }
      headers = flattenHeaders(base);
    }
    if (given?.query !== undefined) path = appendQuery(path, given.query);
    return {
      method,
      origin,
      path,
      headers,
      body,
      isReplayable:
        body === null || typeof body === 'string' || ArrayBuffer.isView(body) || body instanceof Blob,
      isIdempotent: IDEMPOTENT.has(method) || headers.includes('idempotency-key'),
      priority: given?.priority ?? PRIORITY.default,
      timeoutMs: given?.timeoutMs ?? this.options.timeoutMs,
      attemptTimeoutMs: given?.attemptTimeoutMs ?? this.options.attemptTimeoutMs,
      maxResponseBytes: given?.maxResponseBytes ?? this.options.maxResponseBytes,
      signal: given?.signal,
      retry: given?.retry ?? true,
      acceptStatus: given?.acceptStatus,
      decode,
    };
  }

  #originOf(url: URL): Origin {
    const key = url.origin;
    let origin = this.#origins.get(key);
    if (origin === undefined) {
      if (this.#origins.size >= this.options.maxOrigins) {
        throw new HttpRejectedError('HOTPATH_HTTP_ORIGINS_FULL', 'too many origins are remembered', {
          method: '-',
          url: redactUrl(key),
          attempt: 0,
          phase: 'queue',
        });
      }
      origin = new Origin(this.pool.addOrigin(new URL(key)));
      this.#origins.set(key, origin);
    }
    return origin;
  }

  #wrap(origin: Origin['pool'], socket: Socket): H1Connection {
    const { keepAliveMs, maxHeaderBytes } = this.options;
    return new H1Connection(this.pool, origin, socket, this.clock.now(), keepAliveMs, maxHeaderBytes);
  }

  origins(): IterableIterator<Origin> {
    return this.#origins.values();
  }

  async close(drainMs: number): Promise<void> {
    const deadline = this.clock.setTimeout(() => {
      for (const call of this.calls) call.close();
      this.#dialer.abort();
    }, drainMs);
    await this.pool.close();
    this.clock.clearTimeout(deadline);
  }
}

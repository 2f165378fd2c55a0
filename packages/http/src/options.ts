import type { ConnectionOptions } from 'node:tls';
import {
  type Clock,
  type Milliseconds,
  optionReader,
  type RandomSource,
  systemClock,
  systemRandom,
} from '@hotpath/core';
import type { Dispatcher } from 'undici';
import { type HeaderInput, type HeaderMap, mergeHeaders } from './internal/headers.ts';
import { parseAbsolute } from './internal/target.ts';
import type { TraceContext } from './request.ts';

/** TLS options, as `tls.connect` takes them. */
export type HttpTlsOptions = Pick<
  ConnectionOptions,
  | 'ca'
  | 'cert'
  | 'key'
  | 'passphrase'
  | 'pfx'
  | 'minVersion'
  | 'maxVersion'
  | 'ciphers'
  | 'rejectUnauthorized'
  | 'checkServerIdentity'
>;

/** What {@link createHttpClient} takes. Absent means the default; `0` is a value. */
export interface HttpClientOptions {
  /** What relative URLs are relative to. Several: requests are spread over them. */
  readonly baseUrl?: string | URL | readonly (string | URL)[];
  /** How many connections there may be in all. Default 100. */
  readonly connections?: number;
  /** How many of them to one origin. Default: all. */
  readonly connectionsPerOrigin?: number;
  /** How many idle connections are kept. Default 20. */
  readonly keepAliveConnections?: number;
  /** Milliseconds for which an idle connection is kept, at most. Default 5,000. */
  readonly keepAliveMs?: Milliseconds;
  /** Milliseconds after which a connection takes no more requests. Default 300,000. */
  readonly maxConnectionAgeMs?: Milliseconds;
  /** Milliseconds for resolving, connecting and TLS. Default 5,000. */
  readonly connectTimeoutMs?: Milliseconds;
  /** Milliseconds for a whole request; `Infinity` for no end. Default 30,000. */
  readonly timeoutMs?: Milliseconds;
  /** Milliseconds for one try of a request. Default: no end of its own. */
  readonly attemptTimeoutMs?: Milliseconds;
  /** How many requests may wait for a connection, for each origin. Default 10,000. */
  readonly maxQueued?: number;
  /** How many origins are remembered. Default 1,000. */
  readonly maxOrigins?: number;
  /** The largest body to accept, in bytes, also after decompression. Default 10 MiB. */
  readonly maxResponseBytes?: number;
  /** The largest head of an answer, in bytes. Default 16 KiB. */
  readonly maxHeaderBytes?: number;
  /** Sent with every request. */
  readonly headers?: HeaderInput;
  /** Stamps every request with the hash of the governing document, as `X-Constitutional-Hash`. */
  readonly governance?: { readonly hash: string };
  /** For TLS: certificate authorities, client certificate, `rejectUnauthorized`. For this client only. */
  readonly tls?: HttpTlsOptions;
  /** The trace that a request belongs to; called once a request that names none itself. */
  readonly traceContext?: () => TraceContext | undefined;
  /** An undici dispatcher to send through in place of connections of our own: a MockAgent, a proxy agent. */
  readonly dispatcher?: Dispatcher;
  readonly clock?: Clock;
  readonly random?: RandomSource;
}

/** The defaults of {@link HttpClientOptions}. */
export const HTTP_DEFAULTS: {
  readonly connections: number;
  readonly keepAliveConnections: number;
  readonly keepAliveMs: Milliseconds;
  readonly maxConnectionAgeMs: Milliseconds;
  readonly connectTimeoutMs: Milliseconds;
  readonly timeoutMs: Milliseconds;
  readonly maxQueued: number;
  readonly maxOrigins: number;
  readonly maxResponseBytes: number;
  readonly maxHeaderBytes: number;
} = Object.freeze({
  connections: 100,
  keepAliveConnections: 20,
  keepAliveMs: 5_000,
  maxConnectionAgeMs: 300_000,
  connectTimeoutMs: 5_000,
  timeoutMs: 30_000,
  maxQueued: 10_000,
  maxOrigins: 1_000,
  maxResponseBytes: 10 * 1024 * 1024,
  maxHeaderBytes: 16 * 1024,
});

/** {@link HttpClientOptions}, checked and completed. */
export interface ResolvedHttpClientOptions {
  readonly baseUrls: readonly URL[];
  readonly connections: number;
  readonly connectionsPerOrigin: number;
  readonly keepAliveConnections: number;
  readonly keepAliveMs: Milliseconds;
  readonly maxConnectionAgeMs: Milliseconds;
  readonly connectTimeoutMs: Milliseconds;
  readonly timeoutMs: Milliseconds;
  readonly attemptTimeoutMs: Milliseconds;
  readonly maxQueued: number;
  readonly maxOrigins: number;
  readonly maxResponseBytes: number;
  readonly maxHeaderBytes: number;
  readonly headers: HeaderMap;
  readonly tls: HttpTlsOptions;
  readonly traceContext: (() => TraceContext | undefined) | undefined;
  readonly dispatcher: Dispatcher | undefined;
  readonly clock: Clock;
  readonly random: RandomSource;
}

const OWNER = 'createHttpClient';
export const GOVERNANCE_HEADER = 'x-constitutional-hash';

/** @throws TypeError or RangeError naming the option that is wrong. */
export function resolveHttpClientOptions(options: HttpClientOptions = {}): ResolvedHttpClientOptions {
  const read = optionReader(OWNER, options);
  const baseUrls = readBaseUrls(read.any('baseUrl'));
  const connections = read.integer('connections', HTTP_DEFAULTS.connections, { min: 1 });
  const governance = read.object<{ hash?: unknown } | undefined>('governance', undefined);
  let headers = mergeHeaders(OWNER, new Map(), read.object<HeaderInput>('headers', {}));
  if (governance !== undefined) {
    if (typeof governance.hash !== 'string' || !/^[\x21-\x7e]+$/.test(governance.hash)) {
      throw new TypeError(`${OWNER}: option 'governance.hash' must be the hash as a string`);
    }
    headers = mergeHeaders(OWNER, headers, { [GOVERNANCE_HEADER]: governance.hash });
  }
  const resolved: ResolvedHttpClientOptions = {
    baseUrls,
    connections,
    connectionsPerOrigin: read.integer('connectionsPerOrigin', connections, { min: 1 }),
    keepAliveConnections: read.integer('keepAliveConnections', HTTP_DEFAULTS.keepAliveConnections, {
      min: 0,
    }),
    keepAliveMs: read.number('keepAliveMs', HTTP_DEFAULTS.keepAliveMs, { min: 1 }),
    maxConnectionAgeMs: read.number('maxConnectionAgeMs', HTTP_DEFAULTS.maxConnectionAgeMs, { min: 1 }),
    connectTimeoutMs: read.number('connectTimeoutMs', HTTP_DEFAULTS.connectTimeoutMs, { min: 1 }),
    timeoutMs: read.number('timeoutMs', HTTP_DEFAULTS.timeoutMs, { min: 1 }),
    attemptTimeoutMs: read.number('attemptTimeoutMs', Number.POSITIVE_INFINITY, { min: 1 }),
    maxQueued: read.integer('maxQueued', HTTP_DEFAULTS.maxQueued, { min: 0 }),
    maxOrigins: read.integer('maxOrigins', HTTP_DEFAULTS.maxOrigins, { min: 1 }),
    maxResponseBytes: read.integer('maxResponseBytes', HTTP_DEFAULTS.maxResponseBytes, { min: 0 }),
    maxHeaderBytes: read.integer('maxHeaderBytes', HTTP_DEFAULTS.maxHeaderBytes, { min: 1 }),
    headers,
    tls: read.object<HttpTlsOptions>('tls', {}),
    traceContext: read.function<(() => TraceContext | undefined) | undefined>('traceContext', undefined),
    dispatcher: read.object<Dispatcher | undefined>('dispatcher', undefined, ['dispatch']),
    clock: read.object<Clock>('clock', systemClock, ['now', 'wallTime', 'setTimeout', 'clearTimeout']),
    random: read.function<RandomSource>('random', systemRandom),
  };
  read.end();
  return Object.freeze(resolved);
}

function readBaseUrls(given: unknown): readonly URL[] {
  if (given === undefined) return [];
  const list = Array.isArray(given) ? given : [given];
  if (list.length === 0) throw new RangeError(`${OWNER}: option 'baseUrl' must not be an empty list`);
  return list.map((one) => {
    if (typeof one !== 'string' && !(one instanceof URL)) {
      throw new TypeError(`${OWNER}: option 'baseUrl' must be a URL or a list of URLs`);
    }
    const url = parseAbsolute(`${OWNER}: option 'baseUrl'`, one);
    if (url.search !== '' || url.hash !== '') {
      throw new TypeError(`${OWNER}: option 'baseUrl' must have neither query nor fragment`);
    }
    if (url.username !== '' || url.password !== '') {
      throw new TypeError(
        `${OWNER}: option 'baseUrl' must not hold credentials; give an authorization header`,
      );
    }
    return url;
  });
}

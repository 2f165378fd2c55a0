import { type ConnectionOptions, createSecureContext } from 'node:tls';
import {
  type Clock,
  describe,
  type Milliseconds,
  optionReader,
  type RandomSource,
  systemClock,
  systemRandom,
} from '@hotpath/core';
import {
  type CircuitBreakerOptions,
  type RateLimiterOptions,
  rateLimiter,
  resolveCircuitBreakerOptions,
} from '@hotpath/resilience';
import type { Dispatcher } from 'undici';
import { type HttpHedgeOptions, type ResolvedHttpHedgeOptions, resolveHttpHedgeOptions } from './hedge.ts';
import { type ResolveHost, resolveWithSystem } from './internal/address-book.ts';
import { type HeaderInput, type HeaderMap, mergeHeaders } from './internal/headers.ts';
import { parseAbsolute } from './internal/target.ts';
import {
  type HttpRedirectOptions,
  type ResolvedHttpRedirectOptions,
  resolveHttpRedirectOptions,
} from './redirect.ts';
import type { TraceContext } from './request.ts';
import { type HttpRetryOptions, type ResolvedHttpRetryOptions, resolveHttpRetryOptions } from './retry.ts';
import { type SsrfGuardOptions, ssrfVet, type Vet } from './ssrf-guard.ts';

/** TLS options, as `tls.connect` takes them; what the platform refuses is refused when the client is made. */
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

/** How hosts are resolved. */
export interface HttpDnsOptions {
  /** Milliseconds for which addresses are kept; 0: for no second connection. Default 10,000. */
  readonly ttlMs?: Milliseconds | undefined;
  /** How many hosts are kept, from 1; the oldest goes first. Default 1,000. */
  readonly maxHosts?: number | undefined;
  /** Finds a host's addresses. Default: the system's resolver. */
  readonly resolve?: ResolveHost | undefined;
}

/** Options of each origin's circuit, as `circuitBreaker` of @hotpath/resilience takes them. */
export type HttpBreakerOptions = Omit<
  CircuitBreakerOptions,
  'name' | 'classifyError' | 'classifyResult' | 'clock' | 'random'
>;

/** Options of each origin's limit, as `rateLimiter` of @hotpath/resilience takes them. */
export type HttpRateLimitOptions = Pick<RateLimiterOptions, 'limit' | 'perMs' | 'burst' | 'maxWaiting'>;

/** What {@link createHttpClient} takes. Absent means the default; `0` is a value. */
export interface HttpClientOptions {
  /** What relative URLs are relative to. Several: requests are spread over them. */
  readonly baseUrl?: string | URL | readonly (string | URL)[] | undefined;
  /** How many connections there may be in all, from 1. Default 100. */
  readonly connections?: number | undefined;
  /** How many of them to one origin, from 1. Default: all. */
  readonly connectionsPerOrigin?: number | undefined;
  /** How many idle connections are kept, from 0; more than that for no longer than 100 ms. Default 20. */
  readonly keepAliveConnections?: number | undefined;
  /** Milliseconds for which an idle connection is kept, at most; from 1 to 2,147,483,647. Default 5,000. */
  readonly keepAliveMs?: Milliseconds | undefined;
  /** Milliseconds after which a connection takes no more requests, from 1. Default 300,000. */
  readonly maxConnectionAgeMs?: Milliseconds | undefined;
  /** Milliseconds for resolving, connecting, TLS and the settings of HTTP/2, from 1. Default 5,000. */
  readonly connectTimeoutMs?: Milliseconds | undefined;
  /** Milliseconds for a whole request, from 1; `Infinity` for no end. Default 30,000. */
  readonly timeoutMs?: Milliseconds | undefined;
  /** Milliseconds for one try of a request, from 1; not for bodies that stream. Default: no end of its own. */
  readonly attemptTimeoutMs?: Milliseconds | undefined;
  /** How many requests may wait for each origin, from 0, besides those that a connection is being made for. Default 10,000. */
  readonly maxQueued?: number | undefined;
  /** How many origins are remembered, from 1; for a new one the oldest that is not in use is forgotten. Default 1,000. */
  readonly maxOrigins?: number | undefined;
  /** The largest body to accept, in bytes from 0, also after decompression. Default 10 MiB. */
  readonly maxResponseBytes?: number | undefined;
  /** The largest head of an answer, in bytes from 1 to 2,147,483,647. Default 16 KiB. */
  readonly maxHeaderBytes?: number | undefined;
  /** Sent with every request, but for those of `dispatcher`; where a redirect leads elsewhere, only by its leave. */
  readonly headers?: HeaderInput | undefined;
  /** Adds the hash of the governing document to `headers`, as `X-Constitutional-Hash`; no request may change it. */
  readonly governance?: { readonly hash: string } | undefined;
  /** How failed requests are tried again; `false`: not at all. Default: as {@link HttpRetryOptions} has it. */
  readonly retry?: false | HttpRetryOptions | undefined;
  /** The circuit of each origin; `false`: none. It counts connection errors, timeouts and 5xx. Default: that of @hotpath/resilience. */
  readonly breaker?: false | HttpBreakerOptions | undefined;
  /** How many requests may go to each origin; what is above waits as long as its deadline allows. Default: no limit. */
  readonly rateLimit?: false | HttpRateLimitOptions | undefined;
  /** Follows redirects; `true`: as {@link HttpRedirectOptions} has it. Default `false`: they are answers like others. */
  readonly redirect?: boolean | HttpRedirectOptions | undefined;
  /**
   * Asks for compressed bodies, but for those that stream, and undoes what the server did. Default `true`.
   *
   * With `false` nothing is asked for, and bodies are given as they come.
   */
  readonly decompress?: boolean | undefined;
  /** Refuses every address that is not public. For clients whose URLs come from outside. Default `false`. */
  readonly ssrfGuard?: boolean | SsrfGuardOptions | undefined;
  /** How hosts are resolved. */
  readonly dns?: HttpDnsOptions | undefined;
  /**
   * Speaks HTTP/2: `true` with every https origin that can, or a list of origins; http origins only by the list. Default `false`.
   *
   * A connection carries 32 requests at a time, and up to 100 where `connectionsPerOrigin` is below 4.
   */
  readonly http2?: boolean | readonly (string | URL)[] | undefined;
  /** Whether identical GETs in flight share one exchange. Default `false`. */
  readonly coalesce?: boolean | undefined;
  /** Starts a second try beside a slow first; `true`: as {@link HttpHedgeOptions} has it. Default `false`. */
  readonly hedge?: boolean | HttpHedgeOptions | undefined;
  /** For TLS: certificate authorities, client certificate, `rejectUnauthorized`. For this client only. */
  readonly tls?: HttpTlsOptions | undefined;
  /** The trace that a request belongs to; called once a request that names none itself. */
  readonly traceContext?: (() => TraceContext | undefined) | undefined;
  /** An undici dispatcher to send through in place of connections of our own: a MockAgent, a proxy agent. The caller closes it. */
  readonly dispatcher?: Dispatcher | undefined;
  /** Where time comes from. Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Where chance comes from: for back-off, and to pick a base URL. Default: the system's. */
  readonly random?: RandomSource | undefined;
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

/** {@link HttpDnsOptions}, checked and completed. */
export interface ResolvedHttpDnsOptions {
  readonly ttlMs: Milliseconds;
  readonly maxHosts: number;
  readonly resolve: ResolveHost;
}

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
  readonly retry: ResolvedHttpRetryOptions | undefined;
  readonly breaker: HttpBreakerOptions | undefined;
  readonly rateLimit: HttpRateLimitOptions | undefined;
  readonly redirect: ResolvedHttpRedirectOptions | undefined;
  readonly decompress: boolean;
  readonly vet: Vet;
  readonly dns: ResolvedHttpDnsOptions;
  /** Keys of origins; `undefined`: every https origin. */
  readonly http2: ReadonlySet<string> | undefined;
  readonly coalesce: boolean;
  readonly hedge: ResolvedHttpHedgeOptions | undefined;
  readonly governanceHash: string | undefined;
  readonly headers: HeaderMap;
  readonly tls: HttpTlsOptions;
  readonly traceContext: (() => TraceContext | undefined) | undefined;
  readonly dispatcher: Dispatcher | undefined;
  readonly clock: Clock;
  readonly random: RandomSource;
}

const OWNER = 'createHttpClient';
// What the platform's timers, and the settings of HTTP/2, can hold.
const INT32_MAX = 0x7fff_ffff;
const SECURE_CONTEXT_OPTIONS = [
  'ca',
  'cert',
  'key',
  'passphrase',
  'pfx',
  'minVersion',
  'maxVersion',
  'ciphers',
];
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
  const retry = read.any('retry');
  const redirect = readPart<HttpRedirectOptions>('redirect', read.any('redirect') ?? false);
  const ssrfGuard = readPart<SsrfGuardOptions>('ssrfGuard', read.any('ssrfGuard') ?? false);
  const hedge = readPart<HttpHedgeOptions>('hedge', read.any('hedge') ?? false);
  const resolved: ResolvedHttpClientOptions = {
    baseUrls,
    connections,
    connectionsPerOrigin: read.integer('connectionsPerOrigin', connections, { min: 1 }),
    keepAliveConnections: read.integer('keepAliveConnections', HTTP_DEFAULTS.keepAliveConnections, {
      min: 0,
    }),
    keepAliveMs: read.number('keepAliveMs', HTTP_DEFAULTS.keepAliveMs, { min: 1, max: INT32_MAX }),
    maxConnectionAgeMs: read.number('maxConnectionAgeMs', HTTP_DEFAULTS.maxConnectionAgeMs, { min: 1 }),
    connectTimeoutMs: read.number('connectTimeoutMs', HTTP_DEFAULTS.connectTimeoutMs, { min: 1 }),
    timeoutMs: read.number('timeoutMs', HTTP_DEFAULTS.timeoutMs, { min: 1 }),
    attemptTimeoutMs: read.number('attemptTimeoutMs', Number.POSITIVE_INFINITY, { min: 1 }),
    maxQueued: read.integer('maxQueued', HTTP_DEFAULTS.maxQueued, { min: 0 }),
    maxOrigins: read.integer('maxOrigins', HTTP_DEFAULTS.maxOrigins, { min: 1 }),
    maxResponseBytes: read.integer('maxResponseBytes', HTTP_DEFAULTS.maxResponseBytes, { min: 0 }),
    maxHeaderBytes: read.integer('maxHeaderBytes', HTTP_DEFAULTS.maxHeaderBytes, { min: 1, max: INT32_MAX }),
    retry: retry === false ? undefined : resolveHttpRetryOptions(retry as HttpRetryOptions | undefined),
    breaker: readPart<HttpBreakerOptions>('breaker', read.any('breaker') ?? {}),
    rateLimit: readPart<HttpRateLimitOptions>('rateLimit', read.any('rateLimit') ?? false),
    redirect: redirect === undefined ? undefined : resolveHttpRedirectOptions(redirect),
    decompress: read.boolean('decompress', true),
    vet: ssrfGuard === undefined ? () => {} : ssrfVet(ssrfGuard),
    dns: readDns(read.object<HttpDnsOptions | undefined>('dns', undefined)),
    http2: readHttp2(read.any('http2')),
    coalesce: read.boolean('coalesce', false),
    hedge: hedge === undefined ? undefined : resolveHttpHedgeOptions(hedge),
    governanceHash: governance?.hash as string | undefined,
    headers,
    tls: readTls(read.object<HttpTlsOptions | undefined>('tls', undefined)),
    traceContext: read.function<(() => TraceContext | undefined) | undefined>('traceContext', undefined),
    dispatcher: read.object<Dispatcher | undefined>('dispatcher', undefined, ['dispatch']),
    clock: read.object<Clock>('clock', systemClock, ['now', 'wallTime', 'setTimeout', 'clearTimeout']),
    random: read.function<RandomSource>('random', systemRandom),
  };
  read.end();
  if (new Set(baseUrls.map(({ origin }) => origin)).size > resolved.maxOrigins) {
    throw new RangeError(`${OWNER}: option 'maxOrigins' must not be below the number of base URLs' origins`);
  }
  if (resolved.dispatcher !== undefined && ssrfGuard !== undefined) {
    throw new TypeError(
      `${OWNER}: options 'dispatcher' and 'ssrfGuard' exclude each other: the guard sees only sockets of this client`,
    );
  }
  // Each origin gets its own when it is first used; what is wrong is told now.
  if (resolved.breaker !== undefined) resolveCircuitBreakerOptions(resolved.breaker);
  if (resolved.rateLimit !== undefined) rateLimiter(resolved.rateLimit);
  return Object.freeze(resolved);
}

/** An option that is off, on with its defaults, or an object. */
function readPart<Part extends object>(name: string, given: unknown): Part | undefined {
  if (given === false) return undefined;
  if (given === true) return {} as Part;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TypeError(
      `${OWNER}: option '${name}' must be true, false or an object, got ${describe(given)}`,
    );
  }
  return given as Part;
}

function readDns(given: HttpDnsOptions | undefined): ResolvedHttpDnsOptions {
  const read = optionReader(`${OWNER}: option 'dns'`, given);
  const resolved = {
    ttlMs: read.number('ttlMs', 10_000, { min: 0 }),
    maxHosts: read.integer('maxHosts', 1_000, { min: 1 }),
    resolve: read.function<ResolveHost>('resolve', resolveWithSystem),
  };
  read.end();
  return resolved;
}

function readTls(given: HttpTlsOptions | undefined): HttpTlsOptions {
  if (given === undefined) return {};
  const owner = `${OWNER}: option 'tls'`;
  const read = optionReader(owner, given);
  for (const name of SECURE_CONTEXT_OPTIONS) read.any(name);
  read.boolean('rejectUnauthorized', true);
  read.function<HttpTlsOptions['checkServerIdentity']>('checkServerIdentity', undefined);
  read.end();
  try {
    createSecureContext(given);
  } catch (error) {
    throw new TypeError(`${owner} can't be used: ${(error as Error).message}`, { cause: error });
  }
  return { ...given };
}

function readHttp2(given: unknown): ReadonlySet<string> | undefined {
  if (given === true) return undefined;
  if (given === undefined || given === false) return new Set();
  if (!Array.isArray(given)) {
    throw new TypeError(
      `${OWNER}: option 'http2' must be true, false or a list of origins, got ${describe(given)}`,
    );
  }
  return new Set(given.map((origin) => parseAbsolute(`${OWNER}: option 'http2'`, origin).origin));
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
    return url;
  });
}

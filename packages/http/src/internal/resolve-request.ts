import { HTTP_HEDGE } from '../hedge.ts';
import { GOVERNANCE_HEADER, type ResolvedHttpClientOptions } from '../options.ts';
import { HTTP_REDIRECT } from '../redirect.ts';
import type { HttpMethod, HttpQuery } from '../request.ts';
import { HTTP_RETRY } from '../retry.ts';
import type { BaseUrls } from './base-urls.ts';
import type { CallSpec, CallTarget, Decode } from './call-spec.ts';
import { ACCEPT_ENCODING } from './decompress.ts';
import type { WireBody } from './exchange.ts';
import { flattenHeaders, type HeaderMap, mergeHeaders } from './headers.ts';
import type { Operation, ResultKind } from './operation.ts';
import type { Origins } from './origins.ts';
import { IDEMPOTENT_METHODS, isIdempotent, isReplayable } from './replay.ts';
import type { RequestInput } from './request-input.ts';
import { appendQuery, isAbsolute, joinPath, parseAbsolute } from './target.ts';
import { withTrace } from './trace.ts';
import { PRIORITY } from './waiter-queue.ts';

// Method names are case-sensitive, and servers refuse `get`.
const STANDARD_METHODS = new Map(
  [...IDEMPOTENT_METHODS, 'POST', 'PATCH', 'CONNECT'].map((method) => [method.toLowerCase(), method]),
);
const SLASH = 47;
const MOST_PLAIN_SPECS = 32;
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function chosen<Part>(
  given: boolean | undefined,
  client: Part | undefined,
  defaults: Part,
): Part | undefined {
  if (given === undefined) return client;
  return given ? (client ?? defaults) : undefined;
}

interface KindHeaders {
  readonly map: HeaderMap;
  readonly flat: string[];
}

/** Turns what callers give into a {@link CallSpec}; for a call without options that is a few reads. */
export class RequestResolver {
  readonly #options: ResolvedHttpClientOptions;
  readonly #origins: Origins;
  readonly #bases: BaseUrls;
  readonly #decode: Readonly<Record<ResultKind, Decode | undefined>>;
  readonly #headers: Readonly<Record<ResultKind, KindHeaders>>;
  /** What calls without options share, by method. */
  readonly #plain: Readonly<Record<ResultKind, Map<string, CallSpec>>> = {
    response: new Map(),
    json: new Map(),
    stream: new Map(),
    events: new Map(),
  };

  constructor(
    options: ResolvedHttpClientOptions,
    origins: Origins,
    bases: BaseUrls,
    decode: Readonly<Record<ResultKind, Decode | undefined>>,
  ) {
    this.#options = options;
    this.#origins = origins;
    this.#bases = bases;
    this.#decode = decode;
    const encoded = options.decompress ? { 'accept-encoding': ACCEPT_ENCODING } : {};
    const kind = (defaults: Record<string, string>): KindHeaders => {
      const map = new Map<string, string | readonly string[]>(Object.entries(defaults));
      for (const [name, value] of options.headers) map.set(name, value);
      return { map, flat: flattenHeaders(map) };
    };
    this.#headers = {
      response: kind(encoded),
      json: kind({ accept: 'application/json', ...encoded }),
      stream: kind(options.decompress ? { 'accept-encoding': 'identity' } : {}),
      events: kind({
        accept: 'text/event-stream',
        'cache-control': 'no-cache',
        'accept-encoding': 'identity',
      }),
    };
  }

  /**
   * @throws TypeError when the URL is wrong, or there is no base URL for it.
   * @throws HttpRejectedError (HOTPATH_HTTP_ORIGINS_FULL)
   */
  target(owner: string, method: string, url: string | URL, query: HttpQuery | undefined): CallTarget {
    const base = this.#bases.all[0];
    if (typeof url === 'string' && (url.charCodeAt(0) === SLASH || !isAbsolute(url))) {
      if (base === undefined)
        throw new TypeError(`${owner}: a relative URL needs the client's option 'baseUrl'`);
      let relative = url.charCodeAt(0) === SLASH ? url : `/${url}`;
      if (relative.charCodeAt(1) === SLASH)
        throw new TypeError(`${owner}: a URL must not begin with two slashes`);
      if (query !== undefined) relative = appendQuery(relative, query);
      if (this.#bases.all.length > 1) {
        for (const { path } of this.#bases.all) joinPath(path, relative);
        return { origin: base.origin, path: relative, bases: this.#bases };
      }
      return { origin: base.origin, path: joinPath(base.path, relative), bases: undefined };
    }
    const prefixEnd = typeof url === 'string' ? url.indexOf('/', url.indexOf('//') + 2) : -1;
    const prefix = prefixEnd === -1 ? undefined : (url as string).slice(0, prefixEnd);
    let origin = prefix === undefined ? undefined : this.#origins.ofPrefix(prefix);
    let path: string;
    if (origin !== undefined) path = joinPath('', (url as string).slice(prefixEnd));
    else {
      const parsed = parseAbsolute(owner, url);
      origin = this.#origins.of(parsed, method);
      path = parsed.pathname + parsed.search;
      // Only what is spelt like the origin itself leaves no doubt where the path begins.
      if (prefix === parsed.origin) this.#origins.rememberPrefix(prefix, origin);
    }
    return { origin, path: query === undefined ? path : appendQuery(path, query), bases: undefined };
  }

  /** @throws TypeError or RangeError when an option is wrong, naming it. */
  resolve(
    operation: Operation,
    method: HttpMethod,
    given: RequestInput | undefined,
    jsonBody: unknown,
  ): CallSpec {
    if (given !== undefined || jsonBody !== undefined || this.#options.traceContext !== undefined) {
      return this.#build(operation, method, given, jsonBody);
    }
    const plain = this.#plain[operation.kind];
    let spec = plain.get(method);
    if (spec === undefined) {
      spec = this.#build(operation, method, undefined, undefined);
      // Methods are few, but what callers pass for one is theirs.
      if (plain.size < MOST_PLAIN_SPECS) plain.set(method, spec);
    }
    return spec;
  }

  #build(
    { name: owner, kind }: Operation,
    method: HttpMethod,
    given: RequestInput | undefined,
    jsonBody: unknown,
  ): CallSpec {
    const options = this.#options;
    method = STANDARD_METHODS.get(method) ?? method;
    const trace = given?.trace ?? options.traceContext?.();
    let headers = this.#headers[kind].flat;
    let body: WireBody = null;
    if (given !== undefined || jsonBody !== undefined) {
      const json = jsonBody === undefined ? given?.json : jsonBody;
      if (json !== undefined) body = stringify(owner, json);
      else if (given?.body !== undefined) body = given.body;
      const key = given?.idempotencyKey;
      if (given?.headers !== undefined || key !== undefined || json !== undefined) {
        const merged = this.#mergeHeaders(owner, kind, given, json !== undefined);
        headers = flattenHeaders(merged);
      }
      if (given?.body !== undefined && json !== undefined) {
        throw new TypeError(`${owner}: options 'body' and 'json' exclude each other`);
      }
    }
    checkMethod(owner, method, body);
    if (trace !== undefined) headers = withTrace(headers, trace);
    const isStreaming = kind === 'stream' || kind === 'events';
    return {
      method,
      headers,
      body,
      isReplayable: isReplayable(body),
      isIdempotent: isIdempotent(method, headers),
      priority: given?.priority ?? PRIORITY.default,
      timeoutMs: given?.timeoutMs ?? options.timeoutMs,
      attemptTimeoutMs: isStreaming
        ? Number.POSITIVE_INFINITY
        : (given?.attemptTimeoutMs ?? options.attemptTimeoutMs),
      maxResponseBytes: given?.maxResponseBytes ?? options.maxResponseBytes,
      maxStreamBytes: given?.maxResponseBytes ?? Number.POSITIVE_INFINITY,
      signal: given?.signal,
      retry: chosen(given?.retry, options.retry, HTTP_RETRY),
      hedge: isStreaming ? undefined : chosen(given?.hedge, options.hedge, HTTP_HEDGE),
      redirect: chosen(given?.redirect, options.redirect, HTTP_REDIRECT),
      coalesce: given?.coalesce ?? options.coalesce,
      acceptStatus: given?.acceptStatus,
      decode: this.#decode[kind],
      schema: given?.schema,
      deadlineEndsAtHead: kind === 'events',
    };
  }

  #mergeHeaders(
    owner: string,
    kind: ResultKind,
    given: RequestInput | undefined,
    hasJson: boolean,
  ): HeaderMap {
    const defaults = this.#headers[kind].map;
    let merged = defaults;
    if (hasJson && !defaults.has('content-type')) {
      merged = new Map([...defaults, ['content-type', 'application/json']]);
    }
    merged = mergeHeaders(owner, merged, given?.headers);
    if (given?.idempotencyKey !== undefined) {
      merged = mergeHeaders(owner, merged, { 'idempotency-key': given.idempotencyKey });
    }
    // Whoever may set headers must not thereby leave the governing document.
    const hash = this.#options.governanceHash;
    if (hash !== undefined && merged.get(GOVERNANCE_HEADER) !== hash) {
      throw new TypeError(`${owner}: the header '${GOVERNANCE_HEADER}' is the client's and can't be given`);
    }
    return merged;
  }
}

function checkMethod(owner: string, method: string, body: WireBody): void {
  if (!METHOD.test(method)) throw new TypeError(`${owner}: ${JSON.stringify(method)} is not a method`);
  if (method === 'CONNECT') throw new TypeError(`${owner}: CONNECT makes a tunnel, not a request`);
  if (body !== null && (method === 'GET' || method === 'HEAD')) {
    throw new TypeError(`${owner}: a ${method} can't have a body`);
  }
}

/** What goes over the wire for a value. @throws TypeError when JSON has no form for it. */
function stringify(owner: string, value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TypeError(`${owner}: a ${typeof value} can't be sent as JSON`);
  return text;
}

import {
  type Batcher,
  type GatherItems,
  type GatherMode,
  type Milliseconds,
  optionReader,
} from '@hotpath/core';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Dispatcher } from 'undici';
import { batchRequests, type HttpBatcherOptions } from './http-batcher.ts';
import { type HttpEventsOptions, type HttpStream, openStream, readEvents } from './http-events.ts';
import {
  gatherRequests,
  gatherRequestsStream,
  type HttpGatherOptions,
  type HttpGatherOutcome,
  type HttpGatherResult,
  type HttpGatherStreamOptions,
} from './http-gather.ts';
import { Engine } from './internal/engine.ts';
import type { ServerEvent } from './internal/event-parser.ts';
import type { Operation } from './internal/operation.ts';
import { PooledDispatcher } from './internal/pooled-dispatcher.ts';
import { type HttpClientOptions, resolveHttpClientOptions } from './options.ts';
import type { HttpJsonOptions, HttpRequest, HttpRequestOptions, JsonOf } from './request.ts';
import type { HttpResponse } from './response.ts';
import { type HttpClientStats, statsOf } from './stats.ts';

const REQUEST: Operation = { name: 'request', kind: 'response', method: 'GET' };

/** Sends a request and gives the whole answer. */
export type Send = (url: string | URL, options?: HttpRequestOptions) => Promise<HttpResponse>;

/** Reads a body as JSON and gives what the schema makes of it; `undefined` when it is empty. */
export type GetJson = <T = unknown, Schema extends StandardSchemaV1 | undefined = undefined>(
  url: string | URL,
  options?: HttpJsonOptions<Schema>,
) => Promise<JsonOf<Schema, T>>;

/** Sends a value as JSON and reads the answer as {@link GetJson} does. */
export type SendJson = <T = unknown, Schema extends StandardSchemaV1 | undefined = undefined>(
  url: string | URL,
  json: unknown,
  options?: HttpJsonOptions<Schema>,
) => Promise<JsonOf<Schema, T>>;

/** What {@link HttpClient.close} takes. */
export interface HttpCloseOptions {
  /** Milliseconds for requests under way to end by themselves. Default 5,000. */
  readonly drainMs?: Milliseconds | undefined;
}

/**
 * A pooled HTTP client.
 *
 * Every method that sends rejects, and never throws, with the errors of this package, with the
 * signal's reason, untouched, or with a TypeError or RangeError when an argument is wrong:
 *
 * - HttpTimeoutError (HOTPATH_HTTP_TIMEOUT, …_ATTEMPT_TIMEOUT, …_CONNECT_TIMEOUT)
 * - HttpRejectedError (HOTPATH_HTTP_QUEUE_FULL, …_RATE_LIMITED, …_ORIGINS_FULL, …_ADDRESS_REFUSED): nothing was sent
 * - HttpUnavailableError (HOTPATH_HTTP_CIRCUIT_OPEN, …_CONNECT_FAILED, …_CONNECTION_LOST)
 * - HttpStatusError (HOTPATH_HTTP_STATUS, …_REDIRECT_REFUSED)
 * - HttpCorruptError (HOTPATH_HTTP_BAD_RESPONSE, …_BAD_BODY, …_BAD_ENCODING, …_SCHEMA, …_TOO_LARGE)
 * - HttpAbortedError (HOTPATH_HTTP_CLOSED)
 */
export interface HttpClient extends AsyncDisposable {
  /** Sends a request and gives the whole answer. */
  request(request: HttpRequest | string): Promise<HttpResponse>;
  readonly get: Send;
  readonly head: Send;
  readonly post: Send;
  readonly put: Send;
  readonly patch: Send;
  readonly delete: Send;
  readonly getJson: GetJson;
  readonly deleteJson: GetJson;
  readonly postJson: SendJson;
  readonly putJson: SendJson;
  readonly patchJson: SendJson;
  /**
   * Sends many requests, a bounded number at a time, and resolves with the results in input order.
   *
   * As core's `gather`, which see for modes and options. `concurrency` defaults to the client's
   * connections; then an origin that makes no progress does not hold up the others' items.
   *
   * @example
   * const results = await client.gather<Policy>(ids.map((id) => `/policies/${id}`), { as: 'json' });
   */
  gather<T = unknown, Mode extends GatherMode = 'settled'>(
    requests: GatherItems<HttpRequest | string>,
    options: HttpGatherOptions<Mode, 'json'> & { readonly as: 'json' },
  ): Promise<HttpGatherOutcome<Mode, T>>;
  gather<Mode extends GatherMode = 'settled'>(
    requests: GatherItems<HttpRequest | string>,
    options?: HttpGatherOptions<Mode, 'response'>,
  ): Promise<HttpGatherOutcome<Mode, HttpResponse>>;
  /** As `gather`, but yields each result as it comes, and takes new items only as fast as results are read. */
  gatherStream<T = unknown>(
    requests: GatherItems<HttpRequest | string>,
    options: HttpGatherStreamOptions<'json'> & { readonly as: 'json' },
  ): AsyncGenerator<HttpGatherResult<T>, void, void>;
  gatherStream(
    requests: GatherItems<HttpRequest | string>,
    options?: HttpGatherStreamOptions<'response'>,
  ): AsyncGenerator<HttpGatherResult, void, void>;
  /** Makes a batcher: many callers' single look-ups become one request. The caller closes it. */
  batcher<Item, Value>(options: HttpBatcherOptions<Item, Value>): Batcher<Item, Value>;
  /**
   * Reads server-sent events. The deadline covers the way to the head of the answer, not the stream.
   *
   * @example
   * for await (const { event, data } of client.events('/changes', { reconnect: true })) handle(event, data);
   */
  events(request: HttpRequest | string, options?: HttpEventsOptions): AsyncGenerator<ServerEvent, void, void>;
  /** Sends a request and gives the body as it arrives, under back-pressure. The deadline covers the body too. */
  stream(request: HttpRequest | string): Promise<HttpStream>;
  /** The client's connections as an undici dispatcher; without retry, breaker, deadline and caps. */
  readonly dispatcher: Dispatcher;
  stats(): HttpClientStats;
  /** Takes no more requests, lets those under way end, then gives them up, and closes every connection. */
  close(options?: HttpCloseOptions): Promise<void>;
}

/**
 * Makes an HTTP client: pooled, bounded, with deadline, retry, breaker and figures for each origin.
 *
 * Make one for a service and close it at its end. It opens nothing before the first request.
 *
 * @example
 * const client = createHttpClient({ baseUrl: 'https://api.example.com/v1', timeoutMs: 2_000 });
 * const policy = await client.getJson('/policies/7');
 *
 * @throws TypeError or RangeError naming the option that is wrong.
 */
export function createHttpClient(options: HttpClientOptions = {}): HttpClient {
  const engine = new Engine(resolveHttpClientOptions(options));
  const send = (name: string, method: string): Send => {
    const operation: Operation = { name, kind: 'response', method };
    return (url, given) => engine.run(operation, url, given) as Promise<HttpResponse>;
  };
  const getJson = (name: string, method: string): GetJson => {
    const operation: Operation = { name, kind: 'json', method };
    return (url, given) => engine.run(operation, url, given as HttpJsonOptions) as Promise<never>;
  };
  const sendJson = (name: string, method: string): SendJson => {
    const operation: Operation = { name, kind: 'json', method };
    return (url, json, given) => engine.run(operation, url, given as HttpJsonOptions, json) as Promise<never>;
  };
  const close = async (given?: HttpCloseOptions): Promise<void> => {
    const read = optionReader('close', given);
    const drainMs = read.number('drainMs', 5_000, { min: 0 });
    read.end();
    await engine.close(drainMs);
  };
  let dispatcher: PooledDispatcher | undefined;

  return {
    request: (given) => engine.send(REQUEST, given) as Promise<HttpResponse>,
    get: send('get', 'GET'),
    head: send('head', 'HEAD'),
    post: send('post', 'POST'),
    put: send('put', 'PUT'),
    patch: send('patch', 'PATCH'),
    delete: send('delete', 'DELETE'),
    getJson: getJson('getJson', 'GET'),
    deleteJson: getJson('deleteJson', 'DELETE'),
    postJson: sendJson('postJson', 'POST'),
    putJson: sendJson('putJson', 'PUT'),
    patchJson: sendJson('patchJson', 'PATCH'),
    gather: (requests: GatherItems<HttpRequest | string>, given?: HttpGatherOptions) =>
      gatherRequests(engine, requests, given) as Promise<never>,
    gatherStream: (requests: GatherItems<HttpRequest | string>, given?: HttpGatherStreamOptions) =>
      gatherRequestsStream(engine, requests, given) as AsyncGenerator<never, void, void>,
    batcher: (given) => batchRequests(engine, given),
    events: (request, given) => readEvents(engine, request, given),
    stream: (request) => openStream(engine, request),
    get dispatcher() {
      dispatcher ??= new PooledDispatcher(engine);
      return dispatcher;
    },
    stats: () => statsOf(engine),
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

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

/** Sends a request with the method of its name and gives the whole answer. */
export type Send = (url: string | URL, options?: HttpRequestOptions) => Promise<HttpResponse>;

/** Sends a request and gives its answer's body as JSON, or what the schema makes of that; `undefined` when it is empty. */
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
  /** Milliseconds for requests under way to end by themselves; 0: none. Default 5,000. */
  readonly drainMs?: Milliseconds | undefined;
}

/**
 * A pooled HTTP client.
 *
 * Every method that sends rejects, and never throws, with the errors of this package, with the signal's reason
 * or what the caller's own code has thrown, untouched, or with a TypeError or RangeError when an argument is
 * wrong. Those that give a generator do so when its first value is asked for, and nothing is sent before.
 *
 * - HttpTimeoutError (HOTPATH_HTTP_TIMEOUT, …_ATTEMPT_TIMEOUT, …_CONNECT_TIMEOUT)
 * - HttpRejectedError (HOTPATH_HTTP_QUEUE_FULL, …_RATE_LIMITED, …_ORIGINS_FULL, …_ADDRESS_REFUSED): nothing was sent
 * - HttpUnavailableError (HOTPATH_HTTP_CIRCUIT_OPEN, …_CONNECT_FAILED, …_CONNECTION_LOST)
 * - HttpStatusError (HOTPATH_HTTP_STATUS, …_REDIRECT_REFUSED)
 * - HttpCorruptError (HOTPATH_HTTP_BAD_RESPONSE, …_BAD_BODY, …_BAD_ENCODING, …_SCHEMA, …_TOO_LARGE)
 * - HttpAbortedError (HOTPATH_HTTP_CLOSED)
 */
export interface HttpClient extends AsyncDisposable {
  /** Sends a request and gives the whole answer; a bare URL is a GET. */
  request(request: HttpRequest | string): Promise<HttpResponse>;
  /** Sends a GET and gives the whole answer. */
  readonly get: Send;
  /** Sends a HEAD and gives the answer, whose body is empty. */
  readonly head: Send;
  /** Sends a POST, with `body` or `json` of the options, and gives the whole answer. */
  readonly post: Send;
  /** Sends a PUT as `post` does. */
  readonly put: Send;
  /** Sends a PATCH as `post` does. */
  readonly patch: Send;
  /** Sends a DELETE and gives the whole answer. */
  readonly delete: Send;
  /** Sends a GET and gives the body as JSON. */
  readonly getJson: GetJson;
  /** Sends a DELETE and gives the body as JSON. */
  readonly deleteJson: GetJson;
  /** Sends a value as JSON with a POST and gives the body as JSON. */
  readonly postJson: SendJson;
  /** Sends a value as JSON with a PUT and gives the body as JSON. */
  readonly putJson: SendJson;
  /** Sends a value as JSON with a PATCH and gives the body as JSON. */
  readonly patchJson: SendJson;
  /**
   * Sends many requests, a bounded number at a time, and resolves with the results in input order.
   *
   * As core's `gather`, which see for modes and options. Failures are results, unless `mode` says otherwise.
   * `concurrency` defaults to the client's connections; then an origin that makes no progress for 250 ms does
   * not hold up the others' items.
   *
   * @example
   * const results = await client.gather<Policy>(ids.map((id) => `/policies/${id}`), { as: 'json' });
   * for (const result of results) use(result.status === 'ok' ? result.value : result.error);
   *
   * @throws GatherError (HOTPATH_GATHER_FAILED) in mode `failFast` when a request fails, (HOTPATH_GATHER_NONE) in mode
   * `any` when none succeeds.
   */
  gather<T = unknown, Mode extends GatherMode = 'settled'>(
    requests: GatherItems<HttpRequest | string>,
    options: HttpGatherOptions<Mode, 'json'> & { readonly as: 'json' },
  ): Promise<HttpGatherOutcome<Mode, T>>;
  gather<Mode extends GatherMode = 'settled'>(
    requests: GatherItems<HttpRequest | string>,
    options?: HttpGatherOptions<Mode, 'response'>,
  ): Promise<HttpGatherOutcome<Mode, HttpResponse>>;
  /**
   * As `gather`, but yields each result as it comes, and takes new items only as fast as results are read.
   *
   * @example
   * for await (const { index, status } of client.gatherStream(ids.map((id) => `/policies/${id}`))) use(index, status);
   */
  gatherStream<T = unknown>(
    requests: GatherItems<HttpRequest | string>,
    options: HttpGatherStreamOptions<'json'> & { readonly as: 'json' },
  ): AsyncGenerator<HttpGatherResult<T>, void, void>;
  gatherStream(
    requests: GatherItems<HttpRequest | string>,
    options?: HttpGatherStreamOptions<'response'>,
  ): AsyncGenerator<HttpGatherResult, void, void>;
  /**
   * Makes a batcher: many callers' single look-ups become one request. The caller closes it.
   *
   * As core's `batcher`, which see for the other options: at most 10 items or 5 ms, at once when idle.
   *
   * @example
   * const policies = client.batcher({
   *   toRequest: (batch: readonly number[]) => ({ url: '/policies', query: { id: batch } }),
   *   fromResponse: (body) => body as Policy[],
   * });
   * use(await policies.load(7));
   * await policies.close();
   *
   * @throws TypeError or RangeError naming the option that is wrong.
   */
  batcher<Item, Value>(options: HttpBatcherOptions<Item, Value>): Batcher<Item, Value>;
  /**
   * Reads server-sent events. The deadline covers the way to the head of the answer, not the stream.
   *
   * To leave the loop ends the request, and costs its connection. A 204 ends the stream.
   *
   * @example
   * for await (const { event, data } of client.events('/changes', { reconnect: true })) use(event, data);
   */
  events(request: HttpRequest | string, options?: HttpEventsOptions): AsyncGenerator<ServerEvent, void, void>;
  /**
   * Sends a request and gives the body as it arrives, under back-pressure. The deadline covers the body too.
   *
   * What is read of it fails as requests do. A body that nobody reads holds its connection until then.
   *
   * @example
   * const { body } = await client.stream({ url: '/export', timeoutMs: 600_000 });
   * for await (const chunk of body) use(chunk);
   */
  stream(request: HttpRequest | string): Promise<HttpStream>;
  /**
   * The client's connections as an undici dispatcher; without retry, breaker, deadline and caps. The client closes it.
   *
   * @example
   * const { fetch } = await import('undici'); // that of Node.js is of another version
   * const response = await fetch('https://api.example.com/v1/policies/7', { dispatcher: client.dispatcher });
   * use(await response.json());
   */
  readonly dispatcher: Dispatcher;
  /** What is going on, and counters for each origin; a snapshot, at the cost of a walk over the origins. */
  stats(): HttpClientStats;
  /**
   * Takes no more requests, lets those under way end, then gives them up, and closes every connection.
   *
   * Resolves when no socket is open any more. What was begun first counts when it is called again.
   */
  close(options?: HttpCloseOptions): Promise<void>;
}

/**
 * Makes an HTTP client: pooled, bounded, with deadline, retry, breaker and figures for each origin.
 *
 * Make one for a service and close it at its end. It opens nothing before the first request.
 *
 * @example
 * const client = createHttpClient({ baseUrl: 'https://api.example.com/v1', timeoutMs: 2_000 });
 * use(await client.getJson<Policy>('/policies/7'));
 * await client.close();
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

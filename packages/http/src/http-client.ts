import {
  type GatherItems,
  type GatherLimits,
  type GatherMode,
  type GatherOptions,
  type GatherOutcome,
  type GatherResult,
  type GatherStreamOptions,
  gather,
  gatherStream,
  type Milliseconds,
} from '@hotpath/core';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { asJson, asResponse } from './internal/decode.ts';
import { Engine } from './internal/engine.ts';
import { type HttpClientOptions, resolveHttpClientOptions } from './options.ts';
import type { HttpJsonOptions, HttpRequest, HttpRequestOptions, JsonOf } from './request.ts';
import type { HttpResponse } from './response.ts';

/** Reads a body as JSON and gives what the schema makes of it. */
export type GetJson = <T = unknown, Schema extends StandardSchemaV1 | undefined = undefined>(
  url: string | URL,
  options?: HttpJsonOptions<Schema>,
) => Promise<JsonOf<Schema, T>>;

/** Sends a value as JSON and reads the answer as JSON. */
export type SendJson = <T = unknown, Schema extends StandardSchemaV1 | undefined = undefined>(
  url: string | URL,
  json: unknown,
  options?: HttpJsonOptions<Schema>,
) => Promise<JsonOf<Schema, T>>;

/** Sends a request and gives the whole answer. */
export type Send = (url: string | URL, options?: HttpRequestOptions) => Promise<HttpResponse>;

/** A pooled HTTP client; make one a service, with {@link createHttpClient}. */
export interface HttpClient {
  request(request: HttpRequest): Promise<HttpResponse>;
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
  gather<Mode extends GatherMode = 'settled'>(
    requests: GatherItems<HttpRequest | string>,
    options?: GatherOptions<Mode>,
  ): Promise<GatherOutcome<Mode, HttpResponse>>;
  gatherStream(
    requests: GatherItems<HttpRequest | string>,
    options?: GatherLimits & GatherStreamOptions,
  ): AsyncGenerator<GatherResult<HttpResponse>, void, void>;
  stats(): HttpClientStats;
  /** Takes no more requests, waits `drainMs` (default 5,000) for those under way, and closes every connection. */
  close(options?: { readonly drainMs?: Milliseconds }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Counters since the client was made, and what is going on. */
export interface HttpClientStats {
  readonly connections: { readonly open: number; readonly idle: number };
  readonly origins: Readonly<Record<string, OriginStats>>;
}

/** The same for one origin. */
export interface OriginStats {
  readonly connects: number;
  readonly dispatched: number;
  readonly reuseRatio: number;
  readonly queued: number;
  readonly inFlight: number;
  readonly retries: number;
  readonly replays: number;
}

export function createHttpClient(options: HttpClientOptions = {}): HttpClient {
  const engine = new Engine(resolveHttpClientOptions(options));
  const send =
    (method: string): Send =>
    (url, given) =>
      engine.run('request', method, url, given, asResponse, false) as Promise<HttpResponse>;
  const getJson =
    (method: string): GetJson =>
    (url, given) =>
      engine.run('getJson', method, url, given as HttpJsonOptions, asJson, true) as Promise<never>;
  const sendJson =
    (method: string): SendJson =>
    (url, json, given) =>
      engine.run('sendJson', method, url, given as HttpJsonOptions, asJson, true, json) as Promise<never>;
  const request = (given: HttpRequest): Promise<HttpResponse> =>
    engine.run(
      'request',
      given.method ?? 'GET',
      given.url,
      given,
      asResponse,
      false,
    ) as Promise<HttpResponse>;
  const work = (
    item: HttpRequest | string,
    context: { readonly signal: AbortSignal },
  ): Promise<HttpResponse> =>
    request(
      typeof item === 'string' ? { url: item, signal: context.signal } : { ...item, signal: context.signal },
    );
  const close = ({ drainMs = 5_000 }: { readonly drainMs?: Milliseconds } = {}): Promise<void> =>
    engine.close(drainMs);
  const { connections } = engine.options;

  return {
    request,
    get: send('GET'),
    head: send('HEAD'),
    post: send('POST'),
    put: send('PUT'),
    patch: send('PATCH'),
    delete: send('DELETE'),
    getJson: getJson('GET'),
    deleteJson: getJson('DELETE'),
    postJson: sendJson('POST'),
    putJson: sendJson('PUT'),
    patchJson: sendJson('PATCH'),
    gather: (requests, given) =>
      gather(requests, work, { concurrency: connections, ...given }) as Promise<never>,
    gatherStream: (requests, given) => gatherStream(requests, work, { concurrency: connections, ...given }),
    stats: () => {
      const origins: Record<string, OriginStats> = {};
      for (const { key, pool, retries, replays } of engine.origins()) {
        const { connects, dispatched } = pool;
        origins[key] = {
          connects,
          dispatched,
          reuseRatio: dispatched === 0 ? 1 : 1 - connects / dispatched,
          queued: pool.waiters.size,
          inFlight: pool.inFlight,
          retries,
          replays,
        };
      }
      return { connections: { open: engine.pool.open, idle: engine.pool.idle }, origins };
    },
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

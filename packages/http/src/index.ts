export {
  HttpAbortedError,
  HttpCorruptError,
  type HttpError,
  type HttpFailedResponse,
  type HttpPhase,
  HttpRejectedError,
  HttpStatusError,
  HttpTimeoutError,
  HttpUnavailableError,
} from './errors.ts';
export type { HttpHedgeOptions } from './hedge.ts';
export type { HttpBatcherOptions } from './http-batcher.ts';
export {
  createHttpClient,
  type GetJson,
  type HttpClient,
  type HttpCloseOptions,
  type Send,
  type SendJson,
} from './http-client.ts';
export type { HttpEventsOptions, HttpStream } from './http-events.ts';
export type {
  HttpGatherOptions,
  HttpGatherResult,
  HttpGatherStreamOptions,
} from './http-gather.ts';
export type { HostAddress, ResolveHost } from './internal/address-book.ts';
export type { ServerEvent } from './internal/event-parser.ts';
export {
  HTTP_DEFAULTS,
  type HttpBreakerOptions,
  type HttpClientOptions,
  type HttpDnsOptions,
  type HttpRateLimitOptions,
  type HttpTlsOptions,
} from './options.ts';
export type { HttpRedirectOptions } from './redirect.ts';
export type {
  HeaderInput,
  HttpJsonOptions,
  HttpMethod,
  HttpQuery,
  HttpRequest,
  HttpRequestOptions,
  JsonOf,
  TraceContext,
} from './request.ts';
export { HttpResponse, type HttpResponseHeaders } from './response.ts';
export type { HttpRetryOptions } from './retry.ts';
export type { SsrfGuardOptions } from './ssrf-guard.ts';
export type { HttpClientStats, HttpOriginStats, LatencySummary } from './stats.ts';
export type {
  HttpConnectEvent,
  HttpEjectEvent,
  HttpHedgeEvent,
  HttpReplayEvent,
  HttpRequestEvent,
  HttpRetryEvent,
} from './telemetry.ts';

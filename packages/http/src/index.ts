export {
  HttpAbortedError,
  HttpCorruptError,
  type HttpError,
  type HttpErrorDetails,
  type HttpFailedResponse,
  type HttpPhase,
  HttpRejectedError,
  HttpStatusError,
  HttpTimeoutError,
  HttpUnavailableError,
} from './errors.ts';
export {
  createHttpClient,
  type GetJson,
  type HttpClient,
  type HttpClientStats,
  type OriginStats,
  type Send,
  type SendJson,
} from './http-client.ts';
export { HTTP_DEFAULTS, type HttpClientOptions } from './options.ts';
export type {
  HeaderInput,
  HttpBody,
  HttpJsonOptions,
  HttpMethod,
  HttpQuery,
  HttpRequest,
  HttpRequestOptions,
  JsonOf,
  TraceContext,
} from './request.ts';
export { HttpResponse, type HttpResponseHeaders } from './response.ts';

import type { Readable } from 'node:stream';
import type { Milliseconds } from '@hotpath/core';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { HeaderInput } from './internal/headers.ts';

export type { HeaderInput } from './internal/headers.ts';

/** Request methods, in either case; any other token but CONNECT is allowed too. */
export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS' | (string & {});

/**
 * A body to send.
 *
 * Streams and iterables can be sent only once, so such a request is never tried again; a file can be, as the
 * Blob of `await openAsBlob(path)` of `node:fs`. A stream is the request's from then on: what is not sent to
 * its end is destroyed. Bytes must stay as they are until the request is over.
 */
export type HttpBody = string | Buffer | Uint8Array | Blob | Readable | AsyncIterable<Uint8Array>;

/** What a query may be given as; `undefined` leaves a parameter out, an array repeats it. */
export type HttpQuery =
  | URLSearchParams
  | Readonly<Record<string, string | number | boolean | undefined | readonly (string | number | boolean)[]>>;

/** W3C trace context, as it is sent. */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string | undefined;
}

/** What a request takes besides method and URL. */
export interface HttpRequestOptions {
  /** Laid over the client's; names in any case. */
  readonly headers?: HeaderInput | undefined;
  /** Added to the URL's own query. */
  readonly query?: HttpQuery | undefined;
  /** Not for GET and HEAD. */
  readonly body?: HttpBody | undefined;
  /** A value to send as JSON, in place of `body`; sets `content-type` unless the headers do. */
  readonly json?: unknown;
  /** Milliseconds, from 1, for all of it: queue, connecting, every try, the pauses between them, and the body. Default: the client's. */
  readonly timeoutMs?: Milliseconds | undefined;
  /** Milliseconds for one try, from its sending; at least 1; not for `stream` and `events`. Default: the client's. */
  readonly attemptTimeoutMs?: Milliseconds | undefined;
  /** Gives the request up; its reason is what the request rejects with. */
  readonly signal?: AbortSignal | undefined;
  /** 0 to 9; where requests wait, the higher goes first. Default 5. */
  readonly priority?: number | undefined;
  /** Sent as `Idempotency-Key`; makes a POST or PATCH safe to send again. */
  readonly idempotencyKey?: string | undefined;
  /** `false`: one try only; `true`: also where the client has retries off, with their defaults. Default: the client's. */
  readonly retry?: boolean | undefined;
  /** Which statuses are no failure; what it throws the request rejects with. Default: those below 400. */
  readonly acceptStatus?: ((status: number) => boolean) | undefined;
  /** Whether identical GETs in flight share one exchange; not for `stream`, `events` and with `acceptStatus`. Default: the client's. */
  readonly coalesce?: boolean | undefined;
  /**
   * Whether a second try may start beside a slow first; where the client has it off, with the defaults. Not for
   * `stream` and `events`. Default: the client's.
   */
  readonly hedge?: boolean | undefined;
  /** Whether redirects are followed; where the client has it off, with the defaults. Default: the client's. */
  readonly redirect?: boolean | undefined;
  /** The trace that it belongs to: a child of that is sent, unless the headers name one. Default: the client's `traceContext()`. */
  readonly trace?: TraceContext | undefined;
  /** The largest body to accept, in bytes from 0, also after decompression. Default: the client's; none for `stream` and `events`. */
  readonly maxResponseBytes?: number | undefined;
}

/** Options of the calls that give the body as JSON. */
export interface HttpJsonOptions<Schema extends StandardSchemaV1 | undefined = StandardSchemaV1 | undefined>
  extends HttpRequestOptions {
  /** Validates the body; the result is what the schema makes of it. Any library that speaks Standard Schema. */
  readonly schema?: Schema | undefined;
}

/** A request as an object: for `request`, `gather`, `batcher` and `events`. */
export interface HttpRequest extends HttpRequestOptions {
  /** Default `GET`. */
  readonly method?: HttpMethod | undefined;
  /** Absolute and without credentials, or relative to the client's `baseUrl`. */
  readonly url: string | URL;
}

/** What a JSON call resolves with: what the schema makes of the body, or the type that the caller names. */
export type JsonOf<Schema, Fallback = unknown> = Schema extends StandardSchemaV1
  ? StandardSchemaV1.InferOutput<Schema>
  : Fallback;

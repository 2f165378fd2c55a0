import type { Milliseconds } from '@hotpath/core';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { ResolvedHttpHedgeOptions } from '../hedge.ts';
import type { ResolvedHttpRedirectOptions } from '../redirect.ts';
import type { HttpResponseHeaders } from '../response.ts';
import type { ResolvedHttpRetryOptions } from '../retry.ts';
import type { BaseUrls } from './base-urls.ts';
import type { WireBody } from './exchange.ts';
import type { Origin } from './origin.ts';

/** Makes the caller's value of a whole, accepted answer; may throw a SyntaxError. */
export type Decode = (
  status: number,
  headers: HttpResponseHeaders,
  bytes: Buffer,
  attempts: number,
) => unknown;

/** Where a request goes first. */
export interface CallTarget {
  readonly origin: Origin;
  /** Path and query; behind the path of the base URL that is picked, where there are several. */
  readonly path: string;
  /** Several base URLs to pick from, for each try anew. */
  readonly bases: BaseUrls | undefined;
}

/** A request with every option resolved, but for where it goes. Those without options of their own share one. */
export interface CallSpec {
  readonly method: string;
  readonly headers: string[];
  readonly body: WireBody;
  readonly isReplayable: boolean;
  readonly isIdempotent: boolean;
  readonly priority: number;
  readonly timeoutMs: Milliseconds;
  readonly attemptTimeoutMs: Milliseconds;
  readonly maxResponseBytes: number;
  readonly maxStreamBytes: number;
  readonly signal: AbortSignal | undefined;
  /** `undefined`: one try. */
  readonly retry: ResolvedHttpRetryOptions | undefined;
  readonly hedge: ResolvedHttpHedgeOptions | undefined;
  /** `undefined`: redirects are answers like others. */
  readonly redirect: ResolvedHttpRedirectOptions | undefined;
  readonly coalesce: boolean;
  readonly acceptStatus: ((status: number) => boolean) | undefined;
  /** `undefined`: the body is handed on as it arrives. */
  readonly decode: Decode | undefined;
  readonly schema: StandardSchemaV1 | undefined;
  /** The deadline covers no more than the head of an answer that streams. */
  readonly deadlineEndsAtHead: boolean;
}

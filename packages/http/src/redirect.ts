import { optionReader } from '@hotpath/core';

/** How redirects are followed. */
export interface HttpRedirectOptions {
  /** How many in a row, from 1 to 100. Default 5. */
  readonly max?: number | undefined;
  /** Headers that may go to another origin, besides `accept…` (itself, encoding, language), `content-type` and the trace's. */
  readonly forwardHeaders?: readonly string[] | undefined;
}

/** {@link HttpRedirectOptions}, checked and completed. */
export interface ResolvedHttpRedirectOptions {
  readonly max: number;
  readonly forwardHeaders: ReadonlySet<string>;
}

const ALWAYS_FORWARDED = [
  'accept',
  'accept-encoding',
  'accept-language',
  'content-type',
  'traceparent',
  'tracestate',
];

/** @throws TypeError or RangeError naming the option that is wrong. */
export function resolveHttpRedirectOptions(options: HttpRedirectOptions): ResolvedHttpRedirectOptions {
  const read = optionReader("createHttpClient: option 'redirect'", options);
  const forwardHeaders = read.object<readonly string[]>('forwardHeaders', []);
  if (!Array.isArray(forwardHeaders) || !forwardHeaders.every((name) => typeof name === 'string')) {
    throw new TypeError("createHttpClient: option 'redirect.forwardHeaders' must be a list of header names");
  }
  const max = read.integer('max', 5, { min: 1, max: 100 });
  read.end();
  const names = forwardHeaders.map((name) => name.toLowerCase());
  return Object.freeze({ max, forwardHeaders: new Set([...ALWAYS_FORWARDED, ...names]) });
}

/** What `true` means for a request whose client has it off. */
export const HTTP_REDIRECT: ResolvedHttpRedirectOptions = resolveHttpRedirectOptions({});

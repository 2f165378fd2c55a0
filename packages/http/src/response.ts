/**
 * Response headers: names in lower case; a header that came several times is an array.
 *
 * Over HTTP/2 that is so for `set-cookie`; of others the values are joined by commas, or the first one counts.
 */
export type HttpResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** A whole answer: its body has been read, and was decompressed where it had to be. */
export class HttpResponse {
  readonly status: number;
  readonly headers: HttpResponseHeaders;
  /** The body. It is this response's own: nobody else holds or changes it. */
  readonly bytes: Buffer;
  /** How many tries it took, from 1; behind a redirect, those since the last one. */
  readonly attempts: number;

  constructor(status: number, headers: HttpResponseHeaders, bytes: Buffer, attempts: number) {
    this.status = status;
    this.headers = headers;
    this.bytes = bytes;
    this.attempts = attempts;
  }

  /** Whether the status is 200 to 299. */
  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  /** The body as UTF-8 text, without a byte-order mark. Decoded anew each time. */
  text(): string {
    return textOf(this.bytes);
  }

  /**
   * The body as JSON; `undefined` when it is empty. Parsed anew each time.
   *
   * @throws SyntaxError when it is not JSON.
   */
  json<T = unknown>(): T {
    return jsonOf(this.bytes) as T;
  }
}

export function textOf(bytes: Buffer): string {
  const start = bytes.length >= 3 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  return bytes.toString('utf8', start);
}

export function jsonOf(bytes: Buffer): unknown {
  return bytes.length === 0 ? undefined : JSON.parse(textOf(bytes));
}

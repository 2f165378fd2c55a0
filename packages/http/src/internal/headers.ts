/** Headers as a caller gives them: any case; `undefined` leaves one out, also a default. */
export type HeaderInput = Readonly<Record<string, string | number | readonly string[] | undefined>>;

// They say where a message ends and what becomes of the connection. Two opinions on that are how
// requests are smuggled, so only the connection itself writes them; the host comes from the URL.
const REFUSED = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// Field values: visible characters, blanks, and bytes above ASCII; never a line break or NUL.
const BAD_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** Whether a header can carry it. */
export function isHeaderValue(value: string): boolean {
  return !BAD_VALUE.test(value);
}

/** Lower-case names to values; what a caller's headers are laid over. */
export type HeaderMap = ReadonlyMap<string, string | readonly string[]>;

/**
 * Lays headers over others: names are folded to lower case, so that no name comes twice.
 *
 * @throws TypeError naming the header, when its name or value is not allowed.
 */
export function mergeHeaders(owner: string, base: HeaderMap, given: HeaderInput | undefined): HeaderMap {
  if (given === undefined) return base;
  // What iterates (Headers, a Map, a list of pairs) has no names of its own: nothing would be sent, unnoticed.
  if (typeof given !== 'object' || given === null || Symbol.iterator in given) {
    throw new TypeError(`${owner}: headers must be an object of names to values`);
  }
  const merged = new Map(base);
  for (const key of Object.keys(given)) {
    const name = key.toLowerCase();
    const value = given[key];
    if (value === undefined) {
      merged.delete(name);
      continue;
    }
    if (!TOKEN.test(name)) throw new TypeError(`${owner}: ${JSON.stringify(key)} is not a header name`);
    if (REFUSED.has(name)) {
      throw new TypeError(`${owner}: the header '${name}' is written by the connection and can't be given`);
    }
    const isPlain = typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value));
    if (!isPlain && !Array.isArray(value)) {
      throw new TypeError(`${owner}: the header '${name}' must be a string, a number or a list of strings`);
    }
    const values = Array.isArray(value) ? (value as readonly string[]) : [String(value)];
    for (const one of values) {
      if (typeof one !== 'string' || BAD_VALUE.test(one)) {
        throw new TypeError(`${owner}: the header '${name}' holds a character that is not allowed`);
      }
    }
    merged.set(name, Array.isArray(value) ? values : values[0]!);
  }
  return merged;
}

/** A header's first value, of a list of name, value, name, value …; `undefined` when it is not there. */
export function headerOf(headers: readonly string[], name: string): string | undefined {
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] === name) return headers[index + 1];
  }
  return undefined;
}

/** Name, value, name, value …, as they go on the wire. */
export function flattenHeaders(headers: HeaderMap): string[] {
  const flat: string[] = [];
  for (const [name, value] of headers) {
    if (typeof value === 'string') flat.push(name, value);
    else for (const one of value) flat.push(name, one);
  }
  return flat;
}

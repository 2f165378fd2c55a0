import type { HttpQuery } from '../request.ts';

// What `new URL` would change: characters to escape, a fragment, a backslash, dot segments (also escaped).
const NEEDS_PARSING = /[^\x21-\x7e]|[#\\"<>`{}^|]|\/(?:\.|%2e){1,2}(?:[/?]|$)/i;

/** The path as it would be after parsing; `base` ends without a slash, `relative` begins with one. */
export function joinPath(base: string, relative: string): string {
  const path = base + relative;
  if (!NEEDS_PARSING.test(path)) return path;
  const parsed = new URL(`http://base${path}`);
  // Dot segments must not lead out of the base.
  if (base !== '' && parsed.pathname !== base && !parsed.pathname.startsWith(`${base}/`)) {
    throw new TypeError(`the URL '${relative.split('?')[0]}' leads out of the base URL's path`);
  }
  return parsed.pathname + parsed.search;
}

/** Whether a URL names its origin itself. */
export function isAbsolute(url: string): boolean {
  return url.startsWith('http://') || url.startsWith('https://') || /^[a-z][a-z0-9+.-]*:/i.test(url);
}

/** Checks a URL that names its origin. @throws TypeError when it is not http or https. */
export function parseAbsolute(owner: string, url: string | URL): URL {
  let parsed: URL;
  try {
    parsed = url instanceof URL ? url : new URL(url);
  } catch {
    throw new TypeError(`${owner}: '${redactUrl(String(url))}' is not a URL`);
  }
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') {
    throw new TypeError(`${owner}: a URL must begin with http: or https:, got ${parsed.protocol}`);
  }
  if (parsed.username !== '' || parsed.password !== '') {
    throw new TypeError(`${owner}: a URL must not hold credentials; give an authorization header`);
  }
  return parsed;
}

/** Appends a query to a path that may have one already. */
export function appendQuery(path: string, query: HttpQuery): string {
  const parameters = query instanceof URLSearchParams ? query : new URLSearchParams();
  if (parameters !== query) {
    for (const [name, value] of Object.entries(query)) {
      if (value === undefined) continue;
      if (Array.isArray(value)) for (const one of value) parameters.append(name, String(one));
      else parameters.append(name, String(value));
    }
  }
  const text = parameters.toString();
  if (text === '') return path;
  return path + (path.includes('?') ? '&' : '?') + text;
}

/** An origin and path for people to read: without user, password, query and fragment. */
export function redactUrl(url: string): string {
  const end = url.search(/[?#]/);
  const bare = end === -1 ? url : url.slice(0, end);
  return bare.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, '$1');
}

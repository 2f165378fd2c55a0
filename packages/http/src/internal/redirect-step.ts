import type { ResolvedHttpRedirectOptions } from '../redirect.ts';
import type { WireBody } from './exchange.ts';

/** What goes over the wire, as far as a redirect may change it. */
export interface RedirectedRequest {
  readonly url: URL;
  readonly method: string;
  readonly headers: string[];
  readonly body: WireBody;
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export function isRedirect(status: number): boolean {
  return REDIRECTS.has(status);
}

/** A request that was redirected. */
export interface RedirectingRequest extends RedirectedRequest {
  readonly isReplayable: boolean;
}

/**
 * The request that a redirect asks for, or why it must not be made.
 *
 * 303, and 301 or 302 of a POST, become a GET without a body (RFC 9110, 15.4). To another origin
 * go only headers that are allowed by name, so that no credential, whatever its name, leaves.
 */
export function followRedirect(
  from: RedirectingRequest,
  status: number,
  location: string | string[] | undefined,
  options: ResolvedHttpRedirectOptions,
): RedirectedRequest | string {
  if (typeof location !== 'string') return 'the redirect has no single location';
  let url: URL;
  try {
    url = new URL(location, from.url);
  } catch {
    return 'the location is not a URL';
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return `the location is ${url.protocol}`;
  if (from.url.protocol === 'https:' && url.protocol === 'http:') return 'it leads from https to http';
  if (url.username !== '' || url.password !== '') return 'the location holds credentials';
  const becomesGet =
    (status === 303 && from.method !== 'HEAD') ||
    ((status === 301 || status === 302) && from.method === 'POST');
  if (!becomesGet && from.body !== null && !from.isReplayable) return 'its body can be sent only once';
  const sameOrigin = url.origin === from.url.origin;
  const headers: string[] = [];
  for (let index = 0; index < from.headers.length; index += 2) {
    const name = from.headers[index]!;
    if (becomesGet && name.startsWith('content-')) continue;
    if (sameOrigin || options.forwardHeaders.has(name)) headers.push(name, from.headers[index + 1]!);
  }
  return {
    url,
    method: becomesGet ? 'GET' : from.method,
    headers,
    body: becomesGet ? null : from.body,
  };
}

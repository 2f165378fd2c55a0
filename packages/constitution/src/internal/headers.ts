/** Carries the short hash, both ways. */
export const HASH_HEADER = 'x-constitutional-hash';
/** Carries the whole fingerprint, both ways. */
export const FINGERPRINT_HEADER = 'constitution-fingerprint';
/** On a response that was let through in mode `warn`: the check's result. */
export const WARNING_HEADER = 'constitution-warning';

/**
 * Headers as Node, undici, Fastify and fetch have them: an object with lower-case names, `Headers`, or a flat
 * list of names and values (`rawHeaders`).
 */
export type HeaderSource =
  | Readonly<Record<string, unknown>>
  | { get(name: string): string | null }
  | readonly unknown[]
  | undefined
  | null;

/** A header's value in anything but a plain object; repeated ones come as an array, which no check accepts. */
export function headerIn(source: HeaderSource, name: string): unknown {
  if (typeof source !== 'object' || source === null) return undefined;
  if (Array.isArray(source)) {
    const found: unknown[] = [];
    for (let index = 0; index + 1 < source.length; index += 2) {
      if (String(source[index]).toLowerCase() === name) found.push(source[index + 1]);
    }
    return found.length > 1 ? found : found[0];
  }
  if (isHeaders(source)) return source.get(name) ?? undefined;
  return Object.hasOwn(source, name) ? (source as Readonly<Record<string, unknown>>)[name] : undefined;
}

function isHeaders(source: object): source is { get(name: string): string | null } {
  // A plain object may have a header of the name "get", which is never a function.
  return typeof (source as { get?: unknown }).get === 'function' && !Object.hasOwn(source, 'get');
}

/** Sets a header, whatever case it has there already. */
export function putHeader(target: object, name: string, value: string): void {
  const { setHeader, set } = target as { setHeader?: unknown; set?: unknown };
  if (typeof setHeader === 'function') setHeader.call(target, name, value);
  else if (typeof set === 'function') set.call(target, name, value);
  else {
    const headers = target as Record<string, unknown>;
    for (const key of Object.keys(headers)) {
      if (key.length === name.length && key !== name && key.toLowerCase() === name) delete headers[key];
    }
    headers[name] = value;
  }
}

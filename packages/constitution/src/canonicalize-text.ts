import { describe } from '@hotpath/core';
import { canonicalize } from './canonicalize.ts';
import { CanonicalJsonError } from './errors.ts';
import { duplicateKey } from './internal/duplicate-key.ts';

/**
 * The canonical form (RFC 8785) of a JSON text.
 *
 * Stricter than `JSON.parse`: a key that stands twice in one object is refused, since parsers
 * disagree on which one counts. Bytes must be UTF-8 without a byte order mark.
 *
 * @example
 * canonicalizeText('{ "b": 1.0, "a": "\\u20ac" }'); // '{"a":"€","b":1}'
 *
 * @throws CanonicalJsonError (HOTPATH_CANONICAL_JSON) when it is no JSON text, repeats a key, or
 * holds what can't be carried: a lone surrogate, a number beyond the range of a double.
 * @throws TypeError when it is neither text nor bytes.
 */
export function canonicalizeText(json: string | Uint8Array): string {
  if (typeof json !== 'string' && !(json instanceof Uint8Array)) {
    throw new TypeError(`canonicalizeText: the JSON must be a text or bytes, got ${describe(json)}`);
  }
  const text = typeof json === 'string' ? json : decode(json);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CanonicalJsonError('$', 'is not a JSON text', { cause });
  }
  const repeated = duplicateKey(text);
  if (repeated !== undefined) {
    const { key, offset } = repeated;
    const line = text.slice(0, offset).split('\n').length;
    throw new CanonicalJsonError(
      '$',
      `has the key ${JSON.stringify(key)} twice in one object (line ${line})`,
    );
  }
  return canonicalize(value);
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CanonicalJsonError('$', 'is not UTF-8', { cause });
  }
}

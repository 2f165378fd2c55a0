import { hash } from 'node:crypto';

/**
 * The value of the header `Content-Digest` or `Repr-Digest` for a body, by SHA-256 (RFC 9530).
 *
 * @example
 * contentDigest('{"hello": "world"}'); // 'sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:'
 */
export function contentDigest(body: string | Uint8Array): string {
  return `sha-256=:${hash('sha256', body, 'base64')}:`;
}

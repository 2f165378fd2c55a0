import { hash } from 'node:crypto';
import { describe, optionReader } from '@hotpath/core';
import { canonicalize } from './canonicalize.ts';
import { canonicalizeText } from './canonicalize-text.ts';
import { DocumentError } from './errors.ts';

/**
 * How a document becomes the bytes that are hashed.
 *
 * - `raw`: the bytes as they are.
 * - `text-v1`: UTF-8 without byte order mark, Unicode NFC, LF line ends, no spaces or tabs at line ends, one final newline.
 * - `jcs-v1`: canonical JSON (RFC 8785).
 */
export type FingerprintProfile = 'raw' | 'text-v1' | 'jcs-v1';

export const FINGERPRINT_PROFILES: readonly FingerprintProfile[] = Object.freeze([
  'raw',
  'text-v1',
  'jcs-v1',
]);

/** What {@link fingerprint} takes besides the document. */
export interface FingerprintOptions {
  /** Default `raw`. */
  readonly profile?: FingerprintProfile | undefined;
}

/** The SHA-256 of a document under a profile. */
export class Fingerprint {
  readonly profile: FingerprintProfile;
  /** 64 lower-case hex digits. */
  readonly digest: string;
  /**
   * The first 16 hex digits: an identifier, not proof. Whoever may choose documents can make two that
   * share it with about 2^32 tries; what must be certain compares the whole.
   */
  readonly short: string;

  /** @internal */
  constructor(profile: FingerprintProfile, digest: string) {
    this.profile = profile;
    this.digest = digest;
    this.short = digest.slice(0, 16);
  }

  /** `sha256:<profile>:<64 hex>`, which is also its form in JSON. */
  toString(): string {
    return `sha256:${this.profile}:${this.digest}`;
  }

  toJSON(): string {
    return this.toString();
  }
}

/**
 * The fingerprint of a document.
 *
 * Text is hashed as UTF-8. For `jcs-v1` a string or bytes are JSON text, and anything else is the JSON value itself.
 *
 * @example
 * fingerprint('abc').short; // 'ba7816bf8f01cfea'
 *
 * @throws CanonicalJsonError (HOTPATH_CANONICAL_JSON) when the profile is `jcs-v1` and the document has no canonical form.
 * @throws DocumentError (HOTPATH_CONSTITUTION_DOCUMENT) when a text is not UTF-8 or has lone surrogates.
 * @throws TypeError when an option is wrong, or the profile needs text or bytes and the document is neither.
 */
export function fingerprint(document: unknown, options?: FingerprintOptions): Fingerprint {
  const profile = options === undefined ? 'raw' : resolveProfile(options);
  return new Fingerprint(profile, hash('sha256', contentUnder(profile, document), 'hex'));
}

function resolveProfile(options: FingerprintOptions): FingerprintProfile {
  const { profile } = options;
  // The reader's checks cost more than hashing a small document.
  if (profile === 'jcs-v1' || profile === 'raw' || profile === 'text-v1') return profile;
  const read = optionReader('fingerprint', options);
  const resolved = read.oneOf('profile', FINGERPRINT_PROFILES, 'raw' as const);
  read.end();
  return resolved;
}

function contentUnder(profile: FingerprintProfile, document: unknown): string | Uint8Array {
  if (profile === 'jcs-v1') {
    return typeof document === 'string' || document instanceof Uint8Array
      ? canonicalizeText(document)
      : canonicalize(document);
  }
  if (typeof document === 'string') {
    if (!document.isWellFormed()) {
      throw new DocumentError('HOTPATH_CONSTITUTION_DOCUMENT', 'the document holds a lone surrogate');
    }
    return profile === 'raw' ? document : plainText(document);
  }
  if (document instanceof Uint8Array) return profile === 'raw' ? document : plainText(decode(document));
  throw new TypeError(
    `fingerprint: profile '${profile}' needs a document of text or bytes, got ${describe(document)}`,
  );
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new DocumentError('HOTPATH_CONSTITUTION_DOCUMENT', 'the document is not UTF-8', { cause });
  }
}

/** The form that `text-v1` hashes: what editors and version control change without meaning to is taken out. */
export function plainText(text: string): string {
  const lines = text
    .replace(/^\ufeff/, '')
    .normalize('NFC')
    .split(/\r\n|\r|\n/);
  // A pattern anchored at the end would try every run of inner spaces again from each of its places.
  const trimmed = lines.map(withoutTrailingSpace);
  while (trimmed.at(-1) === '') trimmed.pop();
  return `${trimmed.join('\n')}\n`;
}

function withoutTrailingSpace(line: string): string {
  let end = line.length;
  while (end > 0 && (line[end - 1] === ' ' || line[end - 1] === '\t')) end--;
  return line.slice(0, end);
}

const FINGERPRINT = /^sha256:(raw|text-v1|jcs-v1):([0-9a-f]{64})$/;

/**
 * Reads the text form of a fingerprint, strictly: lower case, no spaces, a known profile.
 *
 * @throws DocumentError (HOTPATH_CONSTITUTION_FINGERPRINT) when it is anything else.
 */
export function parseFingerprint(text: string): Fingerprint {
  const match = typeof text === 'string' ? FINGERPRINT.exec(text) : null;
  if (match === null) {
    throw new DocumentError(
      'HOTPATH_CONSTITUTION_FINGERPRINT',
      `a fingerprint is sha256:<profile>:<64 lower-case hex digits>, got ${describe(text)}`,
    );
  }
  return new Fingerprint(match[1] as FingerprintProfile, match[2] as string);
}

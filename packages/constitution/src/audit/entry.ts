import { describe } from '@hotpath/core';
import { canonicalize } from '../canonicalize.ts';
import { leafHash } from './merkle.ts';

/** What an entry says. */
export interface AuditEntry {
  /** Who acted: a user, a service, a session. Not empty. */
  readonly who: string;
  /** What it was about: an operation and its object. Not empty. */
  readonly what: string;
  /** What was decided: `allow`, `deny`, … Not empty. */
  readonly decision: string;
  /** The fingerprint it was decided under. Default: the active one of the log's constitution. */
  readonly fingerprint?: string;
  /** Anything else that JSON can carry unchanged. */
  readonly details?: unknown;
}

/** An entry as it is kept, and hashed as canonical JSON. */
export interface StoredEntry extends AuditEntry {
  /** Its place in the log, from 0. */
  readonly index: number;
  /** ISO 8601. */
  readonly time: string;
}

/** The canonical JSON text of an entry. */
export function entryText(
  { who, what, decision, fingerprint, details }: AuditEntry,
  index: number,
  time: string,
  activeFingerprint: string | undefined,
): string {
  requireText('who', who);
  requireText('what', what);
  requireText('decision', decision);
  const under = fingerprint ?? activeFingerprint;
  if (under === undefined) {
    throw new TypeError('append: the entry needs a fingerprint, because the log has no constitution');
  }
  requireText('fingerprint', under);
  // The keys stand here as canonical JSON sorts them.
  return `{"decision":${quoted(decision)},${details === undefined ? '' : `"details":${canonicalDetails(details)},`}"fingerprint":${quoted(under)},"index":${index},"time":"${time}","what":${quoted(what)},"who":${quoted(who)}}`;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must be escaped.
const NEEDS_CARE = /[\u0000-\u001f"\\\ud800-\udfff]/;

function quoted(text: string): string {
  return NEEDS_CARE.test(text) ? canonicalize(text) : `"${text}"`;
}

/** Canonicalised within an object, so that an error names the place as the caller knows it. */
function canonicalDetails(details: unknown): string {
  return canonicalize({ details }).slice('{"details":'.length, -1);
}

function requireText(name: string, value: unknown): void {
  if (typeof value !== 'string' || value === '') {
    throw new TypeError(
      `append: the entry's '${name}' must be a text that is not empty, got ${describe(value)}`,
    );
  }
}

/** The leaf hash (hex) of a stored entry, for comparing with a proof's `leaf`. */
export function leafHashOf(entry: StoredEntry): string {
  return leafHash(canonicalize(entry));
}

/** A stored line taken apart. */
export interface ParsedLine {
  /** Its hash, in hex. */
  readonly leaf: string;
  readonly text: string;
  readonly index: number;
}

const LEAF_DIGITS = 64;

/** A stored line, when it is whole and its entry is the one that its leaf hash was made of. */
export function parseLine(line: string): ParsedLine | undefined {
  const text = line.slice(LEAF_DIGITS + 1);
  const leaf = leafHash(text);
  if (line[LEAF_DIGITS] !== ' ' || line.slice(0, LEAF_DIGITS) !== leaf) return undefined;
  const index = indexOf(text);
  return index === undefined ? undefined : { leaf, text, index };
}

/** The index that an entry's text claims; `undefined` when it has none. */
export function indexOf(text: string): number | undefined {
  try {
    const { index } = JSON.parse(text) as { readonly index?: unknown };
    return Number.isSafeInteger(index) && (index as number) >= 0 ? (index as number) : undefined;
  } catch {
    return undefined;
  }
}

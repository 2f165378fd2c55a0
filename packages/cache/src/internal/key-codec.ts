import { createHash } from 'node:crypto';
import { describe } from '@hotpath/core';

/** A key within one region: a string or number argument as it is, or an encoding that starts with NUL. */
export type LocalKey = string | number;

/** Encodings start with this, and so does no string that stands for itself. */
const ENCODED = '\0';
const ENCODED_CODE = 0;
const NO_PARENTS: readonly object[] = Object.freeze([]);
/** Longer keys are replaced by their SHA-256 and their beginning: Redis and the memory of millions of keys are spared. */
const LONGEST_KEY = 512;
const DIGEST_LENGTH = 43;
/** How much of a longer key is kept, for prefixes to be compared with. */
export const LONGEST_PREFIX = 256;

/**
 * The key of a call with these arguments: equal arguments give equal keys, different ones different keys.
 *
 * One string or number is its own key (`42` and `'42'` differ); everything else is encoded with a tag
 * for its type and a length, so that nothing can run into its neighbour. The order of an object's keys,
 * of a Map's entries and of a Set's members does not matter. Cost: O(size of the arguments).
 *
 * @throws TypeError when an argument is or holds a function, a symbol, a cycle or an instance of a class.
 */
export function keyOfArguments(args: readonly unknown[], owner: string): LocalKey {
  if (args.length === 1) return keyOfValue(args[0], owner);
  let text = `${ENCODED}${args.length}|`;
  for (let index = 0; index < args.length; index++) text += encode(args[index], owner, index, undefined);
  return shortened(text);
}

function keyOfValue(value: unknown, owner: string): LocalKey {
  if (typeof value === 'number') return value === 0 ? 0 : value;
  if (typeof value === 'string') return keyOfString(value);
  return shortened(`${ENCODED}1|${encode(value, owner, 0, undefined)}`);
}

/** The key of a string: itself, unless it is very long or could be taken for an encoding. */
export function keyOfString(value: string): string {
  if (value.length > LONGEST_KEY || value.charCodeAt(0) === ENCODED_CODE) {
    return shortened(`${ENCODED}s${value}`, value);
  }
  return value;
}

/** The part of a Redis key that stands for a local key; {@link parseSharedKey} reads it back. */
export function sharedKey(key: LocalKey): string {
  if (typeof key === 'number') return `n${key}`;
  // UTF-8 has no place for half a surrogate pair: left as it is, all of them would become one key.
  if (!key.isWellFormed()) return `x${Buffer.from(key, 'utf16le').toString('base64url')}`;
  return key.charCodeAt(0) === ENCODED_CODE ? `e${key.slice(1)}` : `s${key}`;
}

/** The local key that a shared one stands for; `undefined` when it is none of ours. */
export function parseSharedKey(text: string): LocalKey | undefined {
  switch (text[0]) {
    case 'n':
      return Number(text.slice(1));
    case 's':
      return text.slice(1);
    case 'x':
      return Buffer.from(text.slice(1), 'base64url').toString('utf16le');
    case 'e':
      return `${ENCODED}${text.slice(1)}`;
    default:
      return undefined;
  }
}

/** A local key in the form that prefixes are compared with: the string itself, or at least its beginning. */
export function readableKey(key: LocalKey): string {
  if (typeof key === 'number' || key.charCodeAt(0) !== ENCODED_CODE) return String(key);
  switch (key[1]) {
    case 's':
      return key.slice(2);
    case 'h':
      return key.slice(2 + DIGEST_LENGTH);
    default:
      return key.slice(1);
  }
}

/** `text` as a key of bounded length, which still begins as what is `readable` of it. */
function shortened(text: string, readable = text.slice(1)): string {
  if (text.length <= LONGEST_KEY) return text;
  const digest = createHash('sha256').update(text, 'utf16le').digest('base64url');
  return `${ENCODED}h${digest}${readable.slice(0, LONGEST_PREFIX)}`;
}

function encode(
  value: unknown,
  owner: string,
  index: number,
  parents: readonly object[] | undefined,
): string {
  switch (typeof value) {
    case 'string':
      return `s${value.length}:${value}`;
    case 'number':
      return `n${value === 0 ? 0 : value},`;
    case 'boolean':
      return value ? 't' : 'f';
    case 'undefined':
      return 'u';
    case 'bigint':
      return `i${value},`;
    case 'object':
      return value === null ? 'z' : encodeObject(value, owner, index, parents ?? NO_PARENTS);
    default:
      throw refusal(owner, index, describe(value));
  }
}

function encodeObject(value: object, owner: string, index: number, parents: readonly object[]): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) {
    if (parents.includes(value)) throw refusal(owner, index, 'a cycle');
    return encodeFields(value as Record<string, unknown>, owner, index, parents);
  }
  if (value instanceof Date) return `d${value.getTime()},`;
  if (ArrayBuffer.isView(value)) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
    const name = Buffer.isBuffer(value) ? 'Uint8Array' : value.constructor.name;
    return `b${name}${bytes.length}:${bytes}`;
  }
  if (value instanceof ArrayBuffer) {
    const bytes = Buffer.from(value).toString('latin1');
    return `bArrayBuffer${bytes.length}:${bytes}`;
  }
  if (parents.includes(value)) throw refusal(owner, index, 'a cycle');
  const inner = [...parents, value];
  if (Array.isArray(value)) {
    let text = `a${value.length}[`;
    for (const item of value) text += encode(item, owner, index, inner);
    return `${text}]`;
  }
  if (value instanceof Map) {
    const parts = [...value].map(([key, item]) => {
      return encode(key, owner, index, inner) + encode(item, owner, index, inner);
    });
    return `m${parts.length}(${parts.sort().join('')})`;
  }
  if (value instanceof Set) {
    const parts = [...value].map((item) => encode(item, owner, index, inner));
    return `S${parts.length}(${parts.sort().join('')})`;
  }
  const name: unknown = value.constructor?.name;
  throw refusal(owner, index, `an instance of ${typeof name === 'string' ? name : 'a class'}`);
}

function encodeFields(
  value: Record<string, unknown>,
  owner: string,
  index: number,
  parents: readonly object[],
): string {
  let inner: readonly object[] | undefined;
  let text = '{';
  let last = '';
  // Most objects are written with their keys in order already; only others are worth sorting.
  for (const name in value) {
    if (name <= last && text !== '{') return encodeSorted(value, owner, index, parents);
    last = name;
    const field = value[name];
    text += `${name.length}:${name}`;
    if (typeof field === 'string') text += `s${field.length}:${field}`;
    else if (typeof field === 'number') text += `n${field === 0 ? 0 : field},`;
    else {
      if (typeof field === 'object' && field !== null) inner ??= [...parents, value];
      text += encode(field, owner, index, inner);
    }
  }
  return `${text}}`;
}

function encodeSorted(
  value: Record<string, unknown>,
  owner: string,
  index: number,
  parents: readonly object[],
): string {
  const inner = [...parents, value];
  let text = '{';
  for (const name of Object.keys(value).sort()) {
    text += `${name.length}:${name}${encode(value[name], owner, index, inner)}`;
  }
  return `${text}}`;
}

function refusal(owner: string, index: number, what: string): TypeError {
  return new TypeError(
    `${owner}: argument ${index + 1} holds ${what}, which can't be part of a key; give the option 'key'`,
  );
}

import { describe, type OptionReader } from '@hotpath/core';
import { LONGEST_PREFIX } from './key-codec.ts';

const NO_TAGS: readonly string[] = Object.freeze([]);

/** @throws TypeError when `key` is not a string; the message begins with `owner`, as all of these do. */
export function checkKey(owner: string, key: unknown): string {
  if (typeof key !== 'string') throw new TypeError(`${owner}: a key must be a string, got ${describe(key)}`);
  return key;
}

/** @throws TypeError when `keys` is not a list of strings: a single string is one key, not its letters. */
export function checkKeys(owner: string, keys: unknown): readonly string[] {
  if (!Array.isArray(keys)) {
    throw new TypeError(`${owner}: the keys must be an array of strings, got ${describe(keys)}`);
  }
  for (const key of keys) checkKey(owner, key);
  return keys;
}

/** @throws TypeError when `items` can't be walked through, or is a string, whose letters nobody means. */
export function checkItems(owner: string, name: string, items: unknown): void {
  const isIterable = typeof items === 'object' && items !== null && Symbol.iterator in items;
  if (!isIterable) throw new TypeError(`${owner}: ${name} must be iterable, got ${describe(items)}`);
}

/** @throws TypeError when `args` is not an array, as the arguments of one call must be. */
export function checkArguments<Args extends readonly unknown[]>(owner: string, args: Args): Args {
  if (!Array.isArray(args)) {
    throw new TypeError(`${owner}: a call's arguments must be an array, got ${describe(args)}`);
  }
  return args;
}

/** @throws TypeError when `entries` is not a list of pairs. */
export function checkPairs(owner: string, entries: unknown): readonly (readonly [unknown, unknown])[] {
  const isList = typeof entries === 'object' && entries !== null && Symbol.iterator in entries;
  const list: unknown[] = isList ? [...(entries as Iterable<unknown>)] : [entries];
  const wrong = isList ? list.findIndex((pair) => !Array.isArray(pair)) : 0;
  if (wrong === -1) return list as (readonly [unknown, unknown])[];
  throw new TypeError(`${owner}: the entries must be pairs of key and value, got ${describe(list[wrong])}`);
}

/**
 * The tags, in the form in which they are compared: Redis keeps no halves of surrogate pairs apart.
 *
 * @throws TypeError when `tags` is neither absent nor a list of strings; RangeError when one holds NUL.
 */
export function checkTags(owner: string, tags: unknown): readonly string[] {
  if (tags === undefined) return NO_TAGS;
  const wrong = Array.isArray(tags) ? tags.findIndex((tag) => typeof tag !== 'string') : 0;
  if (wrong !== -1) {
    const what = Array.isArray(tags) ? `${describe(tags[wrong])} among them` : describe(tags);
    throw new TypeError(`${owner}: 'tags' must be an array of strings, got ${what}`);
  }
  const list = tags as readonly string[];
  const split = list.find((tag) => tag.includes('\0'));
  if (split !== undefined)
    throw new RangeError(`${owner}: a tag must be without NUL, got ${describe(split)}`);
  return list.every((tag) => tag.isWellFormed()) ? list : list.map((tag) => tag.toWellFormed());
}

/** @throws TypeError when `prefix` is not a string; RangeError when no key could be told by it. */
export function checkPrefix(owner: string, prefix: unknown): string {
  if (typeof prefix !== 'string') {
    throw new TypeError(`${owner}: the prefix must be a string, got ${describe(prefix)}`);
  }
  if (prefix.length > LONGEST_PREFIX) {
    throw new RangeError(
      `${owner}: the prefix must have at most ${LONGEST_PREFIX} characters, got ${prefix.length}`,
    );
  }
  if (!prefix.isWellFormed()) {
    throw new RangeError(`${owner}: the prefix must be well-formed Unicode, got ${describe(prefix)}`);
  }
  return prefix;
}

/** @throws TypeError when `ttlMs` is not a number; RangeError when it is negative or infinite. */
export function checkTtl(owner: string, ttlMs: unknown): void {
  if (typeof ttlMs !== 'number' || Number.isNaN(ttlMs)) {
    throw new TypeError(`${owner}: ttlMs must be a number, got ${describe(ttlMs)}`);
  }
  if (ttlMs < 0) throw new RangeError(`${owner}: ttlMs must be at least 0, got ${ttlMs}`);
  if (ttlMs > Number.MAX_SAFE_INTEGER) throw new RangeError(`${owner}: ttlMs must be finite, got ${ttlMs}`);
}

/** @throws TypeError when `value`, called `name`, is not a function. */
export function checkFunction(owner: string, name: string, value: unknown): void {
  if (typeof value !== 'function') {
    throw new TypeError(`${owner}: ${name} must be a function, got ${describe(value)}`);
  }
}

/** Reads the option `signal`. @throws TypeError when it is not an AbortSignal. */
export function readSignal(read: OptionReader): AbortSignal | undefined {
  return read.object<AbortSignal | undefined>('signal', undefined, [
    'addEventListener',
    'removeEventListener',
  ]);
}

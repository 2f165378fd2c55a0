import { describe } from '@hotpath/core';

/** @throws TypeError when `key` is not a string; the message begins with `owner`. */
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

/** @throws TypeError when `entries` is not a list of pairs. */
export function checkPairs(owner: string, entries: unknown): readonly (readonly [unknown, unknown])[] {
  const isList = typeof entries === 'object' && entries !== null && Symbol.iterator in entries;
  const list: unknown[] = isList ? [...(entries as Iterable<unknown>)] : [entries];
  const wrong = isList ? list.findIndex((pair) => !Array.isArray(pair)) : 0;
  if (wrong === -1) return list as (readonly [unknown, unknown])[];
  throw new TypeError(`${owner}: the entries must be pairs of key and value, got ${describe(list[wrong])}`);
}

/** @throws TypeError when `tags` is neither absent nor a list of strings. */
export function checkTags(owner: string, tags: unknown): readonly string[] {
  if (tags === undefined) return NO_TAGS;
  const wrong = Array.isArray(tags) ? tags.findIndex((tag) => typeof tag !== 'string') : 0;
  if (wrong === -1) return tags as readonly string[];
  const what = Array.isArray(tags) ? `${describe(tags[wrong])} among them` : describe(tags);
  throw new TypeError(`${owner}: 'tags' must be an array of strings, got ${what}`);
}

/** @throws TypeError when `ttlMs` is not a number; RangeError when it is negative or infinite. */
export function checkTtl(owner: string, ttlMs: unknown): void {
  if (typeof ttlMs !== 'number' || Number.isNaN(ttlMs)) {
    throw new TypeError(`${owner}: ttlMs must be a number, got ${describe(ttlMs)}`);
  }
  if (ttlMs < 0) throw new RangeError(`${owner}: ttlMs must be at least 0, got ${ttlMs}`);
  if (ttlMs > Number.MAX_SAFE_INTEGER) throw new RangeError(`${owner}: ttlMs must be finite, got ${ttlMs}`);
}

/** @throws TypeError when `factory` is not a function. */
export function checkFactory(owner: string, factory: unknown): void {
  if (typeof factory !== 'function') {
    throw new TypeError(`${owner}: the factory must be a function, got ${describe(factory)}`);
  }
}

const NO_TAGS: readonly string[] = Object.freeze([]);

import { type LocalKey, parseSharedKey, readableKey } from './key-codec.ts';

/** What the keys of a region start with in Redis: the wrapped functions have names, the keyed values none. */
export function sharedPrefix(name: string): string {
  return name === '' ? 'k:' : `w:${name}:`;
}

/** What its keys start with for people, and for prefixes. */
export function readablePrefix(name: string): string {
  return name === '' ? '' : `${name}:`;
}

/** The region and the key in it that a key in Redis stands for; `undefined` where it is none of ours. */
export function splitSharedKey(
  shared: string,
): { readonly name: string; readonly key: LocalKey } | undefined {
  const isNamed = shared.startsWith('w:');
  const nameEnd = isNamed ? shared.indexOf(':', 2) : 1;
  const key = parseSharedKey(shared.slice(nameEnd + 1));
  return key === undefined ? undefined : { name: isNamed ? shared.slice(2, nameEnd) : '', key };
}

/** A key in Redis as people, and prefixes, know it. */
export function readableOfShared(shared: string): string {
  const split = splitSharedKey(shared);
  return split === undefined ? shared : readablePrefix(split.name) + readableKey(split.key);
}

import { sortKeys } from './sort-keys.ts';

// 128 lists of keys at most, and with them at most 128 × 512 characters.
const SETS = 32;
const PLACES_IN_SET = 4;
const MOST_KEYS = 24;
const MOST_CHARACTERS = 512;

const NO_KEYS: readonly string[] = Object.freeze([]);

/** Lists of keys as objects gave them; the list at a place may stand nowhere else but in the same set. */
const given: (readonly string[])[] = new Array(SETS * PLACES_IN_SET).fill(NO_KEYS);
/** What {@link assignableOrder} found for them. */
const ordered: (readonly string[] | undefined)[] = new Array(SETS * PLACES_IN_SET).fill(undefined);
let evicted = 0;

/**
 * An object's own enumerable string keys by UTF-16 code units, as a copy has to be given them to keep them so;
 * `undefined` when it would not: integers come first whenever they are added, `__proto__` is no member.
 *
 * Remembers what it found for the keys of the last objects, since most documents repeat a few lists of keys:
 * comparing a list with one that is known takes a third of the time of sorting it.
 */
export function assignableOrder(object: object): readonly string[] | undefined {
  const keys = Object.keys(object);
  const count = keys.length;
  if (count < 2 || count > MOST_KEYS) return areKept(sortKeys(keys)) ? keys : undefined;
  const hash = (keys[0] as string).length * 5 + (keys[count - 1] as string).length + count * 3;
  const first = (hash % SETS) * PLACES_IN_SET;
  for (let place = first; place < first + PLACES_IN_SET; place++) {
    if (areEqual(given[place] as readonly string[], keys)) return ordered[place];
  }
  return remember(keys, first + (evicted++ % PLACES_IN_SET));
}

function remember(keys: readonly string[], place: number): readonly string[] | undefined {
  const sorted = sortKeys(keys.slice());
  const order = areKept(sorted) ? sorted : undefined;
  let characters = 0;
  for (let index = 0; index < keys.length; index++) characters += (keys[index] as string).length;
  if (characters <= MOST_CHARACTERS) {
    given[place] = keys;
    ordered[place] = order;
  }
  return order;
}

function areEqual(a: readonly string[], b: readonly string[]): boolean {
  const count = a.length;
  if (count !== b.length) return false;
  for (let index = 0; index < count; index++) if (a[index] !== b[index]) return false;
  return true;
}

const DIGIT_0 = 48;
const DIGIT_9 = 57;
const UNDERSCORE = 95;

function areKept(keys: readonly string[]): boolean {
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as string;
    const first = key.charCodeAt(0);
    if ((first <= DIGIT_9 && first >= DIGIT_0) || (first === UNDERSCORE && key === '__proto__')) return false;
  }
  return true;
}

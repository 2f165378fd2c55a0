import { canonicalizeCarefully } from './internal/canonical-walk.ts';
import { sortedKeys } from './internal/sorted-keys.ts';

// Deeper values, and cycles with them, take the walk that needs no call stack.
const QUICK_DEPTH = 64;

/** Stands for a value that the quick way leaves to the careful one. */
const DECLINED = Symbol('declined');

/**
 * The canonical JSON text of a value, as RFC 8785 (JCS) defines it.
 *
 * Equal data gives equal text on every machine: keys sorted by UTF-16 code units, numbers and strings
 * as ECMAScript writes them, no white space. What an object's `toJSON` gives stands for it, as for
 * `JSON.stringify`; one that is inherited counts only for instances of classes. Takes any depth;
 * a reference that is shared is written out each time.
 *
 * Cost: about twice that of `JSON.stringify`.
 *
 * @example
 * canonicalize({ b: 1, a: [2e21, -0] }); // '{"a":[2e+21,0],"b":1}'
 *
 * @throws CanonicalJsonError (HOTPATH_CANONICAL_JSON) naming the place, for what JSON can't carry
 * unchanged: lone surrogates, `NaN` and infinities, bigint, `undefined`, functions, symbols, cycles,
 * holes in arrays, and objects that are neither plain nor have `toJSON` (`Map`, typed arrays, …).
 */
export function canonicalize(value: unknown): string {
  // JSON.stringify would call it on what was already checked.
  if ('toJSON' in Array.prototype) return canonicalizeCarefully(value);
  const sorted = sortedCopy(value, 0);
  if (sorted === DECLINED) return canonicalizeCarefully(value);
  const text = JSON.stringify(sorted);
  // So JSON.stringify writes a lone surrogate; a text about escapes can look the same.
  return text.includes('\\ud') ? canonicalizeCarefully(value) : text;
}

// A setter or a read-only name of Object.prototype would take what is assigned to a copy that inherits from it.
const NOTHING = Object.freeze(Object.create(null)) as object;

/** A copy whose keys were added in canonical order, for JSON.stringify to write in that order. */
function sortedCopy(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) ? value : DECLINED;
    case 'object':
      break;
    default:
      return DECLINED;
  }
  if (value === null) return null;
  if (depth === QUICK_DEPTH) return DECLINED;
  if (Array.isArray(value)) {
    if ((value as { toJSON?: unknown }).toJSON !== undefined) return DECLINED;
    const length = value.length;
    const copy: unknown[] = [];
    for (let index = 0; index < length; index++) {
      // Inherited: what is pushed would end there.
      if (index in copy) return DECLINED;
      const member: unknown = value[index];
      const item = typeof member === 'string' ? member : sortedCopy(member, depth + 1);
      if (item === DECLINED) return DECLINED;
      copy.push(item);
    }
    return copy;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return DECLINED;
  const copy: Record<string, unknown> = Object.create(NOTHING);
  const keys = sortedKeys(value);
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as string;
    if (isOutOfOrder(key)) return DECLINED;
    const member = (value as Record<string, unknown>)[key];
    // Most members are texts, which need no call.
    const item = typeof member === 'string' ? member : sortedCopy(member, depth + 1);
    if (item === DECLINED) return DECLINED;
    copy[key] = item;
  }
  return copy;
}

const DIGIT_0 = 48;
const DIGIT_9 = 57;
const UNDERSCORE = 95;

/** Whether an object would not keep the key where it was added: integers come first, `__proto__` is none. */
function isOutOfOrder(key: string): boolean {
  const first = key.charCodeAt(0);
  return (first <= DIGIT_9 && first >= DIGIT_0) || (first === UNDERSCORE && key === '__proto__');
}

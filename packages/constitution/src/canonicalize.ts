import { canonicalizeCarefully } from './internal/canonical-walk.ts';
import { assignableOrder } from './internal/key-order.ts';

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
  if (depth === QUICK_DEPTH || (value as { toJSON?: unknown }).toJSON !== undefined) return DECLINED;
  return Array.isArray(value) ? copyOfArray(value, depth) : sortedObject(value, depth);
}

function copyOfArray(array: readonly unknown[], depth: number): unknown {
  const length = array.length;
  const copy: unknown[] = [];
  for (let index = 0; index < length; index++) {
    // Inherited: what is pushed would end there.
    if (index in copy) return DECLINED;
    const member = array[index];
    // Most members are texts, which need no call.
    const item = typeof member === 'string' ? member : sortedCopy(member, depth + 1);
    if (item === DECLINED) return DECLINED;
    copy.push(item);
  }
  return copy;
}

// A setter or a read-only name of Object.prototype would take what is assigned to a copy that inherits from it.
const NOTHING = Object.freeze(Object.create(null)) as object;

function sortedObject(object: object, depth: number): unknown {
  const prototype = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) return DECLINED;
  const keys = assignableOrder(object);
  if (keys === undefined) return DECLINED;
  const copy: Record<string, unknown> = Object.create(NOTHING);
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as string;
    const member = (object as Readonly<Record<string, unknown>>)[key];
    const item = typeof member === 'string' ? member : sortedCopy(member, depth + 1);
    if (item === DECLINED) return DECLINED;
    copy[key] = item;
  }
  return copy;
}

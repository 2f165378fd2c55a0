/** A value's place in a message: field names from the outside in. */
export type Place = string | readonly string[];

/** Stands for a place that is not there, or whose way leads through something else than objects. */
export const ABSENT: unique symbol = Symbol('absent');
export const BLOCKED: unique symbol = Symbol('blocked');

/**
 * The value at a place, by own properties of objects alone: what is inherited, or stands elsewhere, is not seen.
 *
 * A dot in a text separates names; give a list of names where one holds a dot.
 */
export function valueAt(message: unknown, place: Place): unknown {
  if (typeof place === 'string' && !place.includes('.')) return member(message, place);
  const names = typeof place === 'string' ? place.split('.') : place;
  let value: unknown = message;
  for (const name of names) {
    value = member(value, name);
    if (value === ABSENT || value === BLOCKED) return value;
  }
  return value;
}

function member(value: unknown, name: string): unknown {
  if (value === undefined) return ABSENT;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return BLOCKED;
  return Object.hasOwn(value, name) ? (value as Readonly<Record<string, unknown>>)[name] : ABSENT;
}

/**
 * Puts a value at a place, making the objects on the way that are missing.
 *
 * @throws TypeError when the way leads through something else than objects.
 */
export function putAt(message: object, place: Place, value: string): void {
  const names = typeof place === 'string' ? place.split('.') : place;
  let target: object = message;
  for (const name of names.slice(0, -1)) {
    let next = member(target, name);
    if (next === ABSENT || next === undefined) {
      next = {};
      define(target, name, next);
    }
    if (typeof next !== 'object' || next === null || Array.isArray(next)) {
      throw new TypeError(`stamp: the message has no object at '${name}'`);
    }
    target = next;
  }
  if (Array.isArray(target)) throw new TypeError('stamp: the message is an array');
  define(target, names.at(-1) as string, value);
}

/** Assignment would change the prototype where the name is `__proto__`. */
function define(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, writable: true, enumerable: true, configurable: true });
}

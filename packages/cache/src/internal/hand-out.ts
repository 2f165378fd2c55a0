import { types } from 'node:util';

/**
 * Freezes a value and all that it holds; false when it holds something that can't be frozen
 * (a Date, Map, Set or bytes), which must then be cloned for each reader.
 *
 * Cost: O(size). Cycles are allowed.
 */
export function deepFreeze(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'function';
  return freezeTree(value, { left: MOST_WITHOUT_SET }) ?? freezeGraph(value);
}

/** Objects that are frozen without remembering which were seen: enough for most values, and an end to cycles. */
const MOST_WITHOUT_SET = 64;

/** `undefined` when it holds more objects than the budget allows. */
function freezeTree(object: object, budget: { left: number }): boolean | undefined {
  if (budget.left-- <= 0) return undefined;
  if (!isFreezable(object)) return false;
  Object.freeze(object);
  let isWhole = true;
  for (const name in object) {
    const field: unknown = (object as Record<string, unknown>)[name];
    if (typeof field === 'object' && field !== null) {
      const isFieldWhole = freezeTree(field, budget);
      if (isFieldWhole === undefined) return undefined;
      isWhole &&= isFieldWhole;
    } else if (typeof field === 'function') isWhole = false;
  }
  return isWhole;
}

function freezeGraph(value: object): boolean {
  let isWhole = true;
  const seen = new Set<object>([value]);
  for (const object of seen) {
    if (!isFreezable(object)) {
      isWhole = false;
      continue;
    }
    Object.freeze(object);
    for (const name in object) {
      const field: unknown = (object as Record<string, unknown>)[name];
      if (typeof field === 'object' && field !== null) seen.add(field);
      else if (typeof field === 'function') isWhole = false;
    }
  }
  return isWhole;
}

function isFreezable(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  return prototype === Object.prototype || prototype === null || Array.isArray(object);
}

/**
 * A copy that shares nothing mutable with the original. Prototypes of class instances are kept, with their own
 * enumerable fields but not their private ones; functions, and objects that can't be taken apart, stay shared.
 */
export function deepClone<Value>(value: Value): Value {
  return cloneInto(value, new Map()) as Value;
}

function cloneInto(value: unknown, clones: Map<object, unknown>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const done = clones.get(value);
  if (done !== undefined) return done;
  if (Array.isArray(value)) {
    const array: unknown[] = new Array(value.length);
    clones.set(value, array);
    for (let index = 0; index < value.length; index++) array[index] = cloneInto(value[index], clones);
    return array;
  }
  if (value instanceof Date) return new Date(value);
  if (value instanceof Map) {
    const map = new Map<unknown, unknown>();
    clones.set(value, map);
    for (const [key, item] of value) map.set(cloneInto(key, clones), cloneInto(item, clones));
    return map;
  }
  if (value instanceof Set) {
    const set = new Set<unknown>();
    clones.set(value, set);
    for (const item of value) set.add(cloneInto(item, clones));
    return set;
  }
  if (Buffer.isBuffer(value)) return Buffer.from(value);
  if (types.isArrayBufferView(value) || types.isArrayBuffer(value)) return structuredClone(value);
  if (value instanceof RegExp) return new RegExp(value);
  if (value instanceof URL) return new URL(value);
  if (types.isProxy(value) || types.isPromise(value) || types.isWeakMap(value) || types.isWeakSet(value)) {
    return value;
  }
  const copy: Record<string, unknown> = Object.create(Object.getPrototypeOf(value));
  clones.set(value, copy);
  for (const name of Object.keys(value)) {
    const field = cloneInto((value as Record<string, unknown>)[name], clones);
    if (name === '__proto__') Object.defineProperty(copy, name, { value: field, enumerable: true });
    else copy[name] = field;
  }
  if (types.isNativeError(value)) {
    // Its message, stack, cause and errors are not enumerable.
    for (const name of Object.getOwnPropertyNames(value)) {
      if (Object.hasOwn(copy, name)) continue;
      const field = cloneInto(value[name as keyof Error], clones);
      Object.defineProperty(copy, name, { value: field, writable: true, configurable: true });
    }
  }
  return copy;
}

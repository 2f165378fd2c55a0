import { describe } from '@hotpath/core';
import { CanonicalJsonError } from '../errors.ts';
import { sortedKeys } from './sorted-keys.ts';

/** An array or object that is being written, and how far that has come. */
interface Frame {
  readonly value: object;
  /** Its keys in canonical order; `undefined` for an array. */
  readonly keys: readonly string[] | undefined;
  readonly count: number;
  next: number;
}

/**
 * As `canonicalize`, with its own stack instead of the language's: any depth, and errors that name the place.
 *
 * Cost: linear in the value's size.
 */
export function canonicalizeCarefully(root: unknown): string {
  const stack: Frame[] = [];
  const open = new Set<object>();
  const parts: string[] = [];

  const fail = (problem: string): never => {
    throw new CanonicalJsonError(placeOf(stack), problem);
  };

  const quote = (text: string): string => {
    if (!text.isWellFormed()) fail('holds a lone surrogate');
    return JSON.stringify(text);
  };

  /** Writes a value that has no members, or begins one that has. */
  const write = (given: unknown, key: string): void => {
    const value = representation(given, key);
    switch (typeof value) {
      case 'string':
        parts.push(quote(value));
        return;
      case 'number':
        if (!Number.isFinite(value)) fail(`is ${value}`);
        parts.push(String(value));
        return;
      case 'boolean':
        parts.push(value ? 'true' : 'false');
        return;
      case 'object':
        break;
      default:
        fail(`is ${describe(value)}`);
    }
    if (value === null) {
      parts.push('null');
      return;
    }
    const object = value as object;
    if (open.has(object)) fail('contains itself');
    if (Array.isArray(object)) {
      parts.push('[');
      stack.push({ value: object, keys: undefined, count: object.length, next: 0 });
    } else {
      if (!isPlain(object)) fail(`is ${kindOf(object)}, which JSON can't carry`);
      const keys = sortedKeys(object);
      parts.push('{');
      stack.push({ value: object, keys, count: keys.length, next: 0 });
    }
    open.add(object);
  };

  write(root, '');
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    const index = frame.next++;
    if (index === frame.count) {
      parts.push(frame.keys === undefined ? ']' : '}');
      open.delete(frame.value);
      stack.pop();
      continue;
    }
    if (index > 0) parts.push(',');
    if (frame.keys === undefined) {
      write((frame.value as readonly unknown[])[index], String(index));
    } else {
      const key = frame.keys[index] as string;
      parts.push(quote(key), ':');
      write((frame.value as Readonly<Record<string, unknown>>)[key], key);
    }
  }
  return parts.join('');
}

/** What `toJSON` gives, where it is the object's own or its class's; a polluted `Object.prototype` has no say. */
function representation(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON !== 'function') return value;
  if (!Object.hasOwn(value, 'toJSON') && (isPlain(value) || Array.isArray(value))) return value;
  return toJSON.call(value, key);
}

function isPlain(object: object): boolean {
  const prototype = Object.getPrototypeOf(object);
  return prototype === Object.prototype || prototype === null;
}

function kindOf(object: object): string {
  const name: unknown = object.constructor?.name;
  return typeof name === 'string' && name !== '' ? `an instance of ${name}` : 'no plain object';
}

function placeOf(stack: readonly Frame[]): string {
  let place = '$';
  for (const { keys, next } of stack) {
    if (keys === undefined) place += `[${next - 1}]`;
    else {
      const key = keys[next - 1] as string;
      place += /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
    }
    if (place.length > 400) return `${place.slice(0, 400)}…`;
  }
  return place;
}

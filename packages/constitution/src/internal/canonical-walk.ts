import { describe } from '@hotpath/core';
import { CanonicalJsonError } from '../errors.ts';
import { sortKeys } from './sort-keys.ts';

// Characters.
const LONGEST_PLACE = 400;

/** An array or object that is being written, and how far that has come. */
interface Frame {
  readonly value: object;
  /** Its keys in canonical order; `undefined` for an array. */
  readonly keys: readonly string[] | undefined;
  readonly count: number;
  next: number;
  /** What holds it. */
  readonly outer: Frame | undefined;
}

/**
 * As `canonicalize`, with its own stack instead of the language's: any depth, and errors that name the place.
 *
 * Assigns no name or index that a polluted prototype could take: text is put together, frames are linked.
 *
 * Cost: linear in the value's size.
 */
export function canonicalizeCarefully(root: unknown): string {
  let frame: Frame | undefined;
  const open = new Set<object>();
  let text = '';

  const fail = (problem: string): never => {
    throw new CanonicalJsonError(placeOf(frame), problem);
  };

  const quote = (content: string): string => {
    if (!content.isWellFormed()) fail('holds a lone surrogate');
    return JSON.stringify(content);
  };

  /** Writes a value that has no members, or begins one that has. */
  const write = (given: unknown, key: string): void => {
    const value = representation(given, key);
    switch (typeof value) {
      case 'string':
        text += quote(value);
        return;
      case 'number':
        if (!Number.isFinite(value)) fail(`is ${value}`);
        text += String(value);
        return;
      case 'boolean':
        text += value ? 'true' : 'false';
        return;
      case 'object':
        break;
      default:
        fail(`is ${describe(value)}`);
    }
    if (value === null) {
      text += 'null';
      return;
    }
    const object = value as object;
    if (open.has(object)) fail('contains itself');
    if (Array.isArray(object)) {
      text += '[';
      frame = { value: object, keys: undefined, count: object.length, next: 0, outer: frame };
    } else {
      if (!isPlain(object)) fail(`is ${kindOf(object)}, which JSON can't carry`);
      const keys = sortKeys(Object.keys(object));
      text += '{';
      frame = { value: object, keys, count: keys.length, next: 0, outer: frame };
    }
    open.add(object);
  };

  write(root, '');
  while (frame !== undefined) {
    const { value, keys, count }: Frame = frame;
    const index = frame.next++;
    if (index === count) {
      text += keys === undefined ? ']' : '}';
      open.delete(value);
      frame = frame.outer;
      continue;
    }
    if (index > 0) text += ',';
    if (keys === undefined) {
      // What is inherited is no member.
      write(Object.hasOwn(value, index) ? (value as readonly unknown[])[index] : undefined, String(index));
    } else {
      const key = keys[index] as string;
      text += `${quote(key)}:`;
      write((value as Readonly<Record<string, unknown>>)[key], key);
    }
  }
  return text;
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

function placeOf(innermost: Frame | undefined): string {
  let place = '';
  for (let frame = innermost; frame !== undefined; frame = frame.outer) {
    const { keys, next } = frame;
    place = `${keys === undefined ? `[${next - 1}]` : member(keys[next - 1] as string)}${place}`;
  }
  return place.length < LONGEST_PLACE ? `$${place}` : `$${place.slice(0, LONGEST_PLACE)}…`;
}

function member(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

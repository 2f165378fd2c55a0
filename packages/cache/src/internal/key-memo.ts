import { keyOfArguments, type LocalKey } from './key-codec.ts';
import { Place } from './memory.ts';

/** Stand before and behind the fields of an object among what a memo holds; no argument can equal them. */
const OBJECT = Symbol('object');
const END = Symbol('end');
const FIRST_SLOTS = 256;
/** Beyond this a function has more calls in use than are worth remembering; about 3 MB when all are taken. */
const MOST_SLOTS = 16_384;
/** How far from its own slot a memo may lie. */
const PROBES = 4;
/** Of a longer string only the ends are looked at to find its slot. */
const SAMPLED_CHARACTERS = 16;

/** The arguments that a key was made of, field by field and never by identity, and that key. */
class Memo extends Place {
  readonly count: number;
  readonly parts: readonly unknown[];
  constructor(count: number, parts: readonly unknown[], key: LocalKey) {
    super(key);
    this.count = count;
    this.parts = parts;
  }
}

/**
 * Remembers the keys of recent calls, so that a repeated one need not encode its arguments again.
 *
 * What it remembers are the primitives themselves, and an object's names and primitive fields: a memo
 * applies only where every one of them is identical, so two calls never share a key that
 * {@link keyOfArguments} would not give to both, and changing an argument afterwards changes nothing.
 * Arguments with anything deeper are encoded each time. Cost of a repeated call: O(fields), without allocation.
 */
export class KeyMemo {
  readonly #owner: string;
  #slots: (Memo | undefined)[] = [];
  #mask = -1;
  #taken = 0;

  constructor(owner: string) {
    this.#owner = owner;
  }

  /** The key of one object, where that is all that was passed. @throws TypeError as {@link keyOfArguments}. */
  placeOfOne(first: unknown): Place {
    const hash = finished(hashOf(first, 1));
    for (let probe = 0; probe < PROBES; probe++) {
      const memo = this.#slots[(hash + probe) & this.#mask];
      if (memo === undefined) break;
      if (memo.count === 1 && matched(memo.parts, 0, first) > 0) return memo;
    }
    return this.#remember([first], hash);
  }

  /** As {@link keyOfOne}, of two arguments. */
  placeOfTwo(first: unknown, second: unknown): Place {
    const hash = finished(hashOf(second, hashOf(first, 2)));
    for (let probe = 0; probe < PROBES; probe++) {
      const memo = this.#slots[(hash + probe) & this.#mask];
      if (memo === undefined) break;
      if (memo.count !== 2) continue;
      const at = matched(memo.parts, 0, first);
      if (at > 0 && matched(memo.parts, at, second) > 0) return memo;
    }
    return this.#remember([first, second], hash);
  }

  /** As {@link keyOfOne}, of any number of arguments. */
  placeOfMany(args: readonly unknown[]): Place {
    const count = args.length;
    let hash = count;
    for (let index = 0; index < count; index++) hash = hashOf(args[index], hash);
    hash = finished(hash);
    for (let probe = 0; probe < PROBES; probe++) {
      const memo = this.#slots[(hash + probe) & this.#mask];
      if (memo === undefined) break;
      if (memo.count !== count) continue;
      let at = 0;
      for (let index = 0; index < count && at >= 0; index++) at = matched(memo.parts, at, args[index]);
      if (at >= 0) return memo;
    }
    return this.#remember(args, hash);
  }

  #remember(args: readonly unknown[], hash: number): Place {
    const parts: unknown[] = [];
    if (!args.every((argument) => take(parts, argument))) return new Place(keyOfArguments(args, this.#owner));
    // The key is made of what was taken, not of the arguments: a getter may answer differently the next time.
    const key = keyOfArguments(argumentsOf(parts), this.#owner);
    if (this.#taken > this.#mask >> 1 && this.#mask < MOST_SLOTS - 1) this.#grow();
    const mask = this.#mask;
    let slot = hash & mask;
    for (let probe = 0; probe < PROBES; probe++) {
      if (this.#slots[(hash + probe) & mask] !== undefined) continue;
      slot = (hash + probe) & mask;
      this.#taken++;
      break;
    }
    const memo = new Memo(args.length, parts, key);
    this.#slots[slot] = memo;
    return memo;
  }

  /** What was remembered is forgotten: it fills again by itself. */
  #grow(): void {
    const size = this.#mask < 0 ? FIRST_SLOTS : (this.#mask + 1) * 4;
    this.#slots = new Array(size).fill(undefined);
    this.#mask = size - 1;
    this.#taken = 0;
  }
}

/** Adds an argument's primitives; false when it has others. */
function take(parts: unknown[], value: unknown): boolean {
  if (isPrimitive(value)) {
    parts.push(value);
    return true;
  }
  if (!isPlain(value)) return false;
  parts.push(OBJECT);
  for (const name in value) {
    const field = value[name];
    if (!isPrimitive(field)) return false;
    parts.push(name, field);
  }
  parts.push(END);
  return true;
}

/** The arguments again that {@link take} was given. */
function argumentsOf(parts: readonly unknown[]): unknown[] {
  const args: unknown[] = [];
  for (let at = 0; at < parts.length; at++) {
    if (parts[at] !== OBJECT) {
      args.push(parts[at]);
      continue;
    }
    const value: Record<string, unknown> = Object.create(null);
    for (at++; parts[at] !== END; at += 2) value[parts[at] as string] = parts[at + 1];
    args.push(value);
  }
  return args;
}

function isPrimitive(value: unknown): boolean {
  switch (typeof value) {
    case 'object':
      return value === null;
    case 'function':
    case 'symbol':
      return false;
    default:
      return true;
  }
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Where the next argument's parts begin when those at `at` are this argument's; -1 when they are not. */
function matched(parts: readonly unknown[], at: number, value: unknown): number {
  if (typeof value !== 'object' || value === null) return parts[at] === value ? at + 1 : -1;
  if (parts[at] !== OBJECT || !isPlain(value)) return -1;
  let next = at + 1;
  for (const name in value) {
    if (parts[next] !== name || parts[next + 1] !== value[name]) return -1;
    next += 2;
  }
  return parts[next] === END ? next + 1 : -1;
}

function hashOf(value: unknown, seed: number): number {
  if (typeof value !== 'object' || value === null) return hashOfPrimitive(value, seed);
  let hash = seed;
  for (const name in value) hash = hashOfPrimitive((value as Record<string, unknown>)[name], hash);
  return hash;
}

function hashOfPrimitive(value: unknown, seed: number): number {
  if (typeof value === 'number') {
    const whole = value | 0;
    return mixed(seed, whole === value ? whole : (value * 65_536) | 0);
  }
  if (typeof value === 'string') return hashOfString(value, seed);
  return mixed(seed, value === true ? 1 : 2);
}

function hashOfString(text: string, seed: number): number {
  const { length } = text;
  let hash = mixed(seed, length);
  if (length <= SAMPLED_CHARACTERS) {
    for (let index = 0; index < length; index++) hash = Math.imul(hash, 31) + text.charCodeAt(index);
    return hash;
  }
  for (let index = 0; index < SAMPLED_CHARACTERS / 2; index++) {
    hash = Math.imul(hash, 31) + text.charCodeAt(index);
    hash = Math.imul(hash, 31) + text.charCodeAt(length - 1 - index);
  }
  return hash;
}

function mixed(hash: number, value: number): number {
  return Math.imul(hash ^ value, 0x9e3779b1) | 0;
}

function finished(hash: number): number {
  return (hash ^ (hash >>> 15)) | 0;
}

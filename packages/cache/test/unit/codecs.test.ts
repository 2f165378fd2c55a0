import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Envelopes, keyHash } from '../../src/internal/envelope.ts';
import { keyOfArguments, parseSharedKey, sharedKey } from '../../src/internal/key-codec.ts';

const hash = keyHash('key');
const lifetime = { freshMs: 1, staleMs: 2, graceMs: 3, loadMs: 4 };
const anything = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withTypedArray: true,
  maxDepth: 3,
});

test('a value comes out of its envelope as it went in, in every codec, with its tags', () => {
  for (const codec of ['json', 'v8'] as const) {
    for (const compressFromBytes of [0, Number.POSITIVE_INFINITY]) {
      const envelopes = new Envelopes(codec, compressFromBytes);
      fc.assert(
        fc.property(
          anything,
          fc.array(fc.stringMatching(/^[a-zä]{1,9}$/), { maxLength: 3 }),
          (value, tags) => {
            const opened = envelopes.open(hash, envelopes.seal(hash, value, tags, lifetime), 0);
            expect(opened.value).toEqual(value);
            expect(opened.tags).toEqual(tags);
            expect(opened.lifetime).toEqual(lifetime);
          },
        ),
        { numRuns: 200 },
      );
    }
  }
});

test('a cycle is refused by what it is, and what is only deep comes back', () => {
  const envelopes = new Envelopes('json', Number.POSITIVE_INFINITY);
  const cycle: unknown[] = [];
  cycle.push({ list: cycle });
  expect(() => envelopes.seal(hash, cycle, [], lifetime)).toThrow("a cycle can't be stored");
  let deep: unknown = 'bottom';
  for (let level = 0; level < 1_000; level++) deep = level % 2 === 0 ? [deep] : { deep };
  expect(envelopes.open(hash, envelopes.seal(hash, deep, [], lifetime), 0).value).toEqual(deep);
});

test('one changed byte, or one that is missing, is never another value', () => {
  const envelopes = new Envelopes('json', Number.POSITIVE_INFINITY);
  const sealed = envelopes.seal(hash, { id: 1, name: 'policy' }, ['tag'], lifetime);
  for (let index = 0; index < sealed.length; index++) {
    for (const bit of [1, 16, 128]) {
      const damaged = Buffer.from(sealed);
      damaged[index] = (damaged[index] as number) ^ bit;
      expect(() => envelopes.open(hash, damaged, 0)).toThrow();
    }
    expect(() => envelopes.open(hash, sealed.subarray(0, index), 0)).toThrow();
  }
});

test('an envelope opens for no other key than the one it was sealed for, however alike', () => {
  const envelopes = new Envelopes('json', Number.POSITIVE_INFINITY);
  const keys = ['{a}k:s1', '{a}k:n1', '{b}k:s1', '{a}k:s1 ', '{a}k:sEz', '{a}k:sFY', '', '{a}k:sä'];
  for (const key of keys) {
    const sealed = envelopes.seal(keyHash(key), 'value', [], lifetime);
    for (const other of keys) {
      if (other === key) expect(envelopes.open(keyHash(other), sealed, 0).value).toBe('value');
      else expect(() => envelopes.open(keyHash(other), sealed, 0)).toThrow('checksum');
    }
  }
});

test("a key's hash goes on from that of its beginning", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (start, rest) => {
      expect(keyHash(rest, keyHash(start))).toBe(keyHash(start + rest));
    }),
  );
});

/** Halves of surrogate pairs included. */
const anyCodeUnit = fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code));

test('a local key comes back from its shared form', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string({ unit: anyCodeUnit }), fc.double(), fc.boolean())), (args) => {
      const key = keyOfArguments(args, 'f');
      expect(parseSharedKey(sharedKey(key))).toEqual(key);
    }),
  );
});

test('properties named by symbols are no part of a key', () => {
  const marked = { page: 1, [Symbol('trace')]: 'abc' };
  expect(keyOfArguments([1, marked], 'f')).toBe(keyOfArguments([1, { page: 1 }], 'f'));
  expect(() => keyOfArguments([Symbol('id')], 'find')).toThrow(/find: argument 1 holds/);
});

test('different JSON arguments have different keys', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), fc.array(fc.jsonValue()), (a, b) => {
      const text = (value: unknown): string => JSON.stringify(value, sortKeys);
      expect(keyOfArguments(a, 'f') === keyOfArguments(b, 'f')).toBe(
        text(a).replaceAll('-0', '0') === text(b).replaceAll('-0', '0'),
      );
    }),
    { numRuns: 500 },
  );
});

function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

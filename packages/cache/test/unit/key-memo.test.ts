import fc from 'fast-check';
import { expect, test } from 'vitest';
import { keyOfArguments } from '../../src/internal/key-codec.ts';
import { KeyMemo } from '../../src/internal/key-memo.ts';

const primitive = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.integer({ min: -3, max: 3 }),
  fc.double(),
  fc.boolean(),
  fc.constantFrom(null, undefined, 0, -0, Number.NaN, '0', 'null', 1n, -1n, '1n', 2 ** 31, 2 ** 53),
);
const flat = fc.dictionary(fc.constantFrom('a', 'b', 'c', '1', '__proto__', 'length'), primitive);
const argument = fc.oneof(
  primitive,
  flat,
  fc.dictionary(fc.constantFrom('a', 'b'), fc.oneof(primitive, flat)),
);
const calls = fc.array(fc.array(argument, { maxLength: 4 }), { maxLength: 60 });

/** The key of a call, through the way that its number of arguments takes. */
function keyOf(memo: KeyMemo, args: readonly unknown[]): unknown {
  if (args.length === 1) return memo.placeOfOne(args[0]).key;
  return args.length === 2 ? memo.placeOfTwo(args[0], args[1]).key : memo.placeOfMany(args).key;
}

test('a remembered key is the one that encoding the arguments again would give', () => {
  fc.assert(
    fc.property(calls, (list) => {
      const memo = new KeyMemo('f');
      for (let round = 0; round < 2; round++) {
        for (const args of list) expect(keyOf(memo, args)).toBe(keyOfArguments(args, 'f'));
      }
    }),
    { numRuns: 500 },
  );
});

test('calls that differ in one name, one field more or one argument more keep keys of their own', () => {
  const values = [0, 1, '0', '1', null, undefined, true, ''];
  const args: unknown[][] = [];
  for (const a of values) {
    args.push([{ a }], [{ b: a }], [{ a: { deep: a } }], [a, {}], [{}, a]);
    for (const b of values)
      args.push([{ a, b }], [{ a }, b], [{ a }, { b }], [{ a, c: b }], [{ a }, b, b], [a, b, a]);
  }
  for (let round = 0; round < 40; round++) {
    const memo = new KeyMemo('f');
    // Another filling each time, so that other calls lie next to each other.
    for (let id = 0; id < round * 3; id++) memo.placeOfTwo(id, round);
    for (const call of [...args, ...args]) expect(keyOf(memo, call)).toBe(keyOfArguments(call, 'f'));
  }
});

test('more calls than a memo holds still get their own keys', () => {
  const memo = new KeyMemo('f');
  const keys = new Set<unknown>();
  const count = 40_000;
  for (let round = 0; round < 2; round++) {
    for (let id = 0; id < count; id++) keys.add(memo.placeOfTwo(id, { page: id % 7 }).key);
  }
  expect(keys.size).toBe(count);
});

test('an argument that was changed after the call is another key', () => {
  const memo = new KeyMemo('f');
  const query = { page: 1, by: 'name' };
  const first = memo.placeOfTwo(1, query).key;
  query.page = 2;
  expect(memo.placeOfTwo(1, query).key).toBe(keyOfArguments([1, { page: 2, by: 'name' }], 'f'));
  expect(memo.placeOfTwo(1, { by: 'name', page: 1 }).key).toBe(first);
  expect(memo.placeOfTwo(1, { page: 1, by: 'name' }).key).toBe(first);
});

test('a getter that answers differently each time never ties one key to two arguments', () => {
  const memo = new KeyMemo('f');
  let reads = 0;
  const shifty = {
    get page(): number {
      return reads++;
    },
  };
  for (let call = 0; call < 20; call++) memo.placeOfTwo('x', shifty);
  for (let page = 0; page < 80; page++) {
    expect(memo.placeOfTwo('x', { page }).key).toBe(keyOfArguments(['x', { page }], 'f'));
  }
});

test('a getter that changes while its key is made does not lend that key to others', () => {
  const memo = new KeyMemo('f');
  const answers = [1, 1, 2];
  memo.placeOfTwo('x', {
    get page(): number {
      return answers.shift() ?? 3;
    },
  });
  expect(memo.placeOfTwo('x', { page: 1 }).key).toBe(keyOfArguments(['x', { page: 1 }], 'f'));
});

test('an instance of a class is refused, also where a plain object with its fields is remembered', () => {
  class Query {
    page = 1;
  }
  const memo = new KeyMemo('find');
  memo.placeOfTwo(1, { page: 1 });
  memo.placeOfOne({ page: 1 });
  expect(() => memo.placeOfTwo(1, new Query())).toThrow(/find: argument 2 holds an instance of Query/);
  expect(() => memo.placeOfOne(new Query())).toThrow(/find: argument 1 holds an instance of Query/);
  expect(() => memo.placeOfMany([1, 2, () => {}])).toThrow(/find: argument 3 holds a function/);
});

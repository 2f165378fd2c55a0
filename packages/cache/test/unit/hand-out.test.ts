import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createCache } from '../../src/index.ts';
import { deepClone, deepFreeze } from '../../src/internal/hand-out.ts';

const value = () => ({ list: [{ n: 1 }], at: new Date(1), map: new Map([['a', { n: 1 }]]) });

test('none: every reader gets the very object that was loaded', async () => {
  await using cache = createCache({ namespace: 'none', l1: { copy: 'none' } });
  const loaded = value();
  const first = await cache.getOrSet('a', () => loaded);
  expect(first).toBe(loaded);
  expect(await cache.getOrSet('a', () => loaded)).toBe(loaded);
  expect(Object.isFrozen(loaded)).toBe(false);
});

test('freeze: a plain value is one immutable object for all, any other a copy for each', async () => {
  await using cache = createCache({ namespace: 'freeze' });
  const load = cache.wrap(async (kind: string) => (kind === 'plain' ? { list: [{ n: 1 }] } : value()), {
    name: 'load',
  });
  const [one, two] = await Promise.all([load('plain'), load('plain')]);
  expect(one).toBe(two);
  expect(load.peek('plain')).toBe(one);
  expect(() => one.list.push({ n: 2 })).toThrow(TypeError);
  expect(() => Object.assign(one.list[0] as object, { n: 2 })).toThrow(TypeError);
  const dated = await load('dated');
  expect(await load('dated')).not.toBe(dated);
  (dated as ReturnType<typeof value>).at.setTime(5);
  (dated as ReturnType<typeof value>).map.get('a')!.n = 5;
  expect(await load('dated')).toEqual(value());
});

test('clone: what one reader does to its value no other sees, joined loads included', async () => {
  await using cache = createCache({ namespace: 'clone', l1: { copy: 'clone' } });
  const load = cache.wrap(async (_id: number) => value(), { name: 'load' });
  const readers = await Promise.all([load(1), load(1), load(1)]);
  readers.push(await load(1), load.peek(1) as ReturnType<typeof value>);
  expect(new Set(readers).size).toBe(readers.length);
  for (const [index, reader] of readers.entries()) {
    expect(reader).toEqual(value());
    reader.list[0]!.n = index;
    reader.at.setTime(index + 9);
    reader.map.clear();
  }
  expect(await load(1)).toEqual(value());
});

const anything = fc.anything({
  withDate: true,
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withNullPrototype: true,
});

test('a clone equals its original and shares no object with it', () => {
  fc.assert(
    fc.property(anything, (original) => {
      const copy = deepClone(original);
      expect(copy).toEqual(original);
      const seen = objectsOf(original);
      for (const object of objectsOf(copy)) expect(seen.has(object)).toBe(false);
    }),
  );
});

test('what deepFreeze calls whole is frozen to its last object, however large, shared or cyclic it is', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (json) => {
      const tree = { json, again: json };
      expect(deepFreeze(tree)).toBe(true);
      for (const object of objectsOf(tree)) expect(Object.isFrozen(object)).toBe(true);
    }),
  );
  const large = Array.from({ length: 500 }, (_, n) => ({ n }));
  expect(deepFreeze(large)).toBe(true);
  expect(large.every((item) => Object.isFrozen(item))).toBe(true);
  const cyclic: { self?: unknown; late: Date[] } = { late: [] };
  cyclic.self = cyclic;
  expect(deepFreeze(cyclic)).toBe(true);
  const late = [...large.map(({ n }) => ({ n })), new Date()];
  expect(deepFreeze(late)).toBe(false);
  // Each level twice holds the next: 2^40 paths, 40 objects.
  let shared: object = {};
  for (let level = 0; level < 40; level++) shared = [shared, shared];
  expect(deepFreeze(shared)).toBe(true);
});

function objectsOf(root: unknown): Set<object> {
  const found = new Set<object>();
  const visit = (item: unknown): void => {
    if (typeof item !== 'object' || item === null || found.has(item)) return;
    found.add(item);
    if (item instanceof Map) for (const [key, entry] of item) [key, entry].forEach(visit);
    else if (item instanceof Set) item.forEach(visit);
    else if (!ArrayBuffer.isView(item)) Object.values(item).forEach(visit);
  };
  visit(root);
  return found;
}

test('copies of patterns, addresses and errors are as good as the originals', () => {
  const error = new AggregateError([new TypeError('one')], 'all', { cause: 'cause' });
  const [pattern, address, copied] = deepClone([/a/gi, new URL('http://host/path'), error] as const);
  expect(pattern.test('A')).toBe(true);
  expect(address.href).toBe('http://host/path');
  expect(copied).toBeInstanceOf(AggregateError);
  expect([copied.message, copied.cause, copied.stack]).toEqual(['all', 'cause', error.stack]);
  expect(copied.errors[0]).toBeInstanceOf(TypeError);
  expect(copied.errors[0]).not.toBe(error.errors[0]);
  expect(Object.keys(copied)).toEqual([]);
});

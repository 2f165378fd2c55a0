import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Cache, type CachedFunction, createCache } from '../../src/index.ts';

let cache: Cache;
let load: CachedFunction<[id: number], number>;
let loads: number;

beforeEach(async () => {
  cache = createCache({ namespace: 'wrong' });
  loads = 0;
  load = cache.wrap(async (id: number) => id + loads++, { name: 'load' });
  await cache.set('a', 1, { tags: ['tag'] });
});
afterEach(() => cache.close());

/** Every method as somebody without types calls it. */
type Untyped = Record<string, (...args: unknown[]) => Promise<unknown>>;

const calls: Record<string, [string, (cache: Untyped, load: Untyped) => Promise<unknown>, RegExp]> = {
  'a key that is none, to getOrSet': [
    'TypeError',
    (on) => on.getOrSet?.(5, () => 1) as never,
    /^getOrSet: a key must be a string, got 5$/,
  ],
  'no factory': [
    'TypeError',
    (on) => on.getOrSet?.('b') as never,
    /^getOrSet: the factory must be a function, got undefined$/,
  ],
  'options that are none': [
    'TypeError',
    (on) => on.getOrSet?.('b', () => 1, 'x') as never,
    /^getOrSet: options must be an object, got "x"$/,
  ],
  'a signal that is none': [
    'TypeError',
    (on) => on.getOrSet?.('b', () => 1, { signal: 'x' }) as never,
    /^getOrSet: option 'signal' must be an object, got "x"$/,
  ],
  'a signal without listeners': [
    'TypeError',
    (on) => on.getOrSet?.('b', () => 1, { signal: {} }) as never,
    /^getOrSet: option 'signal' must be an object with the method addEventListener/,
  ],
  'a misspelt option': [
    'TypeError',
    (on) => on.getOrSet?.('b', () => 1, { tttl: 1 }) as never,
    /^getOrSet: unknown option 'tttl'/,
  ],
  'a life below 0': [
    'RangeError',
    (on) => on.set?.('a', 2, { ttlMs: -1 }) as never,
    /^set: option 'ttlMs' must be a number of at least 0, got -1$/,
  ],
  'a life that is NaN': [
    'TypeError',
    (on) => on.setMany?.([['a', 2]], { ttlMs: Number.NaN }) as never,
    /^setMany: option 'ttlMs' must be a number, got NaN$/,
  ],
  'a key that is none, among many to set': [
    'TypeError',
    (on) =>
      on.setMany?.([
        ['a', 2],
        [7, 2],
      ]) as never,
    /^setMany: a key must be a string, got 7$/,
  ],
  'entries that can not be walked through': [
    'TypeError',
    (on) => on.setMany?.(undefined) as never,
    /^setMany: the entries must be pairs of key and value, got undefined$/,
  ],
  'a list of keys to delete': [
    'TypeError',
    (on) => on.delete?.('a', ['a']) as never,
    /^delete: a key must be a string, got an array$/,
  ],
  'a tag that is none': [
    'TypeError',
    (on) => on.invalidateTags?.('tag', 5) as never,
    /^invalidateTags: 'tags' must be an array of strings, got 5 among them$/,
  ],
  'a tag with NUL': [
    'RangeError',
    (on) => on.invalidateTags?.('tag', 'x\0y') as never,
    /^invalidateTags: a tag must be without NUL/,
  ],
  'a prefix that is none': [
    'TypeError',
    (on) => on.invalidatePrefix?.(undefined) as never,
    /^invalidatePrefix: the prefix must be a string, got undefined$/,
  ],
  'a prefix longer than can be told': [
    'RangeError',
    (on) => on.invalidatePrefix?.('a'.repeat(257)) as never,
    /^invalidatePrefix: the prefix must have at most 256 characters, got 257$/,
  ],
  'a prefix that ends within a character': [
    'RangeError',
    (on) => on.invalidatePrefix?.('😀'.slice(0, 1)) as never,
    /^invalidatePrefix: the prefix must be well-formed/,
  ],
  'a single key to getMany': ['TypeError', (on) => on.getMany?.('a') as never, /^getMany: the keys must be/],
  'a single key to warm': [
    'TypeError',
    (on) => on.warm?.('abc', () => 1) as never,
    /^warm: the keys must be iterable, got "abc"$/,
  ],
  'no loader to warm': [
    'TypeError',
    (on) => on.warm?.(['b']) as never,
    /^warm: the loader must be a function, got undefined$/,
  ],
  'a wrong option to warm': [
    'RangeError',
    (on) => on.warm?.(['b'], () => 1, { ttlMs: -1 }) as never,
    /^warm: option 'ttlMs' must be a number of at least 0, got -1$/,
  ],
  'a concurrency of 0': [
    'RangeError',
    (on) => on.warm?.(['b'], () => 1, { concurrency: 0 }) as never,
    /^warm: option 'concurrency' must be a whole number of at least 1, got 0$/,
  ],
  'a wait below 0': [
    'RangeError',
    (on) => on.ready?.({ timeoutMs: -1 }) as never,
    /^ready: option 'timeoutMs'/,
  ],
  'no options to with': [
    'TypeError',
    (_, on) => on.with?.(1) as never,
    /^load\.with: options must be an object, got 1$/,
  ],
  'a misspelt option to with': [
    'TypeError',
    (_, on) => on.with?.({ ttlMs: 1 }, 1) as never,
    /^load\.with: unknown option 'ttlMs'; known are signal$/,
  ],
  'calls that are no lists of arguments': [
    'TypeError',
    (_, on) => on.many?.([[1], 2]) as never,
    /^load\.many: a call's arguments must be an array, got 2$/,
  ],
  'a text in place of calls': [
    'TypeError',
    (_, on) => on.many?.('12') as never,
    /^load\.many: the calls must be iterable, got "12"$/,
  ],
  'an argument to set that is not in a list': [
    'TypeError',
    (_, on) => on.set?.(1, 2) as never,
    /^load\.set: a call's arguments must be an array, got 1$/,
  ],
  'a misspelt option to a warm-up': [
    'TypeError',
    (_, on) => on.warm?.([[1]], { concurency: 2 }) as never,
    /^load\.warm: unknown option 'concurency'; known are concurrency, signal$/,
  ],
  'an argument that can not be part of a key': [
    'TypeError',
    (_, on) => on.invalidate?.(() => 1) as never,
    /^load: argument 1 holds a function/,
  ],
};

describe('a wrong call rejects, never throws, says what was wrong, and changes nothing', () => {
  for (const [what, [kind, call, message]] of Object.entries(calls)) {
    test(what, async () => {
      const before = cache.stats();
      const called = call(cache as never, load as never);
      const error: unknown = await called.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toMatchObject({ name: kind, message: expect.stringMatching(message) });
      expect(loads).toBe(0);
      expect(cache.stats()).toEqual(before);
      expect(await cache.get('a')).toBe(1);
    });
  }
});

test('a function that can not be wrapped is refused, and its name is still free', () => {
  const wrap = cache.wrap as (loader: unknown, options?: object) => unknown;
  const loader = async (): Promise<number> => 1;
  for (const [call, message] of [
    [() => wrap.call(cache, undefined), /^wrap: loader must be a function, got undefined$/],
    [() => wrap.call(cache, () => 1), /^wrap: option 'name' is required for a function without a name$/],
    [() => wrap.call(cache, loader, { name: 'a:b' }), /^wrap: option 'name' must be without ':' and NUL/],
    [() => wrap.call(cache, loader, { name: 'load' }), /^wrap: option 'name' must be unique within a cache/],
    [() => wrap.call(cache, loader, { key: 'id' }), /^wrap: option 'key' must be a function, got "id"$/],
    [
      () => wrap.call(cache, loader, { tags: ['a'] }),
      /^wrap: option 'tags' must be a function, got an array$/,
    ],
    [() => wrap.call(cache, loader, { l1: { maxEntries: -1 } }), /^wrap: l1: option 'maxEntries' must be/],
    [() => wrap.call(cache, loader, { l1: { copy: 'deep' } }), /^wrap: l1: option 'copy' must be one of/],
    [() => wrap.call(cache, loader, { maxMarks: 1 }), /^wrap: unknown option 'maxMarks'/],
  ] as const) {
    expect(call).toThrow(message);
  }
  expect(wrap.call(cache, loader)).toBeTypeOf('function');
});

test('each wrong option of a cache is refused by its name, what was expected and what came', () => {
  const wrong: Record<string, [unknown, RegExp]> = {
    namespace: ['a{b}', /namespace' must be without braces, got "a\{b\}"/],
    redis: ['redis://127.0.0.1', /redis' must be an object, got "redis:/],
    constitutionalHash: ['CDD01EF066BC6CF2', /must be 16 or 64 lower-case hex digits/],
    l1: [5, /l1: options must be an object, got 5/],
    maxStalenessMs: [19, /number of at least 20, got 19/],
    whenAway: ['wait', /must be one of "local", "bypass", got "wait"/],
    awayTtlMs: [-1, /number of at least 0, got -1/],
    softDeadlineMs: [0, /number from 1 to 60000, got 0/],
    hardDeadlineMs: [10, /number from 50 to 60000, got 10/],
    leaseMs: [99, /number from 100 to 3600000, got 99/],
    leaseWaitMs: [-1, /number of at least 0, got -1/],
    maxQueuedInvalidations: [0, /whole number from 1 to 1000000, got 0/],
    maxMarks: [1.5, /a whole number, got 1\.5/],
    maxConcurrentLoads: [0, /whole number of at least 1, got 0/],
    codec: [{ encode: () => '' }, /must be 'json', 'v8' or an object with encode\(\) and decode\(\)/],
    compressFromBytes: [-1, /number of at least 0, got -1/],
    shards: [1_025, /whole number from 1 to 1024, got 1025/],
    clock: [{ now: () => 0 }, /an object with the method setTimeout\(\)/],
    random: [0.5, /must be a function, got 0\.5/],
    ttlMs: [Number.POSITIVE_INFINITY, /number of at least 0, got Infinity/],
    negativeTtlMs: ['1', /must be a number, got "1"/],
    staleMs: [-1, /number of at least 0, got -1/],
    graceMs: [null, /must be a number, got null/],
    jitterRatio: [1.1, /number from 0 to 1, got 1\.1/],
    earlyRefreshBeta: [-1, /number from 0 to 1000, got -1/],
    softTimeoutMs: [-1, /number of at least 0, got -1/],
    timeoutMs: [Number.NaN, /must be a number, got NaN/],
    typo: [1, /unknown option 'typo'/],
  };
  for (const [name, [value, message]] of Object.entries(wrong)) {
    const make = () => createCache({ namespace: 'wrong', [name]: value } as never);
    expect(make, name).toThrow(message);
    expect(make, name).toThrow(name === 'l1' ? /l1/ : `'${name}'`);
  }
  expect(() => createCache(undefined as never)).toThrow(/option 'namespace' is required/);
  expect(() => createCache('policies' as never)).toThrow(/options must be an object, got "policies"/);
});

test('a value that can not be copied is refused before any other of its call has changed', async () => {
  const broken = Object.defineProperty({}, 'field', {
    enumerable: true,
    get: () => {
      throw new Error('broken');
    },
  });
  await expect(
    cache.setMany([
      ['a', 2],
      ['b', broken],
    ]),
  ).rejects.toThrow('broken');
  expect(await cache.getMany(['a', 'b'])).toEqual([1, undefined]);
});

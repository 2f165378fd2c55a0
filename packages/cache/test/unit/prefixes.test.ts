import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createCache } from '../../src/index.ts';
import { LONGEST_PREFIX } from '../../src/internal/key-codec.ts';

/** Strings of every kind that a key can be, long ones too, which often begin alike. */
const part = fc.constantFrom(
  'a',
  'ab',
  '\0',
  '\0a',
  's',
  'h',
  '1|',
  'user:',
  'ä',
  '😀',
  '\ud83d',
  'x'.repeat(200),
);
const text = fc.array(part, { maxLength: 5 }).map((parts) => parts.join(''));

test('a prefix invalidates exactly the keys that begin with it, however long they are', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(text, { minLength: 1, maxLength: 8 }), text, async (keys, given) => {
      const prefix = given
        .slice(0, LONGEST_PREFIX)
        .replace(/[\ud800-\udfff]$/, '')
        .toWellFormed();
      await using cache = createCache({ namespace: 'prefixes' });
      const load = cache.wrap(async (key: string) => key, { name: 'load' });
      for (const key of keys) {
        await cache.set(key, key);
        await load(key);
      }
      await cache.invalidatePrefix(`load:${prefix}`.slice(0, LONGEST_PREFIX).toWellFormed());
      await cache.invalidatePrefix(prefix);
      const isGone = (key: string): boolean => key.startsWith(prefix);
      expect(await Promise.all(keys.map((key) => cache.has(key)))).toEqual(keys.map((key) => !isGone(key)));
      if (prefix.length + 5 > LONGEST_PREFIX) return;
      const whole = (key: string): boolean => isGone(key) || `load:${key}`.startsWith(prefix);
      expect(keys.map((key) => load.peek(key) === undefined)).toEqual(keys.map(whole));
    }),
    { numRuns: 300 },
  );
});

test('a prefix of a function name reaches its keys of every kind, and no other function', async () => {
  await using cache = createCache({ namespace: 'prefixes' });
  const load = cache.wrap(async (...args: unknown[]) => args.length, { name: 'load' });
  const other = cache.wrap(async (...args: unknown[]) => args.length, { name: 'loader' });
  const calls = [
    [1],
    ['1'],
    [{ id: 1 }],
    [1, 2],
    ['x'.repeat(1_000)],
    ['x'.repeat(400), 'y'.repeat(400)],
    [],
  ];
  for (const args of calls) {
    await load(...args);
    await other(...args);
  }
  await cache.invalidatePrefix('load:');
  for (const args of calls) {
    expect(load.peek(...args)).toBeUndefined();
    expect(other.peek(...args)).toBe(args.length);
  }
  await other.invalidateAll();
  for (const args of calls) expect(other.peek(...args)).toBeUndefined();
});

test('halves of characters in a tag make no difference between what carries it and what drops it', async () => {
  await using cache = createCache({ namespace: 'tags' });
  await cache.set('a', 1, { tags: ['x\ud83d'] });
  await cache.set('b', 1, { tags: ['x'] });
  await cache.invalidateTags('x\ud83d');
  expect(await cache.getMany(['a', 'b'])).toEqual([undefined, 1]);
});

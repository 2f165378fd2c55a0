import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TurnoverMap } from '../../src/index.ts';

test('a map for what comes and goes holds what a Map would, however often it is made anew', () => {
  const step = fc.record({
    kind: fc.constantFrom('set' as const, 'set' as const, 'delete' as const, 'delete' as const),
    key: fc.nat({ max: 90 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 1_500, size: 'max' }), (steps) => {
      const map = new TurnoverMap<number, number>();
      const model = new Map<number, number>();
      for (const [index, { kind, key }] of steps.entries()) {
        if (kind === 'set') {
          map.set(key, index);
          model.set(key, index);
        } else expect(map.delete(key)).toBe(model.delete(key));
        expect(map.size).toBe(model.size);
        expect(map.get(key)).toBe(model.get(key));
        expect(map.has(key)).toBe(model.has(key));
      }
      expect(map.values()).toEqual([...model.values()]);
      map.clear();
      expect(map.size).toBe(0);
    }),
    { numRuns: 50 },
  );
});

test('values that are listed stay as they were while entries are deleted', () => {
  const map = new TurnoverMap<number, number>();
  for (let key = 0; key < 500; key++) map.set(key, key);
  const listed = map.values();
  for (const key of listed) map.delete(key);
  expect(listed).toHaveLength(500);
  expect(map.size).toBe(0);
});

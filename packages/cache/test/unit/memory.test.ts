import fc from 'fast-check';
import { LRUCache } from 'lru-cache';
import { expect, test } from 'vitest';
import { Entry } from '../../src/internal/entry.ts';
import type { LocalKey } from '../../src/internal/key-codec.ts';
import { Memory, Place } from '../../src/internal/memory.ts';
import { Proof } from '../../src/internal/proof.ts';

const proof = new Proof(Number.POSITIVE_INFINITY);

function entryOf(key: LocalKey, value: unknown, bytes = 1): Entry {
  const times = { freshUntilMs: 1, expiresMs: 1, staleUntilMs: 1, graceUntilMs: 1, bornMs: 0 };
  const entry = new Entry({ key, value, proof, version: 0, epoch: 0, tags: [], isCloned: false, ...times });
  entry.bytes = bytes;
  return entry;
}

/** The same text in a string of its own, as it comes from a request. */
function copyOf(key: LocalKey): LocalKey {
  return typeof key === 'number' ? key : Buffer.from(key).toString();
}

const key = fc.constantFrom<LocalKey>(1, '1', 2, 'two', '\0e2|n1,', '\0e2|n2,', 'three');
const step = fc.oneof(
  fc.record({ kind: fc.constantFrom('get', 'getAt', 'getAtCopy', 'peek', 'delete'), key }),
  fc.record({ kind: fc.constant('set'), key, bytes: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant('clear'), key: fc.constant<LocalKey>(1) }),
);

for (const maxBytes of [Number.POSITIVE_INFINITY, 6]) {
  test(`keeps, finds and evicts what lru-cache would, by whatever way a key is asked for (${maxBytes} bytes)`, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
        let evictions = 0;
        let modelEvictions = 0;
        const memory = new Memory({ maxEntries: 3, maxBytes, onEviction: () => evictions++ });
        const model = new LRUCache<LocalKey, Entry>({
          max: 3,
          ...(maxBytes < 100 && { maxSize: maxBytes, sizeCalculation: (entry: Entry) => entry.bytes }),
          dispose: (_entry, _key, reason) => {
            if (reason === 'evict') modelEvictions++;
          },
        });
        const places = new Map<LocalKey, Place>();
        const placeOf = (asked: LocalKey): Place => {
          const place = places.get(asked) ?? new Place(asked);
          places.set(asked, place);
          return place;
        };
        for (const [index, { kind, key: asked, ...rest }] of steps.entries()) {
          if (kind === 'get') expect(memory.get(asked)).toBe(model.get(asked));
          else if (kind === 'getAt') expect(memory.getAt(placeOf(asked))).toBe(model.get(asked));
          else if (kind === 'getAtCopy')
            expect(memory.getAt(new Place(copyOf(asked)))).toBe(model.get(asked));
          else if (kind === 'peek') expect(memory.peek(asked)).toBe(model.peek(asked));
          else if (kind === 'set') {
            const entry = entryOf(copyOf(asked), index, 'bytes' in rest ? rest.bytes : 1);
            memory.set(entry);
            model.set(entry.key, entry);
          } else if (kind === 'delete') {
            memory.delete(asked);
            model.delete(asked);
          } else {
            memory.clear();
            model.clear();
          }
          expect([memory.size, memory.bytes, evictions]).toEqual([
            model.size,
            model.calculatedSize,
            modelEvictions,
          ]);
        }
      }),
      { numRuns: 400 },
    );
  });
}

test('a place whose index has gone to another key finds nothing, and its own value when that is back', () => {
  const memory = new Memory({ maxEntries: 1, maxBytes: Number.POSITIVE_INFINITY, onEviction: () => {} });
  const place = new Place('a');
  memory.set(entryOf('a', 1));
  expect(memory.getAt(place)?.value).toBe(1);
  memory.set(entryOf('b', 2));
  expect(memory.getAt(place)).toBe(undefined);
  memory.set(entryOf('a', 3));
  expect(memory.getAt(place)?.value).toBe(3);
});

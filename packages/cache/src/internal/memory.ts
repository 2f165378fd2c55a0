import { LRUCache } from 'lru-cache';
import type { Entry } from './entry.ts';
import type { LocalKey } from './key-codec.ts';

/** A key, and where its value lay when it was last found; made once for a key that is asked for often. */
export class Place {
  key: LocalKey;
  index = -1;

  constructor(key: LocalKey) {
    this.key = key;
  }
}

interface MemoryOptions {
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly onEviction: () => void;
}

/**
 * The values of one region in memory, bounded by number and by bytes; the least recently used go first.
 *
 * lru-cache decides what stays and where. A hit goes around its `get`, which looks after expiries, fetches and
 * listeners that nothing here uses, straight to the index of the key and the value that lies there.
 */
export class Memory {
  readonly #lru: LRUCache<LocalKey, Entry>;
  readonly #indexes: ReadonlyMap<LocalKey, number>;
  readonly #entries: readonly (Entry | undefined)[];
  readonly #use: (index: number) => void;

  constructor({ maxEntries, maxBytes, onEviction }: MemoryOptions) {
    this.#lru = new LRUCache<LocalKey, Entry>({
      max: maxEntries,
      ...(maxBytes !== Number.POSITIVE_INFINITY && {
        maxSize: maxBytes,
        sizeCalculation: (entry: Entry) => entry.bytes,
      }),
      dispose: (_entry, _key, reason) => {
        if (reason === 'evict') onEviction();
      },
    });
    const { keyMap, valList, moveToTail } = LRUCache.unsafeExposeInternals(this.#lru);
    this.#indexes = keyMap;
    this.#entries = valList as (Entry | undefined)[];
    this.#use = moveToTail;
  }

  get size(): number {
    return this.#lru.size;
  }

  get bytes(): number {
    return this.#lru.calculatedSize;
  }

  /** The entry of `key`, which is now the one used last. */
  get(key: LocalKey): Entry | undefined {
    const index = this.#indexes.get(key);
    if (index === undefined) return undefined;
    this.#use(index);
    return this.#entries[index];
  }

  /** As `get`, without a look-up while its entry stays where it was. */
  getAt(place: Place): Entry | undefined {
    const { index } = place;
    const entry = this.#entries[index];
    if (entry === undefined || entry.key !== place.key) return this.#find(place);
    this.#use(index);
    return entry;
  }

  #find(place: Place): Entry | undefined {
    const index = this.#indexes.get(place.key);
    if (index === undefined) return undefined;
    this.#use(index);
    const entry = this.#entries[index] as Entry;
    place.index = index;
    // The very same string is compared without a look at its characters.
    place.key = entry.key;
    return entry;
  }

  /** The entry of `key`, which does not count as a use. */
  peek(key: LocalKey): Entry | undefined {
    return this.#lru.peek(key);
  }

  set(entry: Entry): void {
    this.#lru.set(entry.key, entry);
  }

  delete(key: LocalKey): void {
    this.#lru.delete(key);
  }

  clear(): void {
    this.#lru.clear();
  }
}

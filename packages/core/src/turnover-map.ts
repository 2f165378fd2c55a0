/** From so many deletions on, a new Map is worth its making. */
const DELETIONS = 64;

/**
 * A Map for entries that come and go by the thousand, without an iterator.
 *
 * A Map that grows or sheds deleted entries gives up its table for a new one, and the old table goes on pointing to
 * the new one, for the sake of iterators. Once a single old table has been promoted to the old generation, all that
 * any later table held survives every minor collection. A Map made anew is not pointed to.
 *
 * Cost: as a Map's, and a copy of what is left once as many entries as that were deleted.
 *
 * @example
 * const waiting = new TurnoverMap<number, string>();
 * waiting.set(1, 'one');
 * waiting.delete(1);
 */
export class TurnoverMap<Key, Value> {
  #map = new Map<Key, Value>();
  #deletions = 0;

  get size(): number {
    return this.#map.size;
  }

  get(key: Key): Value | undefined {
    return this.#map.get(key);
  }

  has(key: Key): boolean {
    return this.#map.has(key);
  }

  set(key: Key, value: Value): void {
    this.#map.set(key, value);
  }

  delete(key: Key): boolean {
    const map = this.#map;
    if (!map.delete(key)) return false;
    // Copying what is left costs no more than the deletions did.
    if (++this.#deletions >= DELETIONS && this.#deletions >= map.size) {
      this.#deletions = 0;
      this.#map = map.size === 0 ? new Map() : new Map(map);
    }
    return true;
  }

  /** The values at present; later changes don't show in it. */
  values(): Value[] {
    return [...this.#map.values()];
  }

  clear(): void {
    this.#map = new Map();
    this.#deletions = 0;
  }
}

import type { Milliseconds } from '@hotpath/core';

/** What a table keeps for one key. */
export interface KeyEntry {
  /** After this it holds nothing that a new entry would not; not yet when somebody waits on it. */
  tatMs: Milliseconds;
  readonly busy: boolean;
}

// How many entries are looked at to make room for one. Each insertion pays for it, so the table stays O(1).
const SAMPLE = 8;

/**
 * A bounded map of per-key state. When it is full, an idle entry goes first; where the next few hold no
 * idle one, the one nearest to being idle goes, which forgives its key the least.
 */
export class KeyTable<Entry extends KeyEntry> {
  readonly #entries = new Map<string, Entry>();
  readonly #maxKeys: number;
  readonly #onEvict: (entry: Entry) => void;
  /** Goes round and round; a Map's iterator allows for insertions and deletions meanwhile. */
  #hand: MapIterator<[string, Entry]>;
  /** Entries that were dropped although they were not idle. */
  evictedActive = 0;

  constructor(maxKeys: number, onEvict: (entry: Entry) => void = () => {}) {
    this.#maxKeys = maxKeys;
    this.#onEvict = onEvict;
    this.#hand = this.#entries.entries();
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  values(): MapIterator<Entry> {
    return this.#entries.values();
  }

  /** Returns false when every entry that was looked at is busy, so that there is no room. */
  add(key: string, entry: Entry, nowMs: Milliseconds): boolean {
    if (this.#entries.size >= this.#maxKeys && !this.#makeRoom(nowMs)) return false;
    this.#entries.set(key, entry);
    return true;
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  #makeRoom(nowMs: Milliseconds): boolean {
    let nearest: [string, Entry] | undefined;
    for (let looked = 0; looked < SAMPLE; looked++) {
      const pair = this.#next();
      if (pair === undefined) break;
      const entry = pair[1];
      if (entry.busy) continue;
      if (entry.tatMs <= nowMs) {
        this.#evict(pair);
        return true;
      }
      if (nearest === undefined || entry.tatMs < nearest[1].tatMs) nearest = pair;
    }
    if (nearest === undefined) return false;
    this.evictedActive++;
    this.#evict(nearest);
    return true;
  }

  #evict([key, entry]: [string, Entry]): void {
    this.#entries.delete(key);
    this.#onEvict(entry);
  }

  #next(): [string, Entry] | undefined {
    let step = this.#hand.next();
    if (step.done) {
      this.#hand = this.#entries.entries();
      step = this.#hand.next();
    }
    return step.done ? undefined : step.value;
  }
}

import type { CacheCore } from './cache-core.ts';
import type { ChangeSink } from './change-sink.ts';
import type { Mark, Marks } from './marks.ts';
import { Region, type ResolvedL1Options } from './region.ts';
import { splitSharedKey } from './region-keys.ts';

/** All regions of one cache: the wrapped functions' by their names, the keyed values' by none. */
export class Regions implements ChangeSink {
  readonly #marks: Marks;
  readonly #byName = new Map<string, Region>();

  constructor(marks: Marks) {
    this.#marks = marks;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  add(core: CacheCore, name: string, l1: ResolvedL1Options): Region {
    const region = new Region(core, name, l1);
    this.#byName.set(name, region);
    return region;
  }

  values(): Iterable<Region> {
    return this.#byName.values();
  }

  clear(): void {
    for (const region of this.#byName.values()) region.clear();
  }

  dropKeys(sharedKeys: readonly string[]): void {
    for (const shared of sharedKeys) {
      const split = splitSharedKey(shared);
      // Other processes may wrap functions that this one does not.
      if (split !== undefined) this.#byName.get(split.name)?.drop(split.key);
    }
  }

  addMarks(marks: readonly Mark[]): void {
    if (marks.length === 0) return;
    for (const mark of marks) this.#marks.add(mark);
    this.#detachFlights();
  }

  addAll(): void {
    this.#marks.addAll();
    this.#detachFlights();
  }

  #detachFlights(): void {
    for (const region of this.#byName.values()) region.detachFlights();
  }
}

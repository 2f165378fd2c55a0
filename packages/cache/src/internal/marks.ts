/** Tag, prefix or everything: what one call invalidates without naming keys. */
export type Mark = `t${string}` | `p${string}`;

/**
 * Which tags and prefixes were invalidated, and when: in order of this process's own counting (`epoch`).
 *
 * A value is invalid when one of its marks is younger than the load that it came from. `version` moves
 * whenever a value may have become invalid, so that a hit has to compare one number.
 * Bounded: when `maxMarks` are held all are dropped, and every value older than that is invalid.
 */
export class Marks {
  /** The current epoch. */
  version = 0;
  readonly #maxMarks: number;
  readonly #epochs = new Map<Mark, number>();
  readonly #prefixLengths = new Set<number>();
  #floor = 0;

  constructor(maxMarks: number) {
    this.#maxMarks = maxMarks;
  }

  add(mark: Mark): void {
    if (this.#epochs.size >= this.#maxMarks && !this.#epochs.has(mark)) this.addAll();
    this.#epochs.set(mark, ++this.version);
    if (mark.charCodeAt(0) === 112) this.#prefixLengths.add(mark.length - 1);
  }

  /** Everything that is older than now is invalid. */
  addAll(): void {
    this.#floor = ++this.version;
    this.#epochs.clear();
    this.#prefixLengths.clear();
  }

  /** Whether a value with these tags, whose load began in `epoch`, was invalidated since. */
  invalidates(epoch: number, tags: readonly string[], readableKey: () => string): boolean {
    if (epoch < this.#floor) return true;
    if (epoch === this.version || this.#epochs.size === 0) return false;
    for (const tag of tags) if ((this.#epochs.get(`t${tag}`) ?? 0) > epoch) return true;
    if (this.#prefixLengths.size === 0) return false;
    const key = readableKey();
    for (const length of this.#prefixLengths) {
      if (length <= key.length && (this.#epochs.get(`p${key.slice(0, length)}`) ?? 0) > epoch) return true;
    }
    return false;
  }
}

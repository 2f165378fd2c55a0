import type { Mark } from './marks.ts';

/** Something that was invalidated: keys, marks, or everything. */
export interface Change {
  readonly keys: readonly string[];
  readonly marks: readonly Mark[];
  readonly isAll: boolean;
}

interface Confirmed {
  readonly sequence: number;
  readonly history: string;
  readonly change: Change;
}

const EVERYTHING: Change = Object.freeze({ keys: [], marks: [], isAll: true });

/**
 * The changes of one shard that Redis does not have, or may lose.
 *
 * `queued` could not be confirmed and wait to be repeated; the recent ones were confirmed, and are
 * repeated when Redis turns out to have lost them. Both are bounded: a queue that overflows becomes
 * one invalidation of everything, and so does the repetition of what is no longer remembered.
 */
export class ChangeLog {
  readonly #maxChanges: number;
  #keys = new Set<string>();
  #marks = new Set<Mark>();
  #isAll = false;
  /** A ring: the oldest is at `#oldest`, once it is full. */
  readonly #recent: Confirmed[] = [];
  #oldest = 0;
  #forgottenSequence = 0;

  constructor(maxChanges: number) {
    this.#maxChanges = maxChanges;
  }

  get queued(): number {
    return this.#keys.size + this.#marks.size + (this.#isAll ? 1 : 0);
  }

  enqueue(change: Change): void {
    if (this.#isAll) return;
    for (const key of change.keys) this.#keys.add(key);
    for (const mark of change.marks) this.#marks.add(mark);
    if (change.isAll || this.queued > this.#maxChanges) {
      this.#isAll = true;
      this.#keys.clear();
      this.#marks.clear();
    }
  }

  /** Takes what is queued, at most so many keys and marks of it. */
  take(most: number): Change | undefined {
    if (this.#isAll) {
      this.#isAll = false;
      return EVERYTHING;
    }
    if (this.queued === 0) return undefined;
    const keys = takeFrom(this.#keys, most);
    const marks = takeFrom(this.#marks, most - keys.length);
    return { keys, marks, isAll: false };
  }

  /** Remembers a change that Redis has, by the number that it gave it. */
  remember(sequence: number, history: string, change: Change): void {
    const entry = { sequence, history, change };
    if (this.#recent.length < this.#maxChanges) {
      this.#recent.push(entry);
      return;
    }
    this.#forgottenSequence = Math.max(
      this.#forgottenSequence,
      (this.#recent[this.#oldest] as Confirmed).sequence,
    );
    this.#recent[this.#oldest] = entry;
    this.#oldest = (this.#oldest + 1) % this.#maxChanges;
  }

  /** Queues what was confirmed after number `since` under another history than `history`: it is lost. */
  enqueueLost(since: number, history: string): void {
    if (this.#forgottenSequence > since) {
      this.enqueue(EVERYTHING);
      return;
    }
    for (const entry of this.#recent) {
      if (entry.sequence > since && entry.history !== history) this.enqueue(entry.change);
    }
  }
}

function takeFrom<Item>(set: Set<Item>, most: number): Item[] {
  const taken: Item[] = [];
  for (const item of set) {
    if (taken.length >= most) break;
    taken.push(item);
    set.delete(item);
  }
  return taken;
}

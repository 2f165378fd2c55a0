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
/** Stands where a forgotten change was, so that it can be collected. */
const NOTHING: Confirmed = Object.freeze({
  sequence: 0,
  history: '',
  change: Object.freeze({ keys: [], marks: [], isAll: false }),
});

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
  /** How many of the queued ones are being repeated. */
  #taken = 0;
  /** In the order in which they came; those before `#oldest` are forgotten. */
  #recent: Confirmed[] = [];
  #oldest = 0;
  /** How many keys and marks the others name. */
  #remembered = 0;
  #forgottenSequence = 0;

  constructor(maxChanges: number) {
    this.#maxChanges = maxChanges;
  }

  /** How many keys and marks Redis is not known to have, those that are being repeated included. */
  get queued(): number {
    return this.#waiting + this.#taken;
  }

  get #waiting(): number {
    return this.#keys.size + this.#marks.size + (this.#isAll ? 1 : 0);
  }

  enqueue(change: Change): void {
    if (this.#isAll) return;
    for (const key of change.keys) this.#keys.add(key);
    for (const mark of change.marks) this.#marks.add(mark);
    if (change.isAll || this.#waiting > this.#maxChanges) {
      this.#isAll = true;
      this.#keys.clear();
      this.#marks.clear();
    }
  }

  /** Takes what waits to be repeated, at most so many keys and marks of it; it counts as queued until `settle`. */
  take(most: number): Change | undefined {
    if (this.#waiting === 0) return undefined;
    let change = EVERYTHING;
    if (this.#isAll) this.#isAll = false;
    else {
      const keys = takeFrom(this.#keys, most);
      const marks = takeFrom(this.#marks, most - keys.length);
      change = { keys, marks, isAll: false };
    }
    this.#taken += sizeOf(change);
    return change;
  }

  /** What was taken has been repeated, or could not be and waits again. */
  settle(change: Change, isDone: boolean): void {
    this.#taken -= sizeOf(change);
    if (!isDone) this.enqueue(change);
  }

  /** Remembers a change that Redis has, by the number that it gave it. */
  remember(sequence: number, history: string, change: Change): void {
    this.#recent.push({ sequence, history, change });
    this.#remembered += sizeOf(change);
    while (this.#remembered > this.#maxChanges) this.#forgetOldest();
    if (this.#oldest > this.#maxChanges) {
      this.#recent = this.#recent.slice(this.#oldest);
      this.#oldest = 0;
    }
  }

  #forgetOldest(): void {
    const { sequence, change } = this.#recent[this.#oldest] as Confirmed;
    this.#recent[this.#oldest++] = NOTHING;
    this.#remembered -= sizeOf(change);
    this.#forgottenSequence = Math.max(this.#forgottenSequence, sequence);
  }

  /** Queues what was confirmed after number `since` under another history than `history`: it is lost. */
  enqueueLost(since: number, history: string): void {
    if (this.#forgottenSequence > since) {
      this.enqueue(EVERYTHING);
      return;
    }
    for (const entry of this.#recent.slice(this.#oldest)) {
      if (entry.sequence > since && entry.history !== history) this.enqueue(entry.change);
    }
  }
}

function sizeOf({ keys, marks }: Change): number {
  return Math.max(1, keys.length + marks.length);
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

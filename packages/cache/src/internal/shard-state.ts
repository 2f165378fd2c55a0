import type { Mark } from './marks.ts';

/** What a shard's state string says. */
export interface ShardState {
  readonly history: string;
  readonly head: number;
  readonly floor: number;
  readonly marks: number;
  readonly adopted: number;
}

/** `undefined` when it is none. */
export function parseShardState(text: unknown): ShardState | undefined {
  const parts = String(text).split(' ');
  if (parts.length !== 5) return undefined;
  const [history, head, floor, marks, adopted] = parts as [string, string, string, string, string];
  const state = {
    history,
    head: Number(head),
    floor: Number(floor),
    marks: Number(marks),
    adopted: Number(adopted),
  };
  return Number.isFinite(state.head + state.floor + state.marks + state.adopted) ? state : undefined;
}

/**
 * What this process knows of one shard: the number of its latest invalidation, and of each tag and prefix.
 *
 * It mirrors the marks in Redis; `marksKnown` is up to where it is whole.
 */
export class ShardMirror {
  history: string | undefined;
  head = 0;
  floor = 0;
  marksKnown = 0;
  /** In the order of their numbers, but for those that were heard of late. */
  readonly #sequences = new Map<Mark, number>();
  readonly #prefixLengths = new Set<number>();

  /** Forgets all, for another history. */
  reset(state: ShardState): void {
    this.history = state.history;
    this.head = state.head;
    this.floor = state.floor;
    this.marksKnown = 0;
    this.#sequences.clear();
    this.#prefixLengths.clear();
  }

  raiseFloor(floor: number): boolean {
    if (floor <= this.floor) return false;
    this.floor = floor;
    for (const [mark, sequence] of this.#sequences) {
      if (sequence > floor) break;
      this.#sequences.delete(mark);
    }
    return true;
  }

  /** What comes late, on another connection, does not take the place of what is known already. */
  add(mark: Mark, sequence: number): void {
    if ((this.#sequences.get(mark) ?? -1) >= sequence) return;
    this.#sequences.delete(mark);
    this.#sequences.set(mark, sequence);
    if (mark.charCodeAt(0) === 112) this.#prefixLengths.add(mark.length - 1);
  }

  /** Whether a value whose load began after invalidation `sequence` has been invalidated since. */
  invalidates(sequence: number, tags: readonly string[], reader: { readonly readableKey: string }): boolean {
    if (!(sequence >= this.floor)) return true;
    if (this.#sequences.size === 0) return false;
    for (const tag of tags) if ((this.#sequences.get(`t${tag}`) ?? 0) > sequence) return true;
    if (this.#prefixLengths.size === 0) return false;
    const { readableKey } = reader;
    for (const length of this.#prefixLengths) {
      if (length > readableKey.length) continue;
      if ((this.#sequences.get(`p${readableKey.slice(0, length)}`) ?? 0) > sequence) return true;
    }
    return false;
  }
}

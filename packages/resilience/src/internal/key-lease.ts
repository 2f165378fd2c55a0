import type { Milliseconds } from '@hotpath/core';
import type { Bucket } from './gcra.ts';
import type { KeyEntry } from './key-table.ts';

/** A call that waits for Redis' answer. */
export interface PendingTake {
  readonly cost: number;
  /** False once the caller has left. */
  readonly wanted: boolean;
}

/** How long a lease should last at the present pace. */
const LEASE_MS = 100;
const LEAST_SAMPLE_MS = 1;
/** What is left of a lease when the next one is asked for. */
const PREFETCH_SHARE = 0.25;

/** What a node knows and holds of one key. */
export class KeyLease<Take extends PendingTake> implements KeyEntry, Bucket {
  readonly key: string;
  /** Units that may be spent without asking. */
  units = 0;
  pending: Take[] = [];
  /** Whether it may hold units: the key's one entry in the table, so that a node never holds twice what it may. */
  mayHold = true;
  /** Whether an answer with units to hold is under way. */
  fetching = false;
  flushing = false;
  /** Until then Redis would refuse: it has said so. */
  deniedUntilMs: Milliseconds = 0;
  /** How full the bucket was at the latest answer, and when that was. */
  level = 0;
  levelAtMs: Milliseconds = 0;
  /** When it was last used. */
  usedMs: Milliseconds = 0;
  /** The bucket that is used while Redis is lost and the rule is a share. */
  tatMs: Milliseconds = 0;
  #target = 1;
  #spent = 0;
  #askedMs: Milliseconds = 0;

  constructor(key: string, nowMs: Milliseconds) {
    this.key = key;
    this.#askedMs = nowMs;
  }

  get busy(): boolean {
    return this.pending.length > 0 || this.fetching;
  }

  spend(cost: number): void {
    this.units -= cost;
    this.#spent += cost;
  }

  spentByAnswer(cost: number): void {
    this.#spent += cost;
  }

  get runsLow(): boolean {
    return this.units < PREFETCH_SHARE * this.#target;
  }

  /** How many units to ask for: what is spent in 100 ms at the present pace, never so many that it would hold more than `most`. */
  wanted(most: number, nowMs: Milliseconds): number {
    const passedMs = Math.max(LEAST_SAMPLE_MS, nowMs - this.#askedMs);
    const paced = (this.#spent / passedMs) * LEASE_MS;
    // Half the old, half the new: one quiet moment must not shrink the lease to nothing.
    this.#target = Math.max(1, Math.min(most, Math.ceil((this.#target + paced) / 2)));
    this.#spent = 0;
    this.#askedMs = nowMs;
    return Math.max(0, Math.floor(Math.min(this.#target, most) - this.units));
  }
}

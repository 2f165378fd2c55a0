import type { Clock, Milliseconds, TimerHandle } from '@hotpath/core';

/** An origin that makes no progress for this long no longer holds the others up. */
const STUCK_AFTER_MS = 250;

/** What a gather has begun at one origin. */
interface Lane {
  pending: number;
  /** When something last ended here, or when the first of those pending began. */
  progressMs: Milliseconds;
}

/**
 * Decides when a gather takes its next item: as many are under way as there are places, not
 * counting those at an origin that makes no progress. These wait in their origin's queue, so many
 * at most, while items for other origins go on.
 */
export class GatherGate {
  readonly #places: number;
  readonly #mostParked: number;
  readonly #clock: Clock;
  readonly #lanes = new Map<string, Lane>();
  #pending = 0;
  #waiter: (() => void) | undefined;
  #timer: TimerHandle | undefined;

  constructor(places: number, mostParked: number, clock: Clock) {
    this.#places = places;
    this.#mostParked = mostParked;
    this.#clock = clock;
  }

  begin(key: string): void {
    const lane = this.#lanes.get(key);
    if (lane === undefined) this.#lanes.set(key, { pending: 1, progressMs: this.#clock.now() });
    else lane.pending++;
    this.#pending++;
  }

  end(key: string): void {
    const lane = this.#lanes.get(key)!;
    if (--lane.pending === 0) this.#lanes.delete(key);
    else lane.progressMs = this.#clock.now();
    this.#pending--;
    this.#wake();
  }

  /** Whether the next item may be taken. */
  get hasRoom(): boolean {
    if (this.#pending < this.#places) return true;
    if (this.#pending >= this.#places + this.#mostParked) return false;
    const stuckSinceMs = this.#clock.now() - STUCK_AFTER_MS;
    let counted = 0;
    for (const { pending, progressMs } of this.#lanes.values()) {
      if (progressMs > stuckSinceMs) counted += pending;
    }
    return counted < this.#places;
  }

  /** Calls back, once, when the next item may be taken; for one at a time. */
  whenRoom(then: () => void): void {
    this.#waiter = then;
    this.#look();
  }

  /** Nobody waits any more. */
  close(): void {
    this.#waiter = undefined;
    this.#clock.clearTimeout(this.#timer);
  }

  #look(): void {
    this.#timer = this.#clock.setTimeout(() => {
      this.#wake();
      if (this.#waiter !== undefined) this.#look();
    }, STUCK_AFTER_MS / 4);
  }

  #wake(): void {
    if (this.#waiter === undefined || !this.hasRoom) return;
    const waiter = this.#waiter;
    this.close();
    waiter();
  }
}

import { describe, WheelTimer } from '@hotpath/core';
import type { AbortListener } from './scope.ts';

/** Priorities run from 0 (first) to 9. */
export const PRIORITIES = 10;
export const LAST_PRIORITY: number = PRIORITIES - 1;
export const DEFAULT_PRIORITY = 5;

/** Somebody who waits; a node of the list of its priority, so that it leaves in O(1). */
export abstract class Waiter extends WheelTimer implements AbortListener {
  readonly priority: number;
  readonly cost: number;
  /** @internal */
  _ahead: Waiter | undefined = undefined;
  /** @internal */
  _behind: Waiter | undefined = undefined;
  /** @internal */
  _queued = false;

  constructor(priority: number, cost: number) {
    super();
    this.priority = priority;
    this.cost = cost;
  }

  /** Its deadline has come. */
  abstract override onDue(): void;
  abstract onAbort(reason: unknown): void;
}

/** Who waits, in the order of priority and then of arrival. Every operation is O(1). */
export class WaitingRoom<W extends Waiter> {
  readonly #first: (W | undefined)[] = new Array(PRIORITIES).fill(undefined);
  readonly #last: (W | undefined)[] = new Array(PRIORITIES).fill(undefined);
  /** What those of each priority want to spend. */
  readonly #costs: number[] = new Array(PRIORITIES).fill(0);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  enter(waiter: W): void {
    const { priority } = waiter;
    const last = this.#last[priority];
    waiter._ahead = last;
    if (last === undefined) this.#first[priority] = waiter;
    else last._behind = waiter;
    this.#last[priority] = waiter;
    waiter._queued = true;
    this.#costs[priority]! += waiter.cost;
    this.#size++;
  }

  /** Who is next; stays in the room. */
  peek(): W | undefined {
    if (this.#size === 0) return undefined;
    for (const first of this.#first) if (first !== undefined) return first;
    return undefined;
  }

  /** Returns false when it was not, or no longer, in the room. */
  leave(waiter: W): boolean {
    if (!waiter._queued) return false;
    const ahead = waiter._ahead as W | undefined;
    const behind = waiter._behind as W | undefined;
    if (ahead === undefined) this.#first[waiter.priority] = behind;
    else ahead._behind = behind;
    if (behind === undefined) this.#last[waiter.priority] = ahead;
    else behind._ahead = ahead;
    waiter._ahead = undefined;
    waiter._behind = undefined;
    waiter._queued = false;
    this.#costs[waiter.priority]! -= waiter.cost;
    this.#size--;
    return true;
  }

  /** What those want to spend who are before a newcomer of this priority. */
  costAhead(priority: number): number {
    let cost = 0;
    for (let each = 0; each <= priority; each++) cost += this.#costs[each] as number;
    return cost;
  }
}

/** @throws RangeError when `priority` is not a whole number from 0 to 9. */
export function checkedPriority(owner: string, priority: number | undefined): number {
  if (priority === undefined) return DEFAULT_PRIORITY;
  if (Number.isInteger(priority) && priority >= 0 && priority < PRIORITIES) return priority;
  throw new RangeError(`${owner}: 'priority' must be a whole number from 0 to 9, got ${describe(priority)}`);
}

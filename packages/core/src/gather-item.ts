import type { Milliseconds } from './clock.ts';

/** What a gather takes its items from; a string's items are its characters. */
export type GatherItems<Item> = Iterable<Item> | AsyncIterable<Item>;

/** Does one item's work; may be synchronous. */
export type GatherWorker<Item, Value> = (item: Item, context: GatherContext) => PromiseLike<Value> | Value;

/** What a worker is given besides its item. */
export interface GatherContext {
  /** The item's position in the input, from 0. */
  readonly index: number;
  /** Aborts when the item's or the group's time is over, or the group is given up. Made when first read. */
  readonly signal: AbortSignal;
  /** How many tries the item took; a worker that tries again counts here. Starts at 1. */
  attempts: number;
}

/** What became of one item. */
export type GatherResult<Value> =
  | {
      readonly index: number;
      readonly status: 'ok';
      readonly value: Value;
      readonly attempts: number;
      readonly totalMs: Milliseconds;
    }
  | {
      readonly index: number;
      /** `error`: its worker failed or ran out of time; `aborted`: the group was given up while it ran; `skipped`: … before it began. */
      readonly status: 'error' | 'aborted' | 'skipped';
      readonly error: unknown;
      readonly attempts: number;
      readonly totalMs: Milliseconds;
    };

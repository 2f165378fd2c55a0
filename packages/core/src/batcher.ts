import { type Clock, type Milliseconds, systemClock } from './clock.ts';
import { type ResolvedBatcherOptions, WindowBatcher } from './internal/window-batcher.ts';
import { describe, optionReader } from './options.ts';

/** What the loader of a batch is given besides the items. */
export interface BatchContext {
  /** Aborts when the batch's time is over or when everybody who waits for it has left. */
  readonly signal: AbortSignal;
}

/**
 * Loads a batch: one result an item, in the items' order. A result that is an `Error` fails that
 * item alone; a rejection fails all items of this batch.
 */
export type BatchLoader<Item, Value> = (
  items: readonly Item[],
  context: BatchContext,
) => PromiseLike<readonly (Value | Error)[]> | readonly (Value | Error)[];

/** What {@link batcher} takes besides the loader. */
export interface BatcherOptions<Item> {
  /** A batch goes when it has this many items. Default 10. */
  readonly maxBatchSize?: number | undefined;
  /** A batch goes this long after its first item at the latest; 0 means at the end of the tick. Default 5. */
  readonly windowMs?: Milliseconds | undefined;
  /** A batch goes before it would hold more than this; needs `sizeOf`. Default: no such bound. */
  readonly maxBatchBytes?: number | undefined;
  /** An item's size in bytes. */
  readonly sizeOf?: ((item: Item) => number) | undefined;
  /** Items with the same key share one place in a batch. Default: the item itself. */
  readonly key?: ((item: Item) => unknown) | undefined;
  /** Whether a batch goes at the end of the tick when no other is in flight, instead of waiting out its window. Default true. */
  readonly flushWhenIdle?: boolean | undefined;
  /** How many batches may be loading at once; further ones wait. One whose time is over no longer counts. Default 8. */
  readonly maxConcurrentBatches?: number | undefined;
  /** How many items may wait to be loaded. Default 10,000. */
  readonly maxQueuedItems?: number | undefined;
  /** Milliseconds that the loader has for a batch; `Infinity` means no end. Default 30,000. */
  readonly timeoutMs?: Milliseconds | undefined;
  readonly clock?: Clock | undefined;
}

/** Counters since the batcher was made, and what is going on. */
export interface BatcherStats {
  /** Calls of `load`. */
  readonly loads: number;
  /** Of these, how many shared another's place. */
  readonly shared: number;
  readonly batches: number;
  readonly failedBatches: number;
  readonly queuedItems: number;
  readonly batchesInFlight: number;
}

/** Turns many callers' single loads into few loads of many. */
export interface Batcher<Item, Value> {
  /**
   * Loads one item, together with what others ask for at about the same time.
   *
   * @throws What the loader failed with, or the `Error` that it gave for this item.
   * @throws RejectedError (HOTPATH_BATCH_QUEUE_FULL) when `maxQueuedItems` wait already.
   * @throws TimeoutError (HOTPATH_BATCH_TIMEOUT) when the loader took longer than `timeoutMs`.
   * @throws CorruptError (HOTPATH_BATCH_RESULT) when the loader did not give one result an item.
   * @throws AbortedError (HOTPATH_CLOSED) after `close()`.
   * @throws RangeError when `sizeOf` gives no number of at least 0; what `key` or `sizeOf` throw.
   * @throws TypeError when the signal is none.
   * @throws The signal's reason, untouched; an item that nobody waits for leaves its batch.
   */
  load(item: Item, options?: { readonly signal?: AbortSignal | undefined }): Promise<Value>;
  /**
   * Sends what waits, now; resolves when that has settled. Never rejects.
   *
   * A loader must not wait for it: that would be waiting for itself, until `timeoutMs` ends its batch.
   */
  flush(): Promise<void>;
  /** Refuses new loads, sends what waits, and resolves when everything has settled. Never rejects; see `flush` for loaders. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
  stats(): BatcherStats;
}

function resolveBatcherOptions<Item>(options: BatcherOptions<Item>): ResolvedBatcherOptions<Item> {
  const read = optionReader('batcher', options);
  const resolved: ResolvedBatcherOptions<Item> = {
    maxBatchSize: read.integer('maxBatchSize', 10, { min: 1 }),
    windowMs: read.number('windowMs', 5, { min: 0 }),
    maxBatchBytes: read.number('maxBatchBytes', Number.POSITIVE_INFINITY, { min: 1 }),
    sizeOf: read.function<((item: Item) => number) | undefined>('sizeOf', undefined),
    key: read.function<((item: Item) => unknown) | undefined>('key', undefined),
    flushWhenIdle: read.boolean('flushWhenIdle', true),
    maxConcurrentBatches: read.integer('maxConcurrentBatches', 8, { min: 1 }),
    maxQueuedItems: read.integer('maxQueuedItems', 10_000, { min: 1 }),
    timeoutMs: read.number('timeoutMs', 30_000, { min: 0 }),
    clock: read.object<Clock>('clock', systemClock, ['now', 'setTimeout', 'clearTimeout']),
  };
  read.end();
  if (resolved.maxBatchBytes !== Number.POSITIVE_INFINITY && resolved.sizeOf === undefined) {
    throw new TypeError("batcher: option 'maxBatchBytes' needs option 'sizeOf'");
  }
  return Object.freeze(resolved);
}

/**
 * Makes a batcher: concurrent single loads become batches for `loader`.
 *
 * A batch goes when it is full (`maxBatchSize` items or `maxBatchBytes`), when its window is over,
 * or at the end of the tick while nothing else is in flight, so that a lone caller never pays the
 * window. Nothing is kept: once a batch has gone, the same item is loaded anew.
 *
 * @example
 * const users = batcher((ids: readonly number[]) => loadUsers(ids), { maxBatchSize: 100 });
 * const [ann, bob] = await Promise.all([users.load(1), users.load(2)]);
 *
 * @throws TypeError or RangeError when the loader is no function or an option is wrong.
 */
export function batcher<Item, Value>(
  loader: BatchLoader<Item, Value>,
  options: BatcherOptions<Item> = {},
): Batcher<Item, Value> {
  if (typeof loader !== 'function')
    throw new TypeError(`batcher: loader must be a function, got ${describe(loader)}`);
  return new WindowBatcher(loader, resolveBatcherOptions(options));
}

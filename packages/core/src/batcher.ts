import { type Clock, type Milliseconds, systemClock, type TimerHandle } from './clock.ts';
import { AbortedError, CorruptError, RejectedError, TimeoutError } from './errors.ts';
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
  readonly maxBatchSize?: number;
  /** A batch goes this long after its first item at the latest; 0 means at the end of the tick. Default 5. */
  readonly windowMs?: Milliseconds;
  /** A batch goes before it would hold more than this; needs `sizeOf`. Default: no such bound. */
  readonly maxBatchBytes?: number;
  /** An item's size in bytes. */
  readonly sizeOf?: (item: Item) => number;
  /** Items with the same key share one place in a batch. Default: the item itself. */
  readonly key?: (item: Item) => unknown;
  /** Whether a batch goes at the end of the tick when no other is in flight, instead of waiting out its window. Default true. */
  readonly flushWhenIdle?: boolean;
  /** How many batches may be loading at once; further ones wait. Default 8. */
  readonly maxConcurrentBatches?: number;
  /** How many items may wait to be loaded. Default 10,000. */
  readonly maxQueuedItems?: number;
  /** Milliseconds that the loader has for a batch. Default 30,000. */
  readonly timeoutMs?: Milliseconds;
  readonly clock?: Clock;
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
   * @throws The signal's reason, untouched; an item that nobody waits for leaves its batch.
   */
  load(item: Item, options?: { readonly signal?: AbortSignal | undefined }): Promise<Value>;
  /** Sends what waits, now; resolves when that has settled. Never rejects. */
  flush(): Promise<void>;
  /** Refuses new loads, sends what waits, and resolves when everything has settled. Never rejects. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
  stats(): BatcherStats;
}

class Waiter<Value> {
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
  constructor(resolve: (value: Value) => void, reject: (error: unknown) => void) {
    this.resolve = resolve;
    this.reject = reject;
  }
}

class Slot<Item, Value> {
  readonly item: Item;
  readonly bytes: number;
  readonly waiters = new Set<Waiter<Value>>();
  constructor(item: Item, bytes: number) {
    this.item = item;
    this.bytes = bytes;
  }
}

class Batch<Item, Value> {
  readonly slots = new Map<unknown, Slot<Item, Value>>();
  readonly controller = new AbortController();
  bytes = 0;
  waiting = 0;
  sent = false;
  timer: TimerHandle | undefined;
  readonly settled: Promise<void>;
  settle!: () => void;
  constructor() {
    this.settled = new Promise((resolve) => {
      this.settle = resolve;
    });
  }
}

interface ResolvedBatcherOptions<Item> {
  readonly maxBatchSize: number;
  readonly windowMs: Milliseconds;
  readonly maxBatchBytes: number;
  readonly sizeOf: ((item: Item) => number) | undefined;
  readonly key: ((item: Item) => unknown) | undefined;
  readonly flushWhenIdle: boolean;
  readonly maxConcurrentBatches: number;
  readonly maxQueuedItems: number;
  readonly timeoutMs: Milliseconds;
  readonly clock: Clock;
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

class WindowBatcher<Item, Value> implements Batcher<Item, Value> {
  readonly #loader: BatchLoader<Item, Value>;
  readonly #options: ResolvedBatcherOptions<Item>;
  #open: Batch<Item, Value> | undefined;
  readonly #ready: Batch<Item, Value>[] = [];
  readonly #unsettled = new Set<Batch<Item, Value>>();
  #inFlight = 0;
  #queuedItems = 0;
  #closed = false;
  #loads = 0;
  #shared = 0;
  #batches = 0;
  #failedBatches = 0;

  constructor(loader: BatchLoader<Item, Value>, options: ResolvedBatcherOptions<Item>) {
    this.#loader = loader;
    this.#options = options;
  }

  load(item: Item, options?: { readonly signal?: AbortSignal | undefined }): Promise<Value> {
    return new Promise<Value>((resolve, reject) => {
      const signal = options?.signal;
      if (signal?.aborted) return reject(signal.reason);
      if (this.#closed) return reject(new AbortedError('HOTPATH_CLOSED', 'the batcher is closed'));
      const { key, sizeOf, maxQueuedItems } = this.#options;
      const slotKey = key === undefined ? item : key(item);
      let batch = this.#open;
      let slot = batch?.slots.get(slotKey);
      if (batch === undefined || slot === undefined) {
        if (this.#queuedItems >= maxQueuedItems) {
          const message = `${maxQueuedItems} items wait to be loaded, the most that are allowed`;
          return reject(new RejectedError('HOTPATH_BATCH_QUEUE_FULL', message));
        }
        slot = new Slot(item, sizeOf === undefined ? 0 : sizeOf(item));
        batch = this.#batchFor(slot);
        batch.slots.set(slotKey, slot);
        batch.bytes += slot.bytes;
        this.#queuedItems++;
      } else {
        this.#shared++;
      }
      this.#loads++;
      this.#wait(batch, slotKey, slot, resolve, reject, signal);
      if (batch.slots.size >= this.#options.maxBatchSize || batch.bytes >= this.#options.maxBatchBytes) {
        this.#send(batch);
      }
    });
  }

  /** The open batch, or a new one where the item would make that too large. */
  #batchFor(slot: Slot<Item, Value>): Batch<Item, Value> {
    const open = this.#open;
    if (open !== undefined && open.bytes + slot.bytes <= this.#options.maxBatchBytes) return open;
    if (open !== undefined) this.#send(open);
    const batch = new Batch<Item, Value>();
    this.#open = batch;
    this.#unsettled.add(batch);
    this.#schedule(batch);
    return batch;
  }

  #wait(
    batch: Batch<Item, Value>,
    slotKey: unknown,
    slot: Slot<Item, Value>,
    resolve: (value: Value) => void,
    reject: (error: unknown) => void,
    signal: AbortSignal | undefined,
  ): void {
    batch.waiting++;
    if (signal === undefined) {
      slot.waiters.add(new Waiter(resolve, reject));
      return;
    }
    const leave = (): void => {
      slot.waiters.delete(waiter);
      batch.waiting--;
      reject(signal.reason);
      if (!batch.sent && slot.waiters.size === 0) this.#remove(batch, slotKey, slot);
      else if (batch.sent && batch.waiting === 0) batch.controller.abort(signal.reason);
    };
    const waiter = new Waiter<Value>(
      (value) => {
        signal.removeEventListener('abort', leave);
        resolve(value);
      },
      (error) => {
        signal.removeEventListener('abort', leave);
        reject(error);
      },
    );
    slot.waiters.add(waiter);
    signal.addEventListener('abort', leave, { once: true });
  }

  #remove(batch: Batch<Item, Value>, slotKey: unknown, slot: Slot<Item, Value>): void {
    batch.slots.delete(slotKey);
    batch.bytes -= slot.bytes;
    this.#queuedItems--;
    if (batch.slots.size > 0) return;
    this.#options.clock.clearTimeout(batch.timer);
    if (this.#open === batch) this.#open = undefined;
    const position = this.#ready.indexOf(batch);
    if (position !== -1) this.#ready.splice(position, 1);
    batch.sent = true;
    this.#finish(batch);
  }

  #schedule(batch: Batch<Item, Value>): void {
    const { flushWhenIdle, windowMs, clock } = this.#options;
    if (windowMs === 0 || (flushWhenIdle && this.#inFlight === 0)) this.#sendAtEndOfTick(batch);
    else batch.timer = clock.setTimeout(() => this.#send(batch), windowMs);
  }

  #sendAtEndOfTick(batch: Batch<Item, Value>): void {
    // Behind every promise that is already settled, so that callers woken together go together.
    Promise.resolve().then(() => process.nextTick(() => this.#send(batch)));
  }

  /** Closes a batch to further items, and loads it as soon as there is room. */
  #send(batch: Batch<Item, Value>): void {
    if (this.#open !== batch) return;
    this.#open = undefined;
    this.#options.clock.clearTimeout(batch.timer);
    this.#ready.push(batch);
    this.#loadReady();
  }

  #loadReady(): void {
    while (this.#inFlight < this.#options.maxConcurrentBatches) {
      const batch = this.#ready.shift();
      if (batch === undefined) break;
      this.#load(batch);
    }
    const open = this.#open;
    if (open !== undefined && this.#inFlight === 0 && this.#options.flushWhenIdle)
      this.#sendAtEndOfTick(open);
  }

  #load(batch: Batch<Item, Value>): void {
    const { clock, timeoutMs } = this.#options;
    const slots = [...batch.slots.values()];
    batch.sent = true;
    this.#inFlight++;
    this.#batches++;
    this.#queuedItems -= slots.length;
    let isOver = false;
    const end = (settle: () => void): void => {
      if (isOver) return;
      isOver = true;
      clock.clearTimeout(timer);
      settle();
      this.#inFlight--;
      this.#finish(batch);
      this.#loadReady();
    };
    const fail = (error: unknown): void =>
      end(() => {
        this.#failedBatches++;
        for (const slot of slots) for (const waiter of slot.waiters) waiter.reject(error);
      });
    const timer = clock.setTimeout(() => {
      const error = new TimeoutError(
        'HOTPATH_BATCH_TIMEOUT',
        `a batch was not loaded within ${timeoutMs} ms`,
      );
      fail(error);
      batch.controller.abort(error);
    }, timeoutMs);
    let loaded: Promise<readonly (Value | Error)[]>;
    try {
      const items = slots.map((slot) => slot.item);
      loaded = Promise.resolve(this.#loader(items, { signal: batch.controller.signal }));
    } catch (error) {
      loaded = Promise.reject(error);
    }
    loaded.then((results) => {
      if (!Array.isArray(results) || results.length !== slots.length) {
        const got = Array.isArray(results) ? `${results.length} results` : describe(results);
        fail(
          new CorruptError('HOTPATH_BATCH_RESULT', `a batch of ${slots.length} items was loaded with ${got}`),
        );
        return;
      }
      end(() => {
        for (let index = 0; index < slots.length; index++)
          settleSlot(slots[index] as Slot<Item, Value>, results[index]);
      });
    }, fail);
  }

  #finish(batch: Batch<Item, Value>): void {
    this.#unsettled.delete(batch);
    batch.settle();
  }

  async flush(): Promise<void> {
    const waitedFor = [...this.#unsettled];
    if (this.#open !== undefined) this.#send(this.#open);
    await Promise.all(waitedFor.map((batch) => batch.settled));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  stats(): BatcherStats {
    return {
      loads: this.#loads,
      shared: this.#shared,
      batches: this.#batches,
      failedBatches: this.#failedBatches,
      queuedItems: this.#queuedItems,
      batchesInFlight: this.#inFlight,
    };
  }
}

function settleSlot<Item, Value>(slot: Slot<Item, Value>, result: Value | Error | undefined): void {
  for (const waiter of slot.waiters) {
    if (result instanceof Error) waiter.reject(result);
    else waiter.resolve(result as Value);
  }
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

import type { Batcher, BatcherStats, BatchLoader } from '../batcher.ts';
import type { Clock, Milliseconds } from '../clock.ts';
import { AbortedError, CorruptError, RejectedError, TimeoutError } from '../errors.ts';
import { describe } from '../options.ts';
import { Batch, Slot, type Waiter } from './batch.ts';

/** `BatcherOptions`, validated and with its defaults. */
export interface ResolvedBatcherOptions<Item> {
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

/**
 * A batch is open while items may join it, ready from when it is sent until there is room to load
 * it, and in flight while it loads; `#unsettled` holds it from the first to the last.
 */
export class WindowBatcher<Item, Value> implements Batcher<Item, Value> {
  readonly #loader: BatchLoader<Item, Value>;
  readonly #options: ResolvedBatcherOptions<Item>;
  #open: Batch<Item, Value> | undefined;
  readonly #ready = new Set<Batch<Item, Value>>();
  readonly #unsettled = new Set<Batch<Item, Value>>();
  #awaitsTick = false;
  readonly #onTick = (): void => {
    this.#awaitsTick = false;
    if (this.#open?.goesWithTick) this.#send(this.#open);
  };
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
      // The user's functions first: they may call load() themselves, or abort the signal.
      const { key, sizeOf, maxQueuedItems, maxBatchSize, maxBatchBytes } = this.#options;
      const slotKey = key === undefined ? item : key(item);
      const bytes = sizeOf === undefined ? 0 : checkedSize(sizeOf(item));
      const signal = options?.signal;
      if (signal?.aborted) return reject(signal.reason);
      if (this.#closed) return reject(new AbortedError('HOTPATH_CLOSED', 'the batcher is closed'));

      let batch = this.#open;
      let slot = batch?.slots.get(slotKey);
      if (batch === undefined || slot === undefined) {
        if (this.#queuedItems >= maxQueuedItems) {
          const message = `${maxQueuedItems} items wait to be loaded, the most that are allowed`;
          return reject(new RejectedError('HOTPATH_BATCH_QUEUE_FULL', message));
        }
        slot = new Slot(item, bytes);
        batch = this.#batchFor(bytes);
        batch.slots.set(slotKey, slot);
        batch.bytes += bytes;
        this.#queuedItems++;
      } else {
        this.#shared++;
      }
      this.#loads++;
      batch.waiting++;
      const waiter: Waiter<Value> = { resolve, reject, untie: undefined };
      slot.waiters.add(waiter);
      if (signal !== undefined) this.#tie(waiter, signal, batch, slotKey, slot);
      if (batch.slots.size >= maxBatchSize || batch.bytes >= maxBatchBytes) this.#send(batch);
    });
  }

  /** The open batch, or a new one where the item would make that too large. */
  #batchFor(bytes: number): Batch<Item, Value> {
    const open = this.#open;
    if (open !== undefined && open.bytes + bytes <= this.#options.maxBatchBytes) return open;
    if (open !== undefined) this.#send(open);
    const batch = new Batch<Item, Value>();
    this.#open = batch;
    this.#unsettled.add(batch);
    const { flushWhenIdle, windowMs, clock } = this.#options;
    if (windowMs === 0 || (flushWhenIdle && this.#inFlight === 0)) this.#sendAtEndOfTick(batch);
    else batch.timer = clock.setTimeout(() => this.#send(batch), windowMs);
    return batch;
  }

  #tie(
    waiter: Waiter<Value>,
    signal: AbortSignal,
    batch: Batch<Item, Value>,
    slotKey: unknown,
    slot: Slot<Item, Value>,
  ): void {
    const leave = (): void => {
      slot.waiters.delete(waiter);
      batch.waiting--;
      waiter.reject(signal.reason);
      if (!batch.begun) {
        if (slot.waiters.size === 0) this.#remove(batch, slotKey, slot);
      } else if (batch.waiting === 0) {
        batch.abort(signal.reason);
      }
    };
    waiter.untie = () => signal.removeEventListener('abort', leave);
    signal.addEventListener('abort', leave, { once: true });
  }

  #remove(batch: Batch<Item, Value>, slotKey: unknown, slot: Slot<Item, Value>): void {
    batch.slots.delete(slotKey);
    batch.bytes -= slot.bytes;
    this.#queuedItems--;
    if (batch.slots.size > 0) return;
    this.#options.clock.clearTimeout(batch.timer);
    if (this.#open === batch) this.#open = undefined;
    this.#ready.delete(batch);
    batch.begun = true;
    this.#finish(batch);
  }

  #sendAtEndOfTick(batch: Batch<Item, Value>): void {
    batch.goesWithTick = true;
    // One at a time: while promises keep each other busy no tick ends, and they would pile up.
    if (this.#awaitsTick) return;
    this.#awaitsTick = true;
    // Behind every promise that is already settled, so that callers woken together go together.
    Promise.resolve().then(() => process.nextTick(this.#onTick));
  }

  /** Closes a batch to further items, and loads it as soon as there is room. */
  #send(batch: Batch<Item, Value>): void {
    if (this.#open !== batch) return;
    this.#open = undefined;
    this.#options.clock.clearTimeout(batch.timer);
    this.#ready.add(batch);
    this.#loadReady();
  }

  #loadReady(): void {
    for (const batch of this.#ready) {
      if (this.#inFlight >= this.#options.maxConcurrentBatches) break;
      this.#ready.delete(batch);
      this.#load(batch);
    }
    if (this.#open !== undefined && this.#inFlight === 0 && this.#options.flushWhenIdle) {
      this.#sendAtEndOfTick(this.#open);
    }
  }

  #load(batch: Batch<Item, Value>): void {
    const { clock, timeoutMs } = this.#options;
    const slots = [...batch.slots.values()];
    batch.begun = true;
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
        for (const slot of slots) slot.fail(error);
      });
    const onTimeout = (): void => {
      const message = `a batch was not loaded within ${timeoutMs} ms`;
      const error = new TimeoutError('HOTPATH_BATCH_TIMEOUT', message);
      fail(error);
      batch.abort(error);
    };
    const timer = timeoutMs === Number.POSITIVE_INFINITY ? undefined : clock.setTimeout(onTimeout, timeoutMs);

    const items = slots.map((slot) => slot.item);
    // Never from within load(), where the loader's own calls of load() would meet a half-changed state.
    Promise.resolve()
      .then(() => this.#loader(items, batch))
      .then((results) => {
        const error = wrongShape(results, slots.length);
        if (error !== undefined) fail(error);
        else end(() => settleEach(slots, results));
      })
      .catch(fail);
  }

  #finish(batch: Batch<Item, Value>): void {
    this.#unsettled.delete(batch);
    batch.finish();
  }

  async flush(): Promise<void> {
    const settled = Array.from(this.#unsettled, (batch) => batch.settled);
    if (this.#open !== undefined) this.#send(this.#open);
    await Promise.all(settled);
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

function checkedSize(bytes: unknown): number {
  if (typeof bytes === 'number' && bytes >= 0) return bytes;
  throw new RangeError(`batcher: sizeOf must return a number of at least 0, got ${describe(bytes)}`);
}

function settleEach<Item, Value>(
  slots: readonly Slot<Item, Value>[],
  results: readonly (Value | Error)[],
): void {
  for (const [index, slot] of slots.entries()) slot.settle(results[index]);
}

function wrongShape(results: unknown, expected: number): CorruptError<'HOTPATH_BATCH_RESULT'> | undefined {
  if (Array.isArray(results) && results.length === expected) return undefined;
  const got = Array.isArray(results) ? `${results.length} results` : describe(results);
  return new CorruptError('HOTPATH_BATCH_RESULT', `a batch of ${expected} items was loaded with ${got}`);
}

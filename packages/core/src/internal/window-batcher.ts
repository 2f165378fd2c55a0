import type { Batcher, BatcherStats, BatchLoader } from '../batcher.ts';
import type { Clock, Milliseconds } from '../clock.ts';
import { AbortedError, CorruptError, RejectedError, TimeoutError } from '../errors.ts';
import { describe } from '../options.ts';
import { Batch, Slot, Waiter } from './batch.ts';
import { checkSignal } from './wait-arguments.ts';

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
  readonly #endTick = (): void => process.nextTick(this.#onTick);
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
      checkSignal('batcher', signal);
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
      const waiter = new Waiter<Value>(resolve, reject);
      slot.join(waiter);
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
      slot.leave(waiter);
      batch.waiting--;
      waiter.reject(signal.reason);
      if (!batch.begun) {
        if (slot.isEmpty) this.#remove(batch, slotKey, slot);
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
    Promise.resolve().then(this.#endTick);
  }

  /** Closes a batch to further items, and loads it as soon as there is room. */
  #send(batch: Batch<Item, Value>): void {
    if (this.#open !== batch) return;
    this.#open = undefined;
    this.#options.clock.clearTimeout(batch.timer);
    if (this.#hasRoom) this.#load(batch);
    else this.#ready.add(batch);
  }

  get #hasRoom(): boolean {
    return this.#inFlight < this.#options.maxConcurrentBatches;
  }

  /** What may go now that a batch has ended. */
  #loadNext(): void {
    for (const batch of this.#ready) {
      if (!this.#hasRoom) break;
      this.#ready.delete(batch);
      this.#load(batch);
    }
    if (this.#open !== undefined && this.#inFlight === 0 && this.#options.flushWhenIdle) {
      this.#sendAtEndOfTick(this.#open);
    }
  }

  #load(batch: Batch<Item, Value>): void {
    const { clock, timeoutMs } = this.#options;
    batch.begun = true;
    this.#inFlight++;
    this.#batches++;
    this.#queuedItems -= batch.slots.size;
    batch.timer =
      timeoutMs === Number.POSITIVE_INFINITY
        ? undefined
        : clock.setTimeout(() => this.#timeOut(batch), timeoutMs);
    // Never from within load(), where the loader's own calls of load() would meet a half-changed state.
    Promise.resolve(batch).then(this.#callLoader);
  }

  readonly #callLoader = (batch: Batch<Item, Value>): void => {
    const items: Item[] = [];
    for (const slot of batch.slots.values()) items.push(slot.item);
    let loading: Promise<readonly (Value | Error)[]>;
    try {
      loading = Promise.resolve(this.#loader(items, batch));
    } catch (error) {
      this.#fail(batch, error);
      return;
    }
    loading.then(
      (results) => this.#succeed(batch, results),
      (error) => this.#fail(batch, error),
    );
  };

  #succeed(batch: Batch<Item, Value>, results: readonly (Value | Error)[]): void {
    const error = wrongShape(results, batch.slots.size);
    if (error !== undefined) {
      this.#fail(batch, error);
    } else if (!batch.over) {
      let index = 0;
      for (const slot of batch.slots.values()) slot.settle(results[index++]);
      this.#end(batch);
    }
  }

  #fail(batch: Batch<Item, Value>, error: unknown): void {
    if (batch.over) return;
    this.#failedBatches++;
    for (const slot of batch.slots.values()) slot.fail(error);
    this.#end(batch);
  }

  #timeOut(batch: Batch<Item, Value>): void {
    const message = `a batch was not loaded within ${this.#options.timeoutMs} ms`;
    const error = new TimeoutError('HOTPATH_BATCH_TIMEOUT', message);
    this.#fail(batch, error);
    batch.abort(error);
  }

  #end(batch: Batch<Item, Value>): void {
    this.#options.clock.clearTimeout(batch.timer);
    this.#inFlight--;
    this.#finish(batch);
    this.#loadNext();
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

function wrongShape(results: unknown, expected: number): CorruptError<'HOTPATH_BATCH_RESULT'> | undefined {
  if (Array.isArray(results) && results.length === expected) return undefined;
  const got = Array.isArray(results) ? `${results.length} results` : describe(results);
  return new CorruptError('HOTPATH_BATCH_RESULT', `a batch of ${expected} items was loaded with ${got}`);
}

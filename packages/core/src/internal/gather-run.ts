import type { Milliseconds, TimerHandle } from '../clock.ts';
import { AbortedError, TimeoutError } from '../errors.ts';
import type { GatherItems, GatherResult, GatherWorker } from '../gather-item.ts';
import { isAsyncIterable, type ResolvedGatherLimits } from '../gather-options.ts';
import { deadlineError } from '../signals.ts';
import { ItemRun, isAbort, isThenable } from './item-run.ts';

/** Who is told what happens in a run. */
export interface GatherSink<Value> {
  /** One item is settled. */
  onResult(result: GatherResult<Value>): void;
  /** The run is over: every item that was begun is settled. `reason` is set when it was given up. */
  onEnd(reason: { readonly error: unknown } | undefined): void;
}

/**
 * Pulls items lazily and runs a worker on each, a bounded number at a time: the engine of
 * `gather` and `gatherStream`.
 *
 * An item takes a place when it is pulled and gives it back when its owner calls `release()`, so
 * that results which nobody has taken yet also count.
 */
export class GatherRun<Item, Value> {
  readonly #worker: GatherWorker<Item, Value>;
  readonly #options: ResolvedGatherLimits;
  readonly #sink: GatherSink<Value>;
  readonly #iterator: Iterator<Item> | AsyncIterator<Item>;
  readonly #isAsync: boolean;
  readonly #running = new Set<ItemRun>();
  #taken = 0;
  #nextIndex = 0;
  #exhausted = false;
  /** While an asynchronous source is asked, or the loop that asks a synchronous one is on the stack. */
  #pulling = false;
  /** While a synchronous source's `next()` is on the stack. */
  #inNext = false;
  #ended = false;
  #givenUp: { readonly error: unknown } | undefined;
  #sourceFailed: { readonly error: unknown } | undefined;
  #deadline: TimerHandle | undefined;
  readonly #onAbort = (): void => this.abandon(this.#options.signal?.reason);

  constructor(
    items: GatherItems<Item>,
    worker: GatherWorker<Item, Value>,
    options: ResolvedGatherLimits,
    sink: GatherSink<Value>,
  ) {
    this.#worker = worker;
    this.#options = options;
    this.#sink = sink;
    this.#isAsync = isAsyncIterable(items);
    this.#iterator = isAsyncIterable(items) ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  }

  /** How many items were pulled so far. */
  get begun(): number {
    return this.#nextIndex;
  }

  /** Set when the input itself threw. */
  get sourceFailed(): { readonly error: unknown } | undefined {
    return this.#sourceFailed;
  }

  start(): void {
    const { signal, timeoutMs, clock } = this.#options;
    if (signal?.aborted) {
      this.abandon(signal.reason);
      return;
    }
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (timeoutMs !== undefined) {
      this.#deadline = clock.setTimeout(() => this.abandon(deadlineError(timeoutMs)), timeoutMs);
    }
    this.#pump();
  }

  /** Gives an item's place to the next one. */
  release(): void {
    this.#taken--;
    this.#pump();
  }

  /** Ends the run at once: pulls nothing more, aborts what runs and reports it as `aborted`. */
  abandon(error: unknown): void {
    if (this.#ended) return;
    this.#stopPulling(error);
    for (const item of this.#running) {
      this.#settleFailed(item, 'aborted', error);
    }
    this.#end();
  }

  /** Pulls nothing more and aborts what runs, but waits until that has settled by itself. */
  windDown(error: unknown): void {
    if (this.#ended || this.#givenUp !== undefined) return;
    this.#stopPulling(error);
    this.#endIfIdle();
  }

  #stopPulling(error: unknown): void {
    this.#givenUp ??= { error };
    if (!this.#exhausted) {
      this.#exhausted = true;
      this.#closeIterator();
    }
    // What an asynchronous source may still deliver is not waited for.
    this.#pulling = false;
    for (const item of this.#running) item.abort(error);
  }

  #closeIterator(): void {
    // A generator can't be closed from within its own next(); #pull does it afterwards.
    if (this.#inNext) return;
    try {
      const closed = this.#iterator.return?.();
      if (this.#isAsync) Promise.resolve(closed).catch(() => {});
    } catch {
      // The run is given up for a reason of its own, which must not be hidden by this one.
    }
  }

  #pump(): void {
    if (this.#pulling) return;
    this.#pulling = true;
    while (!this.#exhausted && this.#taken < this.#options.concurrency) {
      if (this.#isAsync) {
        this.#pullAsync();
        return;
      }
      this.#pull();
    }
    this.#pulling = false;
    this.#endIfIdle();
  }

  #pull(): void {
    let done: boolean;
    let value: Item | undefined;
    this.#inNext = true;
    try {
      const result = this.#iterator.next() as IteratorResult<Item>;
      done = result.done === true;
      if (!done) value = result.value;
    } catch (error) {
      this.#inNext = false;
      this.#failSource(error);
      return;
    }
    this.#inNext = false;
    // Given up from within the source.
    if (this.#exhausted) this.#closeIterator();
    else if (done) this.#exhausted = true;
    else this.#begin(value as Item);
  }

  #pullAsync(): void {
    let pulled: Promise<IteratorResult<Item>>;
    try {
      pulled = Promise.resolve(this.#iterator.next());
    } catch (error) {
      pulled = Promise.reject(error);
    }
    pulled.then((result) => this.#accept(result)).catch((error) => this.#failSource(error));
  }

  #accept(result: IteratorResult<Item>): void {
    // Given up meanwhile: the iterator is closed already.
    if (this.#exhausted) return;
    const done = result.done === true;
    const value = done ? undefined : result.value;
    this.#pulling = false;
    if (done) this.#exhausted = true;
    else this.#begin(value as Item);
    this.#pump();
  }

  #failSource(error: unknown): void {
    if (this.#exhausted) return;
    this.#exhausted = true;
    this.#sourceFailed = { error };
    this.abandon(error);
  }

  #begin(value: Item): void {
    const { clock, itemTimeoutMs } = this.#options;
    this.#taken++;
    const item = new ItemRun(this.#nextIndex++, clock.now());
    this.#running.add(item);
    if (itemTimeoutMs !== undefined) {
      item.timer = clock.setTimeout(() => this.#timeOut(item, itemTimeoutMs), itemTimeoutMs);
    }
    let outcome: PromiseLike<Value> | Value;
    try {
      outcome = this.#worker(value, item);
      if (isThenable(outcome)) {
        // A foreign thenable may give another one, or answer twice; a native promise is passed through.
        Promise.resolve(outcome).then(
          (result) => this.#succeed(item, result),
          (error) => this.#fail(item, error),
        );
        return;
      }
    } catch (error) {
      this.#fail(item, error);
      return;
    }
    this.#succeed(item, outcome);
  }

  #timeOut(item: ItemRun, itemTimeoutMs: Milliseconds): void {
    const error = new TimeoutError(
      'HOTPATH_GATHER_ITEM_TIMEOUT',
      `item ${item.index} was not done within ${itemTimeoutMs} ms`,
    );
    item.abort(error);
    this.#settleFailed(item, 'error', error);
  }

  #succeed(item: ItemRun, value: Value): void {
    const { index, attempts } = item;
    this.#settle(item, { index, status: 'ok', value, attempts, totalMs: this.#spentMs(item) });
  }

  #fail(item: ItemRun, error: unknown): void {
    const isAborted = this.#givenUp !== undefined && isAbort(error, this.#givenUp.error);
    this.#settleFailed(item, isAborted ? 'aborted' : 'error', error);
  }

  #settleFailed(item: ItemRun, status: 'error' | 'aborted', error: unknown): void {
    const { index, attempts } = item;
    this.#settle(item, { index, status, error, attempts, totalMs: this.#spentMs(item) });
  }

  #spentMs(item: ItemRun): Milliseconds {
    return this.#options.clock.now() - item.startedMs;
  }

  #settle(item: ItemRun, result: GatherResult<Value>): void {
    // A late answer of an item that was given up is dropped.
    if (!this.#running.delete(item)) return;
    if (item.timer !== undefined) this.#options.clock.clearTimeout(item.timer);
    this.#sink.onResult(result);
    this.#endIfIdle();
  }

  #endIfIdle(): void {
    if (this.#exhausted && !this.#pulling && this.#running.size === 0) this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#options.clock.clearTimeout(this.#deadline);
    this.#sink.onEnd(this.#givenUp);
  }
}

/** The reason given to siblings that are aborted because of another item's outcome. */
export function siblingError(message: string): AbortedError<'HOTPATH_GATHER_SIBLING'> {
  return new AbortedError('HOTPATH_GATHER_SIBLING', message);
}

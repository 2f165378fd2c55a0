import type { Clock, Milliseconds, TimerHandle } from './clock.ts';
import { AbortedError, TimeoutError } from './errors.ts';
import { deadlineError } from './signals.ts';

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

/** Does one item's work; may be synchronous. */
export type GatherWorker<Item, Value> = (item: Item, context: GatherContext) => PromiseLike<Value> | Value;

export type GatherItems<Item> = Iterable<Item> | AsyncIterable<Item>;

/** What a run needs besides items and worker, validated. */
export interface GatherRunOptions {
  readonly concurrency: number;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: Milliseconds | undefined;
  readonly itemTimeoutMs: Milliseconds | undefined;
  readonly clock: Clock;
}

/** Who is told what happens in a run. */
export interface GatherSink<Value> {
  /** One item is settled. */
  onResult(result: GatherResult<Value>): void;
  /** The run is over: every item that was begun is settled. `reason` is set when it was given up. */
  onEnd(reason: { readonly error: unknown } | undefined): void;
}

class ItemRun implements GatherContext {
  readonly index: number;
  readonly startedMs: Milliseconds;
  attempts = 1;
  timer: TimerHandle | undefined;
  #controller: AbortController | undefined;
  #reason: { readonly error: unknown } | undefined;

  constructor(index: number, startedMs: Milliseconds) {
    this.index = index;
    this.startedMs = startedMs;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason.error);
    }
    return this.#controller.signal;
  }

  abort(error: unknown): void {
    if (this.#reason !== undefined) return;
    this.#reason = { error };
    this.#controller?.abort(error);
  }
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
  readonly #options: GatherRunOptions;
  readonly #sink: GatherSink<Value>;
  readonly #iterator: Iterator<Item> | AsyncIterator<Item>;
  readonly #isAsync: boolean;
  readonly #running = new Set<ItemRun>();
  #taken = 0;
  #nextIndex = 0;
  #exhausted = false;
  #pulling = false;
  #ended = false;
  #givenUp: { readonly error: unknown } | undefined;
  #sourceFailed: { readonly error: unknown } | undefined;
  #deadline: TimerHandle | undefined;
  readonly #onAbort = (): void => this.abandon(this.#options.signal?.reason);

  constructor(
    items: GatherItems<Item>,
    worker: GatherWorker<Item, Value>,
    options: GatherRunOptions,
    sink: GatherSink<Value>,
  ) {
    this.#worker = worker;
    this.#options = options;
    this.#sink = sink;
    this.#isAsync = Symbol.asyncIterator in items;
    this.#iterator = this.#isAsync
      ? (items as AsyncIterable<Item>)[Symbol.asyncIterator]()
      : (items as Iterable<Item>)[Symbol.iterator]();
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
      this.#settle(item, { index: item.index, status: 'aborted', error, ...this.#spent(item) });
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
      let pulled: IteratorResult<Item> | Promise<IteratorResult<Item>>;
      try {
        pulled = this.#iterator.next();
      } catch (error) {
        this.#failSource(error);
        break;
      }
      if (this.#isAsync) {
        (pulled as Promise<IteratorResult<Item>>).then(
          (result) => {
            this.#pulling = false;
            this.#accept(result);
            this.#pump();
          },
          (error) => {
            this.#pulling = false;
            if (this.#exhausted) return;
            this.#failSource(error);
          },
        );
        return;
      }
      this.#accept(pulled as IteratorResult<Item>);
    }
    this.#pulling = false;
    this.#endIfIdle();
  }

  #failSource(error: unknown): void {
    this.#exhausted = true;
    this.#sourceFailed = { error };
    this.abandon(error);
  }

  #accept(result: IteratorResult<Item>): void {
    if (result.done === true) {
      this.#exhausted = true;
      return;
    }
    // Pulled before the run was given up, arrived afterwards.
    if (this.#exhausted) return;
    this.#taken++;
    this.#begin(result.value);
  }

  #begin(value: Item): void {
    const { clock, itemTimeoutMs } = this.#options;
    const item = new ItemRun(this.#nextIndex++, clock.now());
    this.#running.add(item);
    if (itemTimeoutMs !== undefined) {
      item.timer = clock.setTimeout(() => this.#timeOut(item, itemTimeoutMs), itemTimeoutMs);
    }
    let outcome: PromiseLike<Value> | Value;
    try {
      outcome = this.#worker(value, item);
    } catch (error) {
      this.#fail(item, error);
      return;
    }
    if (isThenable(outcome)) {
      outcome.then(
        (result) => this.#succeed(item, result),
        (error) => this.#fail(item, error),
      );
    } else {
      this.#succeed(item, outcome);
    }
  }

  #timeOut(item: ItemRun, itemTimeoutMs: Milliseconds): void {
    const error = new TimeoutError(
      'HOTPATH_GATHER_ITEM_TIMEOUT',
      `item ${item.index} was not done within ${itemTimeoutMs} ms`,
    );
    item.abort(error);
    this.#settle(item, { index: item.index, status: 'error', error, ...this.#spent(item) });
  }

  #succeed(item: ItemRun, value: Value): void {
    const { attempts } = item;
    const totalMs = this.#options.clock.now() - item.startedMs;
    this.#settle(item, { index: item.index, status: 'ok', value, attempts, totalMs });
  }

  #fail(item: ItemRun, error: unknown): void {
    const status = this.#givenUp === undefined ? 'error' : 'aborted';
    this.#settle(item, { index: item.index, status, error, ...this.#spent(item) });
  }

  #spent(item: ItemRun): { attempts: number; totalMs: Milliseconds } {
    return { attempts: item.attempts, totalMs: this.#options.clock.now() - item.startedMs };
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

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}

/** The reason given to siblings that are aborted because of another item's outcome. */
export function siblingError(message: string): AbortedError<'HOTPATH_GATHER_SIBLING'> {
  return new AbortedError('HOTPATH_GATHER_SIBLING', message);
}

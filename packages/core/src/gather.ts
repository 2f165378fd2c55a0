import { type Clock, type Milliseconds, systemClock } from './clock.ts';
import {
  type GatherContext,
  type GatherItems,
  type GatherResult,
  GatherRun,
  type GatherRunOptions,
  type GatherSink,
  type GatherWorker,
  siblingError,
} from './gather-run.ts';
import { describe, type OptionReader, optionReader } from './options.ts';

/** How a gather ends: with every outcome, at the first failure, or at the first success. */
export type GatherMode = 'settled' | 'failFast' | 'any';

/** How far a gather has come. */
export interface GatherProgress {
  readonly completed: number;
  /** How many of them did not end well. */
  readonly failed: number;
  /** How many items there are; `undefined` when the input does not tell. */
  readonly total: number | undefined;
  readonly elapsedMs: Milliseconds;
}

/** What {@link gather} and {@link gatherStream} take both. */
export interface GatherLimits {
  /** How many items may run at once. Default 50. */
  readonly concurrency?: number;
  /** Gives the whole group up. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the whole group; absent means no end. */
  readonly timeoutMs?: Milliseconds | undefined;
  /** Milliseconds for each item, from its beginning; absent means no end. */
  readonly itemTimeoutMs?: Milliseconds | undefined;
  readonly clock?: Clock;
}

/** What {@link gather} takes. */
export interface GatherOptions<Mode extends GatherMode = GatherMode> extends GatherLimits {
  /** Default `settled`. */
  readonly mode?: Mode;
  /** Milliseconds that `failFast` and `any` wait for aborted siblings to settle before they go on. Default 5,000. */
  readonly abortGraceMs?: Milliseconds;
  /** Told how far it has come, at most once a `progressIntervalMs`, and once at the end. */
  readonly onProgress?: (progress: GatherProgress) => void;
  /** Default 100. */
  readonly progressIntervalMs?: Milliseconds;
}

/** What {@link gather} resolves with, by its mode. */
export type GatherOutcome<Mode extends GatherMode, Value> = Mode extends 'settled'
  ? GatherResult<Value>[]
  : Mode extends 'failFast'
    ? Value[]
    : Value;

/** Why a gather failed; `errors[i]` is what item `indices[i]` failed with. */
export class GatherError extends AggregateError {
  static {
    GatherError.prototype.name = 'GatherError';
    Object.defineProperty(GatherError.prototype, Symbol.for('hotpath.error'), { value: true });
  }

  /** `HOTPATH_GATHER_FAILED`: an item failed in mode `failFast`; `HOTPATH_GATHER_NONE`: none succeeded in mode `any`. */
  readonly code: 'HOTPATH_GATHER_FAILED' | 'HOTPATH_GATHER_NONE';
  /** The positions of the failed items, ascending. */
  readonly indices: readonly number[];

  constructor(
    code: GatherError['code'],
    message: string,
    failures: readonly { index: number; error: unknown }[],
  ) {
    const ordered = [...failures].sort((a, b) => a.index - b.index);
    super(
      ordered.map((failure) => failure.error),
      message,
    );
    this.code = code;
    this.indices = ordered.map((failure) => failure.index);
  }

  get family(): 'upstream' {
    return 'upstream';
  }
}

/** Reads what gather and gatherStream have in common; leaves the reader open for the rest. */
export function readGatherLimits(read: OptionReader): GatherRunOptions {
  return {
    concurrency: read.integer('concurrency', 50, { min: 1 }),
    signal: read.object<AbortSignal | undefined>('signal', undefined, [
      'addEventListener',
      'removeEventListener',
    ]),
    timeoutMs: read.number('timeoutMs', undefined, { min: 0 }),
    itemTimeoutMs: read.number('itemTimeoutMs', undefined, { min: 0 }),
    clock: read.object<Clock>('clock', systemClock, ['now', 'setTimeout', 'clearTimeout']),
  };
}

/** @throws TypeError when `items` can't be iterated or `worker` is no function. */
export function checkGatherInput(owner: string, items: unknown, worker: unknown): void {
  const isIterable =
    typeof items === 'string' ||
    (typeof items === 'object' &&
      items !== null &&
      (Symbol.iterator in items || Symbol.asyncIterator in items));
  if (!isIterable) throw new TypeError(`${owner}: items must be iterable, got ${describe(items)}`);
  if (typeof worker !== 'function')
    throw new TypeError(`${owner}: worker must be a function, got ${describe(worker)}`);
}

/**
 * Runs `worker` on every item, a bounded number at a time, and resolves with the results in input order.
 *
 * Items are pulled lazily, so an endless or slow input is fine; its `return()` is called when the
 * gather ends early. Modes:
 * - `settled` (default) always resolves: one {@link GatherResult} an item. When the group's signal
 *   or time ends it, what ran is `aborted`, what had not begun is `skipped` (known for arrays,
 *   sets and maps; of other inputs only what was pulled has a result), and it resolves at once.
 * - `failFast` resolves with the values. The first failure aborts the siblings, waits for them to
 *   settle (at most `abortGraceMs`) and rejects with a {@link GatherError}.
 * - `any` resolves with the first value, after the siblings were aborted and settled as above.
 *
 * An item whose `itemTimeoutMs` is over fails with a TimeoutError (HOTPATH_GATHER_ITEM_TIMEOUT).
 * Cost: one listener on the group's signal, no signal an item unless its worker reads it.
 *
 * @example
 * const results = await gather(ids, (id, { signal }) => load(id, { signal }), { concurrency: 10 });
 * const loaded = results.filter((result) => result.status === 'ok').map((result) => result.value);
 *
 * @throws GatherError (HOTPATH_GATHER_FAILED) in mode `failFast` when an item fails.
 * @throws GatherError (HOTPATH_GATHER_NONE) in mode `any` when no item succeeds.
 * @throws TimeoutError (HOTPATH_DEADLINE) in modes `failFast` and `any` when `timeoutMs` is over.
 * @throws The signal's reason, untouched, in modes `failFast` and `any`; what the input throws, in all.
 * @throws TypeError or RangeError when an argument or option is wrong; nothing has begun then.
 */
export function gather<Item, Value, const Mode extends GatherMode = 'settled'>(
  items: GatherItems<Item>,
  worker: (item: Item, context: GatherContext) => PromiseLike<Value> | Value,
  options: GatherOptions<Mode> = {},
): Promise<GatherOutcome<Mode, Value>> {
  return new Promise((resolve, reject) => {
    checkGatherInput('gather', items, worker);
    const read = optionReader('gather', options);
    const limits = readGatherLimits(read);
    const collector = new Collector<Item, Value>(items, worker, limits, {
      mode: read.oneOf('mode', ['settled', 'failFast', 'any'], 'settled'),
      abortGraceMs: read.number('abortGraceMs', 5_000, { min: 0 }),
      onProgress: read.function<((progress: GatherProgress) => void) | undefined>('onProgress', undefined),
      progressIntervalMs: read.number('progressIntervalMs', 100, { min: 0 }),
      resolve: resolve as (outcome: unknown) => void,
      reject,
    });
    read.end();
    collector.start();
  });
}

interface CollectorOptions {
  readonly mode: GatherMode;
  readonly abortGraceMs: Milliseconds;
  readonly onProgress: ((progress: GatherProgress) => void) | undefined;
  readonly progressIntervalMs: Milliseconds;
  readonly resolve: (outcome: unknown) => void;
  readonly reject: (error: unknown) => void;
}

class Collector<Item, Value> implements GatherSink<Value> {
  readonly #run: GatherRun<Item, Value>;
  readonly #limits: GatherRunOptions;
  readonly #options: CollectorOptions;
  readonly #total: number | undefined;
  readonly #results: (GatherResult<Value> | Value)[] = [];
  readonly #failures: { index: number; error: unknown }[] = [];
  readonly #startedMs: Milliseconds;
  #winner: { readonly value: Value } | undefined;
  #completed = 0;
  #failed = 0;
  #reportedMs: Milliseconds;

  constructor(
    items: GatherItems<Item>,
    worker: GatherWorker<Item, Value>,
    limits: GatherRunOptions,
    options: CollectorOptions,
  ) {
    this.#limits = limits;
    this.#options = options;
    this.#total = sizeOf(items);
    this.#run = new GatherRun(items, worker, limits, this);
    this.#startedMs = limits.clock.now();
    this.#reportedMs = this.#startedMs;
  }

  start(): void {
    this.#run.start();
  }

  onResult(result: GatherResult<Value>): void {
    const { mode } = this.#options;
    this.#completed++;
    if (result.status !== 'ok') this.#failed++;
    if (mode === 'settled') this.#results[result.index] = result;
    else if (result.status === 'ok') this.#keepValue(result.index, result.value);
    else if (result.status === 'error') this.#keepFailure(result.index, result.error);
    if (this.#options.onProgress !== undefined && !this.#reportIfDue(this.#options.onProgress)) return;
    this.#run.release();
  }

  #keepValue(index: number, value: Value): void {
    if (this.#options.mode === 'failFast') {
      this.#results[index] = value;
    } else if (this.#winner === undefined) {
      this.#winner = { value };
      this.#windDown(siblingError(`item ${index} succeeded first`));
    }
  }

  #keepFailure(index: number, error: unknown): void {
    this.#failures.push({ index, error });
    if (this.#options.mode === 'failFast' && this.#failures.length === 1) {
      this.#windDown(siblingError(`item ${index} failed`));
    }
  }

  #windDown(error: unknown): void {
    const { clock } = this.#limits;
    const { abortGraceMs } = this.#options;
    const grace = clock.setTimeout(() => this.#run.abandon(error), abortGraceMs);
    this.#clearGrace = () => clock.clearTimeout(grace);
    this.#run.windDown(error);
  }

  #clearGrace: () => void = () => {};

  /** Returns false when the listener threw, which ends the gather with that error. */
  #reportIfDue(onProgress: (progress: GatherProgress) => void): boolean {
    const nowMs = this.#limits.clock.now();
    if (nowMs - this.#reportedMs < this.#options.progressIntervalMs) return true;
    this.#reportedMs = nowMs;
    return this.#report(onProgress);
  }

  #report(onProgress: (progress: GatherProgress) => void): boolean {
    try {
      onProgress({
        completed: this.#completed,
        failed: this.#failed,
        total: this.#total,
        elapsedMs: this.#limits.clock.now() - this.#startedMs,
      });
      return true;
    } catch (error) {
      this.#options.reject(error);
      this.#run.abandon(error);
      return false;
    }
  }

  onEnd(reason: { readonly error: unknown } | undefined): void {
    this.#clearGrace();
    const { mode, resolve, reject, onProgress } = this.#options;
    if (mode === 'settled') this.#skipRest(reason);
    if (onProgress !== undefined && !this.#report(onProgress)) return;
    if (this.#winner !== undefined) resolve(this.#winner.value);
    else if (mode === 'failFast' && this.#failures.length > 0) reject(this.#failedError());
    else if (reason !== undefined && (mode !== 'settled' || this.#run.sourceFailed)) reject(reason.error);
    else if (mode === 'any') reject(this.#noneError());
    else resolve(this.#results);
  }

  #skipRest(reason: { readonly error: unknown } | undefined): void {
    if (reason === undefined || this.#total === undefined) return;
    const { error } = reason;
    for (let index = this.#run.begun; index < this.#total; index++) {
      this.#results[index] = { index, status: 'skipped', error, attempts: 0, totalMs: 0 };
    }
  }

  #failedError(): GatherError {
    const indices = this.#failures.map((failure) => failure.index).sort((a, b) => a - b);
    const named = indices.length === 1 ? `item ${indices[0]}` : `items ${indices.join(', ')}`;
    return new GatherError('HOTPATH_GATHER_FAILED', `${named} failed`, this.#failures);
  }

  #noneError(): GatherError {
    return new GatherError(
      'HOTPATH_GATHER_NONE',
      `none of ${this.#completed} items succeeded`,
      this.#failures,
    );
  }
}

function sizeOf(items: GatherItems<unknown>): number | undefined {
  if (Array.isArray(items)) return items.length;
  if (items instanceof Set || items instanceof Map) return items.size;
  return undefined;
}

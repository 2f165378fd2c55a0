import { failedGather, fruitlessGather, type GatherFailure } from '../gather-error.ts';
import type { GatherItems, GatherResult, GatherWorker } from '../gather-item.ts';
import type { ResolvedGatherOptions } from '../gather-options.ts';
import { ProgressReport } from './gather-progress.ts';
import { GatherRun, type GatherSink, siblingError } from './gather-run.ts';

/** Makes one outcome of a run's results, as its mode says. */
export class GatherCollector<Item, Value> implements GatherSink<Value> {
  readonly #run: GatherRun<Item, Value>;
  readonly #options: ResolvedGatherOptions;
  readonly #resolve: (outcome: unknown) => void;
  readonly #reject: (error: unknown) => void;
  readonly #total: number | undefined;
  readonly #progress: ProgressReport | undefined;
  readonly #results: (GatherResult<Value> | Value | undefined)[] = [];
  readonly #failures: GatherFailure[] = [];
  #winner: { readonly value: Value } | undefined;
  #clearGrace: () => void = () => {};

  constructor(
    items: GatherItems<Item>,
    worker: GatherWorker<Item, Value>,
    options: ResolvedGatherOptions,
    resolve: (outcome: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    const { limits, onProgress, progressIntervalMs } = options;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#total = sizeOf(items);
    const end = (error: unknown): void => this.#endWith(error);
    this.#progress =
      onProgress && new ProgressReport(onProgress, end, progressIntervalMs, this.#total, limits.clock);
    this.#run = new GatherRun(items, worker, limits, this);
  }

  start(): void {
    this.#run.start();
  }

  onResult(result: GatherResult<Value>): void {
    const { mode } = this.#options;
    if (this.#progress !== undefined && !this.#report(result.status === 'ok')) return;
    if (mode === 'settled') this.#place(result.index, result);
    else if (result.status === 'ok') this.#keepValue(result.index, result.value);
    else if (result.status === 'error') this.#keepFailure(result.index, result.error);
    this.#run.release();
  }

  onEnd(reason: { readonly error: unknown } | undefined): void {
    const { mode } = this.#options;
    this.#clearGrace();
    if (mode === 'settled') this.#skipRest(reason);
    if (this.#progress !== undefined && !this.#report()) return;
    if (this.#winner !== undefined) this.#resolve(this.#winner.value);
    else if (mode === 'failFast' && this.#failures.length > 0) this.#reject(failedGather(this.#failures));
    else if (reason !== undefined && (mode !== 'settled' || this.#run.sourceFailed))
      this.#reject(reason.error);
    else if (mode === 'any') this.#reject(fruitlessGather(this.#failures));
    else this.#resolve(this.#results);
  }

  /** Puts a result at its index; the array stays dense, which a large one needs to stay an array inside. */
  #place(index: number, result: GatherResult<Value> | Value): void {
    while (this.#results.length < index) this.#results.push(undefined);
    if (index < this.#results.length) this.#results[index] = result;
    else this.#results.push(result);
  }

  #keepValue(index: number, value: Value): void {
    if (this.#options.mode === 'failFast') {
      this.#place(index, value);
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
    const { limits, abortGraceMs } = this.#options;
    const grace = limits.clock.setTimeout(() => this.#run.abandon(error), abortGraceMs);
    this.#clearGrace = () => limits.clock.clearTimeout(grace);
    this.#run.windDown(error);
  }

  /** Counts an item, or makes the last report; false when the listener threw, which ends the gather with that error. */
  #report(succeeded?: boolean): boolean {
    try {
      if (succeeded === undefined) this.#progress?.report();
      else this.#progress?.count(succeeded);
      return true;
    } catch (error) {
      this.#endWith(error);
      return false;
    }
  }

  #endWith(error: unknown): void {
    this.#reject(error);
    this.#run.abandon(error);
  }

  #skipRest(reason: { readonly error: unknown } | undefined): void {
    if (reason === undefined || this.#total === undefined) return;
    const { error } = reason;
    for (let index = this.#run.begun; index < this.#total; index++) {
      this.#place(index, { index, status: 'skipped', error, attempts: 0, totalMs: 0 });
    }
  }
}

function sizeOf(items: GatherItems<unknown>): number | undefined {
  if (Array.isArray(items)) return items.length;
  if (items instanceof Set || items instanceof Map) return items.size;
  return undefined;
}

import type { Clock, Milliseconds } from '../clock.ts';
import type { GatherProgress } from '../gather-options.ts';
import { isThenable } from './item-run.ts';

/** Counts a gather's items, and tells a listener about them now and then. */
export class ProgressReport {
  readonly #clock: Clock;
  readonly #intervalMs: Milliseconds;
  readonly #total: number | undefined;
  readonly #startedMs: Milliseconds;
  #listener: ((progress: GatherProgress) => unknown) | undefined;
  readonly #onRejection: (error: unknown) => void;
  #reportedMs: Milliseconds;
  #completed = 0;
  #failed = 0;

  /** `onRejection` is told what an asynchronous listener fails with, however late; it is not called again then. */
  constructor(
    listener: (progress: GatherProgress) => unknown,
    onRejection: (error: unknown) => void,
    intervalMs: Milliseconds,
    total: number | undefined,
    clock: Clock,
  ) {
    this.#listener = listener;
    this.#onRejection = (error) => {
      this.#listener = undefined;
      onRejection(error);
    };
    this.#intervalMs = intervalMs;
    this.#total = total;
    this.#clock = clock;
    this.#startedMs = clock.now();
    this.#reportedMs = this.#startedMs;
  }

  /** @throws What the listener throws; it is not called again then. */
  count(succeeded: boolean): void {
    this.#completed++;
    if (!succeeded) this.#failed++;
    const nowMs = this.#clock.now();
    if (nowMs - this.#reportedMs < this.#intervalMs) return;
    this.#reportedMs = nowMs;
    this.report();
  }

  /** @throws What the listener throws; it is not called again then. */
  report(): void {
    try {
      const told = this.#listener?.({
        completed: this.#completed,
        failed: this.#failed,
        total: this.#total,
        elapsedMs: this.#clock.now() - this.#startedMs,
      });
      if (isThenable(told)) Promise.resolve(told).catch(this.#onRejection);
    } catch (error) {
      this.#listener = undefined;
      throw error;
    }
  }
}

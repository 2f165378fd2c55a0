import type { Milliseconds, TimerHandle } from '../clock.ts';
import type { GatherContext } from '../gather-item.ts';

/** One item that is being worked on. */
export class ItemRun implements GatherContext {
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

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function'
  );
}

/** Whether a worker failed with this because it was told to stop. */
export function isAbort(error: unknown, reason: unknown): boolean {
  if (error === reason) return true;
  if (!(error instanceof Error)) return false;
  return error.name === 'AbortError' || error.cause === reason;
}

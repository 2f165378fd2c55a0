import type { BatchContext } from '../batcher.ts';
import type { TimerHandle } from '../clock.ts';

/** One caller that waits for an item. */
export interface Waiter<Value> {
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
  /** Takes its listener off its signal, where it has one. */
  untie: (() => void) | undefined;
}

/** An item's place in a batch, shared by all who asked for it. */
export class Slot<Item, Value> {
  readonly item: Item;
  readonly bytes: number;
  readonly waiters: Set<Waiter<Value>> = new Set();

  constructor(item: Item, bytes: number) {
    this.item = item;
    this.bytes = bytes;
  }

  settle(result: Value | Error | undefined): void {
    if (result instanceof Error) {
      this.fail(result);
      return;
    }
    for (const waiter of this.waiters) {
      waiter.untie?.();
      waiter.resolve(result as Value);
    }
  }

  fail(error: unknown): void {
    for (const waiter of this.waiters) {
      waiter.untie?.();
      waiter.reject(error);
    }
  }
}

/** What is loaded together, from its first item until it has settled. */
export class Batch<Item, Value> implements BatchContext {
  readonly slots: Map<unknown, Slot<Item, Value>> = new Map();
  bytes = 0;
  /** How many callers wait, over all slots. */
  waiting = 0;
  /** Whether its loading has begun, or it fell apart before that. */
  begun = false;
  /** Whether it goes at the end of the tick rather than when its window is over. */
  goesWithTick = false;
  timer: TimerHandle | undefined;
  #controller: AbortController | undefined;
  #aborted: { readonly reason: unknown } | undefined;
  #settled: Promise<void> | undefined;
  #settle: (() => void) | undefined;

  /** Made when first read. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted.reason);
    }
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#aborted ??= { reason };
    this.#controller?.abort(reason);
  }

  /** Resolves once {@link Batch.finish} is called; to be read before that. */
  get settled(): Promise<void> {
    this.#settled ??= new Promise((resolve) => {
      this.#settle = resolve;
    });
    return this.#settled;
  }

  finish(): void {
    this.#settle?.();
  }
}

import type { BatchContext } from '../batcher.ts';
import type { TimerHandle } from '../clock.ts';

/** One caller that waits for an item. */
export class Waiter<Value> {
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
  /** Takes its listener off its signal, where it has one. */
  untie: (() => void) | undefined = undefined;
  /** Where it stands in its slot. */
  position = 0;

  constructor(resolve: (value: Value) => void, reject: (error: unknown) => void) {
    this.resolve = resolve;
    this.reject = reject;
  }
}

/** An item's place in a batch, shared by all who asked for it. */
export class Slot<Item, Value> {
  readonly item: Item;
  readonly bytes: number;
  readonly #waiters: Waiter<Value>[] = [];

  constructor(item: Item, bytes: number) {
    this.item = item;
    this.bytes = bytes;
  }

  get isEmpty(): boolean {
    return this.#waiters.length === 0;
  }

  join(waiter: Waiter<Value>): void {
    waiter.position = this.#waiters.push(waiter) - 1;
  }

  /** The last one takes the place of the one that leaves: O(1) also where thousands wait for one item. */
  leave(waiter: Waiter<Value>): void {
    const last = this.#waiters.pop() as Waiter<Value>;
    if (last === waiter) return;
    this.#waiters[waiter.position] = last;
    last.position = waiter.position;
  }

  settle(result: Value | Error | undefined): void {
    if (result instanceof Error) {
      this.fail(result);
      return;
    }
    for (const waiter of this.#waiters) {
      waiter.untie?.();
      waiter.resolve(result as Value);
    }
  }

  fail(error: unknown): void {
    for (const waiter of this.#waiters) {
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
  /** Whether it has settled. */
  over = false;
  /** Whether it goes at the end of the tick rather than when its window is over. */
  goesWithTick = false;
  /** Its window's timer, then that of its loading. */
  timer: TimerHandle | undefined = undefined;
  #controller: AbortController | undefined = undefined;
  #aborted: { readonly reason: unknown } | undefined = undefined;
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
    this.over = true;
    this.#settle?.();
  }
}

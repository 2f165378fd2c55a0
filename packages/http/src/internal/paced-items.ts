import type { GatherItems } from '@hotpath/core';
import type { GatherGate } from './gather-gate.ts';

/**
 * A gather's items as its gate lets them through; the next one is asked for only when there is room.
 *
 * By hand rather than as an async generator: that one costs five promises an item.
 */
export class PacedItems<Item> implements AsyncIterableIterator<Item, undefined> {
  readonly #source: Iterator<Item> | AsyncIterator<Item>;
  readonly #gate: GatherGate;

  constructor(items: GatherItems<Item>, gate: GatherGate) {
    this.#source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
    this.#gate = gate;
  }

  next(): Promise<IteratorResult<Item, undefined>> {
    if (this.#gate.hasRoom) return this.#pull();
    return new Promise((resolve) => this.#gate.whenRoom(() => resolve(this.#pull())));
  }

  async return(): Promise<IteratorResult<Item, undefined>> {
    this.#gate.close();
    await this.#source.return?.();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #pull(): Promise<IteratorResult<Item, undefined>> {
    try {
      return Promise.resolve(this.#source.next());
    } catch (error) {
      return Promise.reject(error);
    }
  }
}

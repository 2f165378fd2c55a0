import { getEventListeners } from 'node:events';

/** How many listeners wait for a signal's abort. */
export const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

/** A worker that never settles. */
export const never = (): Promise<never> => new Promise(() => {});

/** What a promise rejects with. */
export const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no failure',
    (error) => error,
  );

export interface Counted<Item> {
  readonly input: Iterable<Item>;
  readonly seen: { pulled: number; returned: number };
}

/** An input that counts what is done with it. */
export function counted<Item>(items: Iterable<Item>, isAsync = false): Counted<Item> {
  const inner = items[Symbol.iterator]();
  const seen = { pulled: 0, returned: 0 };
  const step = {
    next: () => {
      seen.pulled++;
      return isAsync ? Promise.resolve(inner.next()) : inner.next();
    },
    return: () => {
      seen.returned++;
      const done = { done: true as const, value: undefined };
      return isAsync ? Promise.resolve(done) : done;
    },
  };
  const input = {
    [isAsync ? Symbol.asyncIterator : Symbol.iterator]: () => step,
  } as unknown as Iterable<Item>;
  return { input, seen };
}

/** An endless input. */
export function* naturals(): Generator<number, void, void> {
  for (let value = 0; ; value++) yield value;
}

import { type Batcher, type BatcherOptions, batcher, describe, optionReader } from '@hotpath/core';
import type { Engine } from './internal/engine.ts';
import type { Operation } from './internal/operation.ts';
import type { HttpRequest } from './request.ts';

const LOOK_UP: Operation = { name: 'batcher', kind: 'json', method: 'GET' };

/** What `client.batcher` takes: how a batch becomes a request, how an answer becomes results, and when batches go. */
export interface HttpBatcherOptions<Item, Value> extends BatcherOptions<Item> {
  /** The request that looks these items up. */
  readonly toRequest: (items: readonly Item[]) => HttpRequest | string;
  /** One result an item, in the items' order; an `Error` fails that item alone. `body` is the answer's JSON. */
  readonly fromResponse: (body: unknown, items: readonly Item[]) => readonly (Value | Error)[];
}

/** `client.batcher`. */
export function batchRequests<Item, Value>(
  engine: Engine,
  options: HttpBatcherOptions<Item, Value>,
): Batcher<Item, Value> {
  optionReader('batcher', options);
  const { toRequest, fromResponse, ...limits } = options ?? {};
  for (const [name, given] of Object.entries({ toRequest, fromResponse })) {
    if (typeof given !== 'function') {
      throw new TypeError(`batcher: option '${name}' must be a function, got ${describe(given)}`);
    }
  }
  return batcher<Item, Value>(
    async (items, { signal }) => {
      const body = await engine.send(LOOK_UP, toRequest(items), signal);
      return fromResponse(body, items);
    },
    { clock: engine.clock, ...limits },
  );
}

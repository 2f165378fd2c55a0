import type { GatherContext, GatherItems, GatherResult } from './gather-item.ts';
import {
  checkGatherInput,
  type GatherMode,
  type GatherOptions,
  resolveGatherOptions,
} from './gather-options.ts';
import { GatherCollector } from './internal/gather-collector.ts';

/** What {@link gather} resolves with, by its mode. */
export type GatherOutcome<Mode extends GatherMode | undefined, Value> = Mode extends 'failFast'
  ? Value[]
  : Mode extends 'any'
    ? Value
    : GatherResult<Value>[];

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
export function gather<Item, Value, const Mode extends GatherMode | undefined = 'settled'>(
  items: GatherItems<Item>,
  worker: (item: Item, context: GatherContext) => PromiseLike<Value> | Value,
  options: GatherOptions<Mode> = {},
): Promise<GatherOutcome<Mode, Value>> {
  return new Promise((resolve, reject) => {
    checkGatherInput('gather', items, worker);
    const resolved = resolveGatherOptions(options);
    const take = resolve as (outcome: unknown) => void;
    new GatherCollector(items, worker, resolved, take, reject).start();
  });
}

import type { GatherContext, GatherItems, GatherResult } from './gather-item.ts';
import { checkGatherInput, type GatherStreamOptions, resolveGatherStreamOptions } from './gather-options.ts';
import { GatherRun, siblingError } from './internal/gather-run.ts';

/**
 * Runs `worker` on every item and yields the results one by one, under back-pressure.
 *
 * At most `concurrency` items are running or waiting to be taken, so a slow reader slows the input.
 * Leaving the loop early aborts what runs and calls the input's `return()`. Always `settled`: an
 * item's failure is its result. When the group's signal or time ends it, what ran is yielded as
 * `aborted`, and the stream ends.
 *
 * @example
 * for await (const result of gatherStream(ids, (id) => load(id))) if (result.status === 'ok') use(result.value);
 *
 * @throws What the input throws, after the results that came before it.
 * @throws TypeError or RangeError at once when an argument or option is wrong.
 */
export function gatherStream<Item, Value>(
  items: GatherItems<Item>,
  worker: (item: Item, context: GatherContext) => PromiseLike<Value> | Value,
  options: GatherStreamOptions = {},
): AsyncGenerator<GatherResult<Value>, void, void> {
  checkGatherInput('gatherStream', items, worker);
  const { limits, order } = resolveGatherStreamOptions(options);
  let run: GatherRun<Item, Value> | undefined;
  const leave = (): void => run?.abandon(siblingError('the reader of the stream left'));

  const results = stream();
  const close = results.return.bind(results);
  // A generator would first wait for the result that is being read, perhaps for ever.
  results.return = (value) => {
    leave();
    return close(value);
  };
  return results;

  async function* stream(): AsyncGenerator<GatherResult<Value>, void, void> {
    const ready = new Map<number, GatherResult<Value>>();
    let nextIndex = 0;
    let ended = false;
    let wake: (() => void) | undefined;
    run = new GatherRun<Item, Value>(items, worker, limits, {
      onResult: (result) => {
        ready.set(result.index, result);
        wake?.();
      },
      onEnd: () => {
        ended = true;
        wake?.();
      },
    });

    try {
      run.start();
      for (;;) {
        const result = order === 'input' ? ready.get(nextIndex) : ready.values().next().value;
        if (result !== undefined) {
          ready.delete(result.index);
          nextIndex++;
          run.release();
          yield result;
        } else if (ended) {
          break;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          wake = undefined;
        }
      }
      if (run.sourceFailed) throw run.sourceFailed.error;
    } finally {
      leave();
    }
  }
}

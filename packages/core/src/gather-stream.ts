import { checkGatherInput, type GatherLimits, readGatherLimits } from './gather.ts';
import {
  type GatherContext,
  type GatherItems,
  type GatherResult,
  GatherRun,
  siblingError,
} from './gather-run.ts';
import { optionReader } from './options.ts';

/** What {@link gatherStream} takes. */
export interface GatherStreamOptions extends GatherLimits {
  /** `completion` (default): each result as soon as it is there; `input`: in the order of the items. */
  readonly order?: 'completion' | 'input';
}

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
  const read = optionReader('gatherStream', options);
  const limits = readGatherLimits(read);
  const inOrder = read.oneOf('order', ['completion', 'input'], 'completion') === 'input';
  read.end();
  return stream();

  async function* stream(): AsyncGenerator<GatherResult<Value>, void, void> {
    const ready = new Map<number, GatherResult<Value>>();
    let nextIndex = 0;
    let ended = false;
    let wake: (() => void) | undefined;
    const run = new GatherRun<Item, Value>(items, worker, limits, {
      onResult: (result) => {
        ready.set(result.index, result);
        wake?.();
      },
      onEnd: () => {
        ended = true;
        wake?.();
      },
    });
    const take = (): GatherResult<Value> | undefined => {
      const result = inOrder ? ready.get(nextIndex) : ready.values().next().value;
      if (result === undefined) return undefined;
      ready.delete(result.index);
      nextIndex++;
      return result;
    };

    try {
      run.start();
      for (;;) {
        const result = take();
        if (result !== undefined) {
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
      run.abandon(siblingError('the reader of the stream left'));
    }
  }
}

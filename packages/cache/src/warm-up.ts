import { gather } from '@hotpath/core';
import type { WarmOptions, WarmResult } from './types.ts';

/** Calls `load` for each item, a bounded number at once, and counts how it went. */
export async function warmUp<Item>(
  items: Iterable<Item>,
  load: (item: Item) => Promise<unknown>,
  { concurrency = 10, signal }: WarmOptions,
): Promise<WarmResult> {
  let succeeded = 0;
  let failed = 0;
  let first: unknown;
  await gather(
    items,
    async (item) => {
      try {
        await load(item);
        succeeded++;
      } catch (error) {
        if (failed++ === 0) first = error;
      }
    },
    { concurrency, ...(signal === undefined ? {} : { signal }) },
  );
  return failed === 0 ? { succeeded, failed } : { succeeded, failed, error: first };
}

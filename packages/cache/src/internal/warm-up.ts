import { gather, type OptionReader } from '@hotpath/core';
import type { WarmResult } from '../types.ts';
import { readSignal } from './checks.ts';

/** {@link WarmOptions} with every default in place. */
export interface WarmLimits {
  readonly concurrency: number;
  readonly signal: AbortSignal | undefined;
}

const DEFAULT_CONCURRENCY = 10;

/** Reads what {@link WarmOptions} names. */
export function readWarmLimits(read: OptionReader): WarmLimits {
  return {
    concurrency: read.integer('concurrency', DEFAULT_CONCURRENCY, { min: 1 }),
    signal: readSignal(read),
  };
}

/** Calls `load` for each item, a bounded number at once, and counts how it went. @throws The signal's reason. */
export async function warmUp<Item>(
  items: Iterable<Item>,
  { concurrency, signal }: WarmLimits,
  load: (item: Item) => Promise<unknown>,
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
    { concurrency, signal },
  );
  return failed === 0 ? { succeeded, failed } : { succeeded, failed, error: first };
}

import { type Clock, type Milliseconds, systemClock } from './clock.ts';
import type { GatherItems } from './gather-item.ts';
import { describe, type OptionReader, optionReader } from './options.ts';

/** How a gather ends: with every outcome, at the first failure, or at the first success. */
export type GatherMode = 'settled' | 'failFast' | 'any';

/** How far a gather has come. */
export interface GatherProgress {
  readonly completed: number;
  /** How many of them did not end well. */
  readonly failed: number;
  /** How many items there are; `undefined` when the input does not tell. */
  readonly total: number | undefined;
  readonly elapsedMs: Milliseconds;
}

/** What `gather` and `gatherStream` take both. */
export interface GatherLimits {
  /** How many items may run at once. Default 50. */
  readonly concurrency?: number | undefined;
  /** Gives the whole group up. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the whole group; absent means no end. */
  readonly timeoutMs?: Milliseconds | undefined;
  /** Milliseconds for each item, from its beginning; absent means no end. */
  readonly itemTimeoutMs?: Milliseconds | undefined;
  readonly clock?: Clock | undefined;
}

/** What `gather` takes besides items and worker. */
export interface GatherOptions<Mode extends GatherMode | undefined = GatherMode | undefined>
  extends GatherLimits {
  /** Default `settled`. */
  readonly mode?: Mode;
  /** Milliseconds that `failFast` and `any` wait for aborted siblings to settle before they go on. Default 5,000. */
  readonly abortGraceMs?: Milliseconds | undefined;
  /**
   * Told how far it has come, at most once a `progressIntervalMs`, and once at the end.
   *
   * What it throws ends the gather with that error, in every mode. One that is asynchronous is not
   * waited for: its rejection ends a gather that is still under way likewise, and is dropped after that.
   */
  readonly onProgress?: ((progress: GatherProgress) => void) | undefined;
  /** Default 100. */
  readonly progressIntervalMs?: Milliseconds | undefined;
}

/** What `gatherStream` takes besides items and worker. */
export interface GatherStreamOptions extends GatherLimits {
  /** `completion` (default): each result as soon as it is there; `input`: in the order of the items. */
  readonly order?: 'completion' | 'input' | undefined;
}

export interface ResolvedGatherLimits {
  readonly concurrency: number;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: Milliseconds | undefined;
  readonly itemTimeoutMs: Milliseconds | undefined;
  readonly clock: Clock;
}

export interface ResolvedGatherOptions {
  readonly limits: ResolvedGatherLimits;
  readonly mode: GatherMode;
  readonly abortGraceMs: Milliseconds;
  readonly onProgress: GatherOptions['onProgress'];
  readonly progressIntervalMs: Milliseconds;
}

export interface ResolvedGatherStreamOptions {
  readonly limits: ResolvedGatherLimits;
  readonly order: 'completion' | 'input';
}

export function resolveGatherOptions(options: GatherOptions): ResolvedGatherOptions {
  const read = optionReader('gather', options);
  const resolved: ResolvedGatherOptions = {
    limits: readLimits(read),
    mode: read.oneOf('mode', ['settled', 'failFast', 'any'], 'settled'),
    abortGraceMs: read.number('abortGraceMs', 5_000, { min: 0 }),
    onProgress: read.function<GatherOptions['onProgress']>('onProgress', undefined),
    progressIntervalMs: read.number('progressIntervalMs', 100, { min: 0 }),
  };
  read.end();
  return Object.freeze(resolved);
}

export function resolveGatherStreamOptions(options: GatherStreamOptions): ResolvedGatherStreamOptions {
  const read = optionReader('gatherStream', options);
  const resolved: ResolvedGatherStreamOptions = {
    limits: readLimits(read),
    order: read.oneOf('order', ['completion', 'input'], 'completion'),
  };
  read.end();
  return Object.freeze(resolved);
}

function readLimits(read: OptionReader): ResolvedGatherLimits {
  return {
    concurrency: read.integer('concurrency', 50, { min: 1 }),
    signal: read.object<AbortSignal | undefined>('signal', undefined, [
      'addEventListener',
      'removeEventListener',
    ]),
    timeoutMs: read.number('timeoutMs', undefined, { min: 0 }),
    itemTimeoutMs: read.number('itemTimeoutMs', undefined, { min: 0 }),
    clock: read.object<Clock>('clock', systemClock, ['now', 'setTimeout', 'clearTimeout']),
  };
}

/** @throws TypeError when `items` can't be iterated or `worker` is no function. */
export function checkGatherInput(owner: string, items: unknown, worker: unknown): void {
  if (!hasMethod(items, Symbol.iterator) && !hasMethod(items, Symbol.asyncIterator)) {
    throw new TypeError(`${owner}: items must be iterable, got ${describe(items)}`);
  }
  if (typeof worker !== 'function') {
    throw new TypeError(`${owner}: worker must be a function, got ${describe(worker)}`);
  }
}

/** Whether an input is an asynchronous one; one that is both is taken as that. */
export function isAsyncIterable<Item>(items: GatherItems<Item>): items is AsyncIterable<Item> {
  return hasMethod(items, Symbol.asyncIterator);
}

function hasMethod(value: unknown, name: symbol): boolean {
  return typeof (value as { readonly [name: symbol]: unknown } | null | undefined)?.[name] === 'function';
}

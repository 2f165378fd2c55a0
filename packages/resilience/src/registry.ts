import { AbortedError, optionReader } from '@hotpath/core';

/** What {@link registry} takes besides the way to make an entry. */
export interface RegistryOptions<Entry> {
  /** How many entries are kept. Default 1,000; where it is full, one that was not used for long goes. */
  readonly maxEntries?: number | undefined;
  /** Told about each entry that was dropped for want of room. What it throws becomes an uncaught exception. */
  readonly onEvict?: ((key: string, entry: Entry) => void) | undefined;
}

/** Counters of a registry since it was made. */
export interface RegistryStats {
  readonly size: number;
  readonly createdTotal: number;
  readonly evictedTotal: number;
}

/** A bounded set of things by key, made when first asked for: one breaker a host, one limiter a tenant. */
export interface Registry<Entry> {
  /**
   * The entry for `key`; made now when there is none. Cost: one look-up.
   *
   * @throws AbortedError (HOTPATH_CLOSED) after `close()`; also when that came while the entry was made, which is
   * closed then.
   */
  get(key: string): Entry;
  /** The entry for `key`, when there is one; does not count as use. */
  peek(key: string): Entry | undefined;
  /** Drops an entry; who still holds it may go on using it. */
  delete(key: string): boolean;
  readonly size: number;
  entries(): IterableIterator<[string, Entry]>;
  stats(): RegistryStats;
  /** Drops all entries and closes those that can be closed; rejects with the first error when all have been tried. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

class Slot<Entry> {
  readonly entry: Entry;
  used = false;

  constructor(entry: Entry) {
    this.entry = entry;
  }
}

async function closeEntry(entry: unknown): Promise<void> {
  await (entry as { close?: () => unknown } | undefined | null)?.close?.();
}

function closedRegistry(): AbortedError<'HOTPATH_CLOSED'> {
  return new AbortedError('HOTPATH_CLOSED', 'registry is closed');
}

function rethrow(error: unknown): never {
  throw error;
}

/**
 * Makes a registry of per-key things, at most `maxEntries` of them.
 *
 * When it is full, the next one makes room for itself: of the entries, oldest first, the first goes that
 * was not used since it was last looked at (the CLOCK algorithm; Corbató, 1968). An evicted entry is
 * dropped, not closed: calls under way may hold it.
 *
 * @example
 * const breakers = registry((host) => circuitBreaker({ name: host }), { maxEntries: 500 });
 * await breakers.get('db-1').execute(() => query());
 *
 * @throws TypeError or RangeError when an argument or option is wrong.
 */
export function registry<Entry>(
  create: (key: string) => Entry,
  options: RegistryOptions<Entry> = {},
): Registry<Entry> {
  if (typeof create !== 'function') throw new TypeError('registry: the first argument must be a function');
  const read = optionReader('registry', options);
  const maxEntries = read.integer('maxEntries', 1_000, { min: 1, max: 10_000_000 });
  const onEvict = read.function<((key: string, entry: Entry) => void) | undefined>('onEvict', undefined);
  read.end();
  const slots = new Map<string, Slot<Entry>>();
  const closings: Promise<unknown>[] = [];
  let closed = false;
  let createdTotal = 0;
  let evictedTotal = 0;

  const evictOne = (): void => {
    for (;;) {
      const [key, slot] = slots.entries().next().value as [string, Slot<Entry>];
      slots.delete(key);
      if (slot.used) {
        slot.used = false;
        slots.set(key, slot);
        continue;
      }
      evictedTotal++;
      try {
        onEvict?.(key, slot.entry);
      } catch (error) {
        // Its fault must not cost the caller the entry that is being made.
        process.nextTick(rethrow, error);
      }
      return;
    }
  };
  const make = (key: string): Entry => {
    if (closed) throw closedRegistry();
    const entry = create(key);
    if (closed) {
      // From inside `create`: nobody else would close what it made.
      closings.push(closeEntry(entry));
      throw closedRegistry();
    }
    // Making it may have asked for the same key, and so may whoever was told of an eviction.
    for (;;) {
      const meanwhile = slots.get(key);
      if (meanwhile !== undefined) return meanwhile.entry;
      if (slots.size < maxEntries) break;
      evictOne();
    }
    slots.set(key, new Slot(entry));
    createdTotal++;
    return entry;
  };
  const close = async (): Promise<void> => {
    closed = true;
    for (const { entry } of slots.values()) closings.push(closeEntry(entry));
    slots.clear();
    // One that is being made now is there, and closed, at the next turn.
    await null;
    const settled = await Promise.allSettled(closings.splice(0));
    const failed = settled.find((closing) => closing.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  };

  return {
    get: (key) => {
      const slot = slots.get(key);
      if (slot === undefined) return make(key);
      slot.used = true;
      return slot.entry;
    },
    peek: (key) => slots.get(key)?.entry,
    delete: (key) => slots.delete(key),
    get size() {
      return slots.size;
    },
    *entries() {
      for (const [key, slot] of slots) yield [key, slot.entry];
    },
    stats: () => ({ size: slots.size, createdTotal, evictedTotal }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

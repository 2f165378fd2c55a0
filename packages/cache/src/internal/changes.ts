import type { ChangeResult } from '../types.ts';
import { type CacheCore, closedError } from './cache-core.ts';
import type { LocalKey } from './key-codec.ts';
import { drawLifetime, type ResolvedEntryOptions } from './lifetime.ts';
import type { Mark } from './marks.ts';
import type { Region } from './region.ts';
import type { Regions } from './regions.ts';
import type { SharedWrite } from './tier.ts';

/** A value that a caller gives. */
export interface GivenValue {
  readonly key: LocalKey;
  readonly value: unknown;
  readonly tags: readonly string[];
  readonly options: ResolvedEntryOptions;
}

/** What a caller changes: first here, so that this process never reads what it has changed itself, then in Redis. */
export class Changes {
  readonly #core: CacheCore;
  readonly #regions: Regions;

  constructor(core: CacheCore, regions: Regions) {
    this.#core = core;
    this.#regions = regions;
  }

  /** @throws AbortedError (HOTPATH_CLOSED) when the cache is closed, as all of these do. */
  async write(region: Region, values: readonly GivenValue[]): Promise<ChangeResult> {
    const { random, tier } = this.#open();
    // The last one of a key counts.
    const last = new Map(values.map((given) => [given.key, given]));
    const changes = [...last.values()].map(({ key, value, tags, options }) => {
      const lifetime = drawLifetime(options, value, undefined, 0, random);
      const isKept = lifetime.freshMs + Math.max(lifetime.staleMs, lifetime.graceMs) > 0;
      // What can't be copied throws here, before anything has changed.
      return { key, value, tags, lifetime, isKept, copy: isKept ? region.copyOf(value) : undefined };
    });
    const kept: SharedWrite[] = [];
    const gone: string[] = [];
    for (const { key, value, tags, lifetime, isKept, copy } of changes) {
      const sharedKey = region.shared(key);
      region.drop(key);
      if (isKept) region.put(key, copy, tags, lifetime);
      if (isKept) kept.push({ sharedKey, value, tags, lifetime });
      else gone.push(sharedKey);
    }
    if (tier === undefined) return { confirmed: true };
    const done = await Promise.all([
      kept.length === 0 || tier.write(kept),
      gone.length === 0 || tier.invalidateKeys(gone),
    ]);
    return { confirmed: done.every(Boolean) };
  }

  async drop(region: Region, keys: readonly LocalKey[]): Promise<ChangeResult> {
    const { counters, tier } = this.#open();
    counters.invalidations += keys.length;
    for (const key of keys) region.drop(key);
    if (tier === undefined || keys.length === 0) return { confirmed: true };
    return { confirmed: await tier.invalidateKeys(keys.map((key) => region.shared(key))) };
  }

  async mark(marks: readonly Mark[]): Promise<ChangeResult> {
    const { counters, tier } = this.#open();
    counters.invalidations += marks.length;
    this.#regions.addMarks(marks);
    if (tier === undefined || marks.length === 0) return { confirmed: true };
    return { confirmed: await tier.invalidateMarks(marks) };
  }

  async clear(): Promise<ChangeResult> {
    const { counters, tier } = this.#open();
    counters.invalidations++;
    this.#regions.addAll();
    if (tier === undefined) return { confirmed: true };
    return { confirmed: await tier.invalidateAll() };
  }

  #open(): CacheCore {
    if (this.#core.isClosed) throw closedError();
    return this.#core;
  }
}

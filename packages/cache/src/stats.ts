import type { Milliseconds } from '@hotpath/core';
import type { CacheState } from './events.ts';
import type { CacheCore } from './internal/cache-core.ts';
import type { Region } from './internal/region.ts';

/** Counters since the cache was made, and how it stands. */
export interface CacheStats {
  readonly state: CacheState;
  /** Why: what went wrong last, such as the server's `NOPERM …`, while it is `degraded`. */
  readonly stateReason: string;
  /** Values in memory. */
  readonly l1: {
    /** Calls answered from memory, stale values included. */
    readonly hits: number;
    /** Calls that had to look further. */
    readonly misses: number;
    /** `hits / (hits + misses)`; 0 without calls. */
    readonly hitRate: number;
    /** Values that made room for others before their time. */
    readonly evictions: number;
    /** At present. */
    readonly entries: number;
    /** By estimate; 0 where no `maxBytes` is set. */
    readonly bytes: number;
  };
  /** Values in Redis. */
  readonly l2: {
    /** Look-ups that found a value which may be served. */
    readonly hits: number;
    readonly misses: number;
    /** `hits / (hits + misses)`; 0 without look-ups. */
    readonly hitRate: number;
    /** Commands sent, those not answered in time or with an error, and how long answers took. */
    readonly commands: number;
    readonly errors: number;
    readonly latencyMeanMs: Milliseconds;
    readonly latencyMaxMs: Milliseconds;
    /** Entries that could not be read. */
    readonly corrupt: number;
    /** Values that could not be encoded, and were kept out. */
    readonly unencodable: number;
    /** Loaded values that were sent there. */
    readonly fills: number;
    /** Loaded values that were not stored, because they were invalidated during the load. */
    readonly refusedFills: number;
  };
  /** The share of calls that no loader had to answer. */
  readonly hitRate: number;
  /** Values served beyond their freshness. */
  readonly stale: number;
  /** Loads that were begun, refreshes included; of these, how many failed, and how many are under way. */
  readonly loads: number;
  readonly loadErrors: number;
  readonly loadsInFlight: number;
  /** Calls that joined a load of this process, and loads that waited for another process's. */
  readonly joins: number;
  readonly leaseWaits: number;
  /** Of these, how many waited for `leaseWaitMs` and then loaded themselves. */
  readonly leaseTimeouts: number;
  /** Keys, tags and prefixes that this process has invalidated, and clears. */
  readonly invalidations: number;
  /** Changes that could not be confirmed, that wait to be repeated, and that were. */
  readonly unconfirmed: number;
  readonly queuedInvalidations: number;
  readonly replayedInvalidations: number;
}

/** Reads the counters of a cache. */
export function statsOf(core: CacheCore, regions: Iterable<Region>): CacheStats {
  const { counters, tier } = core;
  let entries = 0;
  let bytes = 0;
  for (const region of regions) {
    entries += region.entries;
    bytes += region.bytes;
  }
  const calls = counters.l1Hits + counters.l1Misses;
  const lookups = counters.l2Hits + counters.l2Misses;
  const answers = counters.l2Commands - counters.l2Errors;
  return {
    state: tier?.state ?? 'local',
    stateReason: tier?.stateReason ?? 'no Redis was given',
    l1: {
      hits: counters.l1Hits,
      misses: counters.l1Misses,
      hitRate: ratio(counters.l1Hits, calls),
      evictions: counters.l1Evictions,
      entries,
      bytes,
    },
    l2: {
      hits: counters.l2Hits,
      misses: counters.l2Misses,
      hitRate: ratio(counters.l2Hits, lookups),
      commands: counters.l2Commands,
      errors: counters.l2Errors,
      latencyMeanMs: ratio(counters.l2LatencyTotalMs, answers),
      latencyMaxMs: counters.l2LatencyMaxMs,
      corrupt: counters.corrupt,
      unencodable: counters.unencodable,
      fills: counters.fills,
      refusedFills: counters.refusedFills,
    },
    hitRate: ratio(Math.max(0, calls - counters.loads), calls),
    stale: counters.stale,
    loads: counters.loads,
    loadErrors: counters.loadErrors,
    loadsInFlight: counters.loadsInFlight,
    joins: counters.joins,
    leaseWaits: counters.leaseWaits,
    leaseTimeouts: counters.leaseTimeouts,
    invalidations: counters.invalidations,
    unconfirmed: counters.unconfirmed,
    queuedInvalidations: tier?.queuedInvalidations ?? 0,
    replayedInvalidations: counters.replayed,
  };
}

function ratio(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0;
}

import type { AsyncLocalStorage } from 'node:async_hooks';
import { AbortedError, type Clock, type Milliseconds, type RandomSource } from '@hotpath/core';
import type { LoadContext } from '../types.ts';
import type { Counters } from './counters.ts';
import type { HotClock } from './hot-clock.ts';
import type { Marks } from './marks.ts';
import type { SharedTier } from './tier.ts';

/** What all regions of one cache share. */
export interface CacheCore {
  readonly namespace: string;
  readonly clock: Clock;
  readonly hotClock: HotClock;
  readonly random: RandomSource;
  readonly marks: Marks;
  readonly tier: SharedTier | undefined;
  readonly counters: Counters;
  readonly loads: AsyncLocalStorage<LoadContext>;
  /** How long a value may be served without any word from Redis. */
  readonly maxStalenessMs: Milliseconds;
  /** The same while Redis is away. */
  readonly awayTtlMs: Milliseconds;
  readonly bypassWhenAway: boolean;
  readonly leaseWaitMs: Milliseconds;
  readonly maxConcurrentLoads: number;
  isClosed: boolean;
}

export function closedError(): AbortedError<'HOTPATH_CLOSED'> {
  return new AbortedError('HOTPATH_CLOSED', 'the cache is closed');
}

import { type EventChannel, eventChannel, type Milliseconds } from '@hotpath/core';

/** Redis has come or gone: `hotpath:cache:state-change`. */
export interface StateChangeEvent {
  readonly namespace: string;
  readonly state: CacheState;
  readonly reason: string;
}

/** `up`: Redis is in use; `degraded`: it is not, wholly or in part, and memory stands in; `local`: none was given. */
export type CacheState = 'up' | 'degraded' | 'local';

/** A loader has ended: `hotpath:cache:load`. */
export interface LoadEvent {
  readonly namespace: string;
  readonly key: string;
  readonly durationMs: Milliseconds;
  readonly outcome: 'ok' | 'error';
  readonly error?: unknown;
}

/** An entry in Redis could not be read and counts as absent: `hotpath:cache:corrupt-entry`. */
export interface CorruptEntryEvent {
  readonly namespace: string;
  readonly key: string;
  readonly reason: string;
}

/**
 * A value was kept out of Redis because it can't be encoded there: `hotpath:cache:unencodable-value`.
 *
 * Who loaded or set it has it all the same, and so has the memory of this process; the other processes load for themselves.
 */
export interface UnencodableValueEvent {
  readonly namespace: string;
  readonly key: string;
  /** `load`: a loader or factory made it; `set`: it was given to `set` or `setMany`. */
  readonly operation: 'load' | 'set';
  /** What the codec threw. */
  readonly error: unknown;
}

/** Invalidations were repeated after Redis came back or lost some: `hotpath:cache:replay`. */
export interface ReplayEvent {
  readonly namespace: string;
  readonly invalidations: number;
  /** Whether everything was invalidated, because not all of them were known any more. */
  readonly isClear: boolean;
}

/** The channels of this package; subscribing to one costs what its events cost. */
export const events: {
  readonly stateChange: EventChannel<StateChangeEvent>;
  readonly load: EventChannel<LoadEvent>;
  readonly corruptEntry: EventChannel<CorruptEntryEvent>;
  readonly unencodableValue: EventChannel<UnencodableValueEvent>;
  readonly replay: EventChannel<ReplayEvent>;
} = Object.freeze({
  stateChange: eventChannel<StateChangeEvent>('cache', 'state-change'),
  load: eventChannel<LoadEvent>('cache', 'load'),
  corruptEntry: eventChannel<CorruptEntryEvent>('cache', 'corrupt-entry'),
  unencodableValue: eventChannel<UnencodableValueEvent>('cache', 'unencodable-value'),
  replay: eventChannel<ReplayEvent>('cache', 'replay'),
});

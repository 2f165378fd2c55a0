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
  readonly replay: EventChannel<ReplayEvent>;
} = Object.freeze({
  stateChange: eventChannel<StateChangeEvent>('cache', 'state-change'),
  load: eventChannel<LoadEvent>('cache', 'load'),
  corruptEntry: eventChannel<CorruptEntryEvent>('cache', 'corrupt-entry'),
  replay: eventChannel<ReplayEvent>('cache', 'replay'),
});

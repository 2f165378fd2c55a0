import { type EventChannel, eventChannel, type Milliseconds } from '@hotpath/core';

/** A connection has been out for longer than `leakThresholdMs`. */
export interface LeakEvent {
  readonly heldMs: Milliseconds;
  /** Where it was acquired; absent when that acquire was not in the sample. */
  readonly site: string | undefined;
}

/** A connection was given back while a transaction was open; it was rolled back. */
export interface OpenTransactionEvent {
  readonly site: string | undefined;
}

/** The pool opened or lost a connection. */
export interface ConnectionEvent {
  readonly kind: 'open' | 'close' | 'connect-failed';
  readonly total: number;
  readonly reason?: string | undefined;
  readonly error?: unknown;
}

/** All connections that were open are given up, because one of them turned out dead. */
export interface GenerationEvent {
  readonly generation: number;
  readonly reason: string;
}

export const leakChannel: EventChannel<LeakEvent> = eventChannel('postgres', 'leak');
export const openTransactionChannel: EventChannel<OpenTransactionEvent> = eventChannel(
  'postgres',
  'open-transaction',
);
export const connectionChannel: EventChannel<ConnectionEvent> = eventChannel('postgres', 'connection');
export const generationChannel: EventChannel<GenerationEvent> = eventChannel('postgres', 'generation');

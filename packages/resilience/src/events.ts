import { type EventChannel, eventChannel, type Milliseconds } from '@hotpath/core';
import type { CircuitState } from './circuit-types.ts';

/** A breaker changed its state: `hotpath:resilience:circuit-state`. */
export interface CircuitStateEvent {
  readonly name: string;
  readonly from: CircuitState;
  readonly to: CircuitState;
  /** Why: `tripped`, `probes-failed`, `probes-hung`, `recovered`, `tried-again`, `isolated`, `released`, `forced`, `imported`, `closed`, `would-open`. */
  readonly reason: string;
  /** Calls and failures that counted when it changed. */
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
  /** Milliseconds until calls may be admitted; 0 when they are. */
  readonly retryAfterMs: Milliseconds | undefined;
}

/** A policy ended a call without, or before, its work's end: `hotpath:resilience:rejected`. */
export interface RejectedEvent {
  readonly kind: string;
  readonly name: string;
  readonly code: string;
  readonly key: string | undefined;
  readonly retryAfterMs: Milliseconds | undefined;
}

/** A try failed, or gave a result that is not wanted, and another will follow: `hotpath:resilience:retry`. */
export interface RetryEvent {
  readonly name: string;
  /** The try that failed, from 1. */
  readonly attempt: number;
  readonly delayMs: Milliseconds;
  /** What it failed with; `undefined` where it gave a result, which is `value` then. */
  readonly error: unknown;
  readonly value: unknown;
}

export const circuitStateEvents: EventChannel<CircuitStateEvent> = eventChannel(
  'resilience',
  'circuit-state',
);
export const rejectedEvents: EventChannel<RejectedEvent> = eventChannel('resilience', 'rejected');
export const retryEvents: EventChannel<RetryEvent> = eventChannel('resilience', 'retry');

/** An adaptive limit moved: `hotpath:resilience:limit`. */
export interface LimitEvent {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** A second try was sent while the first is under way: `hotpath:resilience:hedge`. */
export interface HedgeEvent {
  readonly name: string;
  /** Which try it is, from 2. */
  readonly attempt: number;
  readonly afterMs: Milliseconds;
}

/** A fallback stood in: `hotpath:resilience:fallback`. */
export interface FallbackEvent {
  readonly name: string;
  readonly error: unknown;
}

/** Chaos did something to a call: `hotpath:resilience:chaos`. */
export interface ChaosEvent {
  readonly name: string;
  readonly effect: 'latency' | 'error' | 'hang';
  readonly key: string | undefined;
}

/** Something went wrong between a leasing limiter and its Redis, or right again: `hotpath:resilience:limiter-store`. */
export interface LimiterStoreEvent {
  readonly name: string;
  readonly state: 'lost' | 'back';
  readonly error: unknown;
}

export const limitEvents: EventChannel<LimitEvent> = eventChannel('resilience', 'limit');
export const hedgeEvents: EventChannel<HedgeEvent> = eventChannel('resilience', 'hedge');
export const fallbackEvents: EventChannel<FallbackEvent> = eventChannel('resilience', 'fallback');
export const chaosEvents: EventChannel<ChaosEvent> = eventChannel('resilience', 'chaos');
export const limiterStoreEvents: EventChannel<LimiterStoreEvent> = eventChannel(
  'resilience',
  'limiter-store',
);

import type { AbortedError, Milliseconds, UnavailableError } from '@hotpath/core';
import type { Policy } from './policy.ts';

/** Where a breaker is; `shut` is after `close()`. */
export type CircuitState = 'closed' | 'open' | 'half-open' | 'isolated' | 'shut';

/** Leave to make one call, valid in the state in which it was given; 0 is a refusal. */
export type Permit = number;

/** How a breaker may end a call. */
export type CircuitBreakerError =
  | UnavailableError<'HOTPATH_CIRCUIT_OPEN' | 'HOTPATH_CIRCUIT_ISOLATED'>
  | AbortedError<'HOTPATH_CLOSED'>;

/** Counters of a breaker since it was made, and its window at present. */
export interface CircuitBreakerStats {
  readonly kind: 'circuit-breaker';
  readonly name: string;
  readonly state: CircuitState;
  readonly retryAfterMs: Milliseconds | undefined;
  /** Calls, failures and slow calls in the window (in half-open: of the probes). */
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
  /** `failures / calls`, 0 without calls. */
  readonly failureRatio: number;
  readonly probesInFlight: number;
  readonly successesTotal: number;
  readonly failuresTotal: number;
  readonly ignoredTotal: number;
  readonly rejectedTotal: number;
  /** Results that came after the state they were admitted in had ended, and so did not count. */
  readonly staleTotal: number;
  readonly openedTotal: number;
}

/** A breaker's state in a form that can be stored and given to another one. */
export interface CircuitSnapshot {
  readonly version: 1;
  readonly state: 'closed' | 'open';
  /** How much longer it stays open, at `takenAt`. */
  readonly remainingMs: Milliseconds;
  /** How often it has opened without recovering in between. */
  readonly openings: number;
  /** Wall-clock time in milliseconds since the epoch. */
  readonly takenAt: number;
}

/** Stops calling what keeps failing, and finds out by a few probes when it is back. */
export interface CircuitBreaker extends Policy<CircuitBreakerError> {
  readonly kind: 'circuit-breaker';
  /** The state; reading it moves it on when its time has come. */
  readonly state: CircuitState;
  /** Milliseconds until a call may be admitted: 0 when one would be, `undefined` when that can't be known. */
  readonly retryAfterMs: Milliseconds | undefined;
  /**
   * Asks for leave to make one call, without a promise; 0 means no.
   *
   * Each permit is given back exactly once, by `recordSuccess`, `recordFailure` or `release`.
   * Cost while closed: a comparison.
   */
  tryEnter(): Permit;
  /** The call went well. `durationMs` tells whether it was slow. */
  recordSuccess(permit: Permit, durationMs?: Milliseconds): void;
  /** The call failed. */
  recordFailure(permit: Permit, durationMs?: Milliseconds): void;
  /** The call counts for nothing: it was cancelled, or it was never made. */
  release(permit: Permit): void;
  /** The error for a call that was just refused. */
  refusal(): CircuitBreakerError;
  /**
   * Refuses every call until the returned function was called; of several isolations, until the last has ended.
   *
   * Calling the returned function twice does nothing more.
   */
  isolate(): () => void;
  /** Opens it now, for `openMs`. */
  trip(): void;
  /** Closes it now and forgets what it has counted; isolations stay. */
  reset(): void;
  exportState(): CircuitSnapshot;
  /**
   * Takes on a stored state; the time since it was taken counts.
   *
   * @throws TypeError when it is not a snapshot of a known version with sound values; nothing has changed then.
   */
  importState(snapshot: unknown): void;
  stats(): CircuitBreakerStats;
}

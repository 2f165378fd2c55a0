import { AbortedError, type Milliseconds, UnavailableError } from '@hotpath/core';
import type { ResolvedCircuitBreakerOptions } from '../circuit-options.ts';
import type { CircuitBreakerError, CircuitState } from '../circuit-types.ts';
import type { OutcomeWindow } from './outcome-window.ts';
import type { ProbeRound } from './probe-round.ts';

/** Whether what the window holds opens the breaker. */
export function mustOpen(
  options: ResolvedCircuitBreakerOptions,
  window: OutcomeWindow,
  failuresInRow: number,
): boolean {
  const { consecutiveFailures, minimumCalls, failureRatio, slowRatio } = options;
  if (consecutiveFailures > 0 && failuresInRow >= consecutiveFailures) return true;
  if (window.calls < minimumCalls) return false;
  return window.failures >= failureRatio * window.calls || window.slow >= slowRatio * window.calls;
}

/** Whether a complete half-open round opens it again. */
export function roundFailed(options: ResolvedCircuitBreakerOptions, round: ProbeRound): boolean {
  const { probes, failureRatio, slowRatio } = options;
  // Where failures in a row are the only rule, half of the probes decide.
  const limit = failureRatio > 1 ? 0.5 : failureRatio;
  return round.failures >= limit * probes || round.slow >= slowRatio * probes;
}

/** How long it stays open: `openMs` at first, more with each round that failed since it was last closed. */
export function openLengthMs(options: ResolvedCircuitBreakerOptions, failedRounds: number): Milliseconds {
  const { openMs, openFactor, maxOpenMs, random } = options;
  if (failedRounds === 0 || openMs === 0) return openMs;
  const upperMs = Math.min(maxOpenMs, openMs * openFactor ** failedRounds);
  // Spread between the plain time and the grown one: breakers of a fleet shall not probe in step.
  return openMs + (upperMs - openMs) * random();
}

/** The error for a call that a breaker in this state has refused. */
export function refusalIn(
  state: CircuitState,
  name: string,
  retryAfterMs: Milliseconds | undefined,
): CircuitBreakerError {
  if (state === 'shut') return new AbortedError('HOTPATH_CLOSED', `circuit breaker '${name}' is closed`);
  if (state === 'isolated') {
    return new UnavailableError('HOTPATH_CIRCUIT_ISOLATED', `circuit breaker '${name}' is isolated`);
  }
  return new UnavailableError('HOTPATH_CIRCUIT_OPEN', `circuit breaker '${name}' is ${state}`, {
    retryAfterMs,
  });
}

import type { CircuitState } from '@hotpath/resilience';
import type { Engine } from './internal/engine.ts';
import type { LatencySummary } from './internal/latency-histogram.ts';

export type { LatencySummary } from './internal/latency-histogram.ts';

/** What is going on with one origin, and counters since the client came to know it. */
export interface HttpOriginStats {
  /** Connections made. */
  readonly connects: number;
  /** Requests given to a connection. */
  readonly dispatched: number;
  /** `1 - connects / dispatched`, at least 0: the share of requests that needed no new connection; 0 before the first. */
  readonly reuseRatio: number;
  /** Requests that wait for a connection. */
  readonly queued: number;
  /** Requests on a connection. */
  readonly inFlight: number;
  /** Connections that are there or being made. */
  readonly connections: number;
  /** How long tries with an answer below 500 took, from the sending to the last byte. */
  readonly latency: LatencySummary;
  /** Tries after a failed one. */
  readonly retries: number;
  /** Sent again at once: the connection was stale, or the server had not begun. */
  readonly replays: number;
  /** Second tries beside a slow first. */
  readonly hedges: number;
  /** Tries that counted against the origin: lost or refused connections, timeouts, 5xx, broken answers. */
  readonly failures: number;
  /** `undefined` without a breaker. */
  readonly breaker: CircuitState | undefined;
}

/** What is going on in a client. */
export interface HttpClientStats {
  /** Requests that are not done, those that pause before another try included; those that share an exchange are one. */
  readonly active: number;
  /** Those that are there or being made, those of them that nobody uses, and how many there may be. */
  readonly connections: { readonly open: number; readonly idle: number; readonly max: number };
  /** By scheme, host and port. */
  readonly origins: Readonly<Record<string, HttpOriginStats>>;
}

export function statsOf({ origins, pool, calls, options }: Engine): HttpClientStats {
  const byOrigin: Record<string, HttpOriginStats> = {};
  for (const origin of origins.values()) {
    const { connects, dispatched, waiters, inFlight, open } = origin.pool;
    byOrigin[origin.key] = {
      connects,
      dispatched,
      reuseRatio: dispatched === 0 ? 0 : Math.max(0, 1 - connects / dispatched),
      queued: waiters.size,
      inFlight,
      connections: open,
      latency: origin.latency.summary(),
      retries: origin.retries,
      replays: origin.replays,
      hedges: origin.hedges,
      failures: origin.failures,
      breaker: origin.breaker?.state,
    };
  }
  return {
    active: calls.size,
    connections: { open: pool.open, idle: pool.idle, max: options.connections },
    origins: byOrigin,
  };
}

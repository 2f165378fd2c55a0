import { Histogram, type LatencySummary } from '../histogram.ts';

/** What a pool has done and what is going on; counters run since it was made. */
export interface PoolStats {
  readonly total: number;
  readonly idle: number;
  readonly busy: number;
  readonly connecting: number;
  readonly waiting: number;
  readonly max: number;
  /** The share of `max` that is busy now, from 0 to 1. */
  readonly utilisationRatio: number;
  readonly generation: number;
  readonly acquired: number;
  readonly opened: number;
  readonly closed: number;
  readonly connectFailures: number;
  readonly acquireTimeouts: number;
  readonly queueRejections: number;
  readonly validations: number;
  readonly failedValidations: number;
  /** Connections that were given back with a transaction open. */
  readonly openTransactions: number;
  readonly leaks: number;
  /** How long those waited who had to. */
  readonly wait: LatencySummary;
  /** How long connections were out. */
  readonly held: LatencySummary;
  /** How old connections became. */
  readonly lifetime: LatencySummary;
}

/** The counters behind {@link PoolStats}. */
export class PoolCounters {
  acquired = 0;
  opened = 0;
  closed = 0;
  connectFailures = 0;
  acquireTimeouts = 0;
  queueRejections = 0;
  validations = 0;
  failedValidations = 0;
  openTransactions = 0;
  leaks = 0;
  readonly wait: Histogram = new Histogram();
  readonly held: Histogram = new Histogram();
  readonly lifetime: Histogram = new Histogram();
}

/** What goes on in a pool at the moment. */
interface PoolGauges {
  readonly total: number;
  readonly idle: number;
  readonly connecting: number;
  readonly checking: number;
  readonly waiting: number;
  readonly max: number;
  readonly generation: number;
}

export function summarise(counters: PoolCounters, { checking, ...gauges }: PoolGauges): PoolStats {
  const { wait, held, lifetime, ...counts } = counters;
  const busy = gauges.total - gauges.idle - gauges.connecting - checking;
  return {
    ...gauges,
    busy,
    utilisationRatio: busy / gauges.max,
    ...counts,
    wait: wait.summary(),
    held: held.summary(),
    lifetime: lifetime.summary(),
  };
}

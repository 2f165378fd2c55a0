import type { Milliseconds, RandomSource } from '@hotpath/core';
import { leakChannel } from '../telemetry.ts';
import type { ResolvedPoolOptions } from './pool-options.ts';
import type { PoolCounters } from './pool-stats.ts';
import type { PooledConnection } from './pooled-connection.ts';

const SITE_FRAMES = 12;
/** The message, and the frames of this file and of the pool. */
const OWN_LINES = 4;

/** Notes where connections are asked for, by sample until one is out for too long, and reports those. */
export class LeakWatch {
  readonly #thresholdMs: Milliseconds;
  readonly #sampleRatio: number;
  readonly #random: RandomSource;
  readonly #counters: PoolCounters;
  #seen = false;

  constructor({ leakThresholdMs, leakSampleRatio, random }: ResolvedPoolOptions, counters: PoolCounters) {
    this.#thresholdMs = leakThresholdMs;
    this.#sampleRatio = leakSampleRatio;
    this.#random = random;
    this.#counters = counters;
  }

  /** The stack of whoever asks now; `undefined` when this one is not noted. */
  siteOfCaller(): string | undefined {
    if (this.#thresholdMs === 0 || !(this.#seen || this.#random() < this.#sampleRatio)) return undefined;
    return callSite();
  }

  report(connection: PooledConnection, now: Milliseconds): void {
    connection.leakReported = true;
    this.#seen = true;
    this.#counters.leaks++;
    if (!leakChannel.hasSubscribers) return;
    leakChannel.publish({ heldMs: now - connection.acquiredAtMs, site: connection.site });
  }
}

function callSite(): string | undefined {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = SITE_FRAMES;
  const { stack } = new Error();
  Error.stackTraceLimit = limit;
  return stack?.split('\n').slice(OWN_LINES).join('\n');
}

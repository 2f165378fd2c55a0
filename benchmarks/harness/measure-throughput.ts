import type { Timing } from './child-protocol.ts';
import { quantileOfSorted } from './statistics.ts';
import type { Case, Figures } from './suite.ts';

const MAX_SAMPLES = 4_000_000;
/** How many results go unchecked between two that are checked; the checks are part of what is timed. */
const CHECK_EVERY = 64;

/** Measures closed loops: each caller calls again when its last call has ended. */
export async function measureThroughput(entry: Case, callers: number, timing: Timing): Promise<Figures> {
  await Promise.all(
    Array.from({ length: callers }, async (_, index) => entry.check(await entry.run(index), index)),
  );
  let next = callers;
  const tally = new Tally(callers, timing);
  const loop = async (): Promise<void> => {
    let calledMs = performance.now();
    while (!tally.isOver) {
      const index = next++;
      const result = await entry.run(index);
      if (index % CHECK_EVERY === 0) await entry.check(result, index);
      const endedMs = performance.now();
      tally.add(calledMs, endedMs);
      calledMs = endedMs;
    }
  };
  await Promise.all(Array.from({ length: callers }, loop));
  return tally.figures(entry.operations ?? 1);
}

/**
 * Counts the calls that end within a span of time, after a time of warming up.
 *
 * Garbage is collected in between while the callers go on, for a full collection that finds none of a contender's
 * objects alive makes V8 throw its optimised code away. What ends soon after was held up by it and is not counted.
 */
class Tally {
  readonly #durationMs: number;
  readonly #warmUntilMs: number;
  readonly #latencies = new Float64Array(MAX_SAMPLES);
  /** Calls that are still to end, after the collection, before any is counted. */
  #uncounted: number;
  #isWarm = false;
  #isOver = false;
  #startedMs = 0;
  #endedMs = 0;
  #cpu = process.cpuUsage();
  #done = 0;

  constructor(callers: number, { warmupMs, durationMs }: Timing) {
    this.#durationMs = durationMs;
    this.#warmUntilMs = performance.now() + warmupMs;
    this.#uncounted = callers;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  add(calledMs: number, endedMs: number): void {
    if (this.#isOver) return;
    if (this.#uncounted === 0) {
      if (this.#done < MAX_SAMPLES) this.#latencies[this.#done] = endedMs - calledMs;
      this.#done++;
      if (endedMs - this.#startedMs < this.#durationMs) return;
      this.#cpu = process.cpuUsage(this.#cpu);
      this.#endedMs = endedMs;
      this.#isOver = true;
    } else if (this.#isWarm) {
      if (--this.#uncounted > 0) return;
      this.#startedMs = endedMs;
      this.#cpu = process.cpuUsage();
    } else if (endedMs >= this.#warmUntilMs) {
      this.#isWarm = true;
      globalThis.gc?.();
    }
  }

  figures(operationsPerCall: number): Figures {
    const sorted = this.#latencies.subarray(0, Math.min(this.#done, MAX_SAMPLES)).sort();
    const operations = this.#done * operationsPerCall;
    return {
      opsPerSecond: (operations / (this.#endedMs - this.#startedMs)) * 1_000,
      p50Ms: quantileOfSorted(sorted, 0.5),
      p99Ms: quantileOfSorted(sorted, 0.99),
      maxMs: sorted.at(-1) as number,
      cpuUs: (this.#cpu.user + this.#cpu.system) / operations,
      rssBytes: process.memoryUsage.rss(),
    };
  }
}

import type { Timing } from './child-protocol.ts';
import { quantileOfSorted } from './statistics.ts';
import type { Case, Figures } from './suite.ts';

const MAX_SAMPLES = 4_000_000;
/** How many results go unchecked between two that are checked; the checks are part of what is timed. */
const CHECK_EVERY = 64;

/** Measures closed loops: each caller calls again when its last call has ended. */
export async function measureThroughput(
  entry: Case,
  callers: number,
  { warmupMs, durationMs }: Timing,
): Promise<Figures> {
  await Promise.all(
    Array.from({ length: callers }, async (_, index) => entry.check(await entry.run(index), index)),
  );
  let next = callers;
  const latencies = new Float64Array(MAX_SAMPLES);

  const loops = async (forMs: number): Promise<number> => {
    const untilMs = performance.now() + forMs;
    let done = 0;
    const loop = async (): Promise<void> => {
      let startedMs = performance.now();
      while (startedMs < untilMs) {
        const index = next++;
        const result = await entry.run(index);
        if (index % CHECK_EVERY === 0) await entry.check(result, index);
        const endedMs = performance.now();
        if (done < MAX_SAMPLES) latencies[done] = endedMs - startedMs;
        done++;
        startedMs = endedMs;
      }
    };
    await Promise.all(Array.from({ length: callers }, loop));
    return done;
  };

  await loops(warmupMs);
  globalThis.gc?.();
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  const done = await loops(durationMs);
  const elapsedMs = performance.now() - startedMs;
  const cpu = process.cpuUsage(cpuBefore);
  const sorted = latencies.subarray(0, Math.min(done, MAX_SAMPLES)).sort();
  const operations = done * (entry.operations ?? 1);
  return {
    opsPerSecond: (operations / elapsedMs) * 1_000,
    p50Ms: quantileOfSorted(sorted, 0.5),
    p99Ms: quantileOfSorted(sorted, 0.99),
    maxMs: sorted.at(-1) as number,
    cpuUs: (cpu.user + cpu.system) / operations,
    rssBytes: process.memoryUsage.rss(),
  };
}

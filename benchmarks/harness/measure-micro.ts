import { GCProfiler } from 'node:v8';
import { Bench } from 'tinybench';
import { batchSize } from './batch-size.ts';
import type { Timing } from './child-protocol.ts';
import { median } from './statistics.ts';
import type { Case, Figures } from './suite.ts';

/** Where results go, so that an engine can not leave the work out. */
export const sink: { last: unknown } = { last: undefined };

function runSync(entry: Case, from: number, count: number): void {
  for (let index = from; index < from + count; index++) sink.last = entry.run(index);
}

async function runAsync(entry: Case, from: number, count: number): Promise<void> {
  for (let index = from; index < from + count; index++) sink.last = await entry.run(index);
}

/** Measures one call at a time: nanoseconds and bytes per operation. */
export async function measureMicro(entry: Case, { warmupMs, durationMs, series }: Timing): Promise<Figures> {
  let index = 0;
  const first: unknown = entry.run(index);
  const isAsync = typeof (first as PromiseLike<unknown> | undefined)?.then === 'function';
  await entry.check(await first, index);
  index++;
  const operations = entry.operations ?? 1;
  const batch = isAsync ? runAsync : runSync;
  const count = await batchSize(warmupMs, (size) => {
    index += size;
    return batch(entry, index - size, size);
  });

  // All of the warm-up has gone into the size of a batch.
  const bench = new Bench({
    time: durationMs,
    warmupTime: 0,
    iterations: 5,
    warmupIterations: 3,
    retainSamples: true,
    throws: true,
  });
  const ended = (startedMs: number): { overriddenDuration: number; overriddenIterationCost: number } => {
    const elapsedMs = bench.now() - startedMs;
    index += count;
    return { overriddenDuration: elapsedMs / (count * operations), overriddenIterationCost: elapsedMs };
  };
  const sample = isAsync
    ? async () => {
        const startedMs = bench.now();
        await runAsync(entry, index, count);
        return ended(startedMs);
      }
    : () => {
        const startedMs = bench.now();
        runSync(entry, index, count);
        return ended(startedMs);
      };
  bench.add('contender', sample);
  await bench.run();
  await entry.check(sink.last, index - 1);
  const { result } = bench.tasks[0] as NonNullable<(typeof bench.tasks)[0]>;
  if (result.state !== 'completed') throw new Error(`tinybench did not complete: ${result.state}`);
  const timeNs = result.latency.p50 * 1e6;
  const bytesPerOp = (await bytesPerRun(entry, isAsync, index, series)) / operations;
  return { timeNs, opsPerSecond: 1e9 / timeNs, bytesPerOp };
}

/** Enough that what the measuring itself allocates does not count. */
const ALLOCATION_BYTES = 400_000;
/** What hardly allocates is not run for ever. */
const ALLOCATION_MS = 20;

/** Heap that one run takes: the median of several series. */
async function bytesPerRun(entry: Case, isAsync: boolean, from: number, times: number): Promise<number> {
  let index = from;
  const allocated = async (count: number): Promise<number> => {
    const profiler = new GCProfiler();
    profiler.start();
    const startBytes = process.memoryUsage().heapUsed;
    if (isAsync) await runAsync(entry, index, count);
    else runSync(entry, index, count);
    const endBytes = process.memoryUsage().heapUsed;
    const { statistics } = profiler.stop();
    index += count;
    // What collections took away in between was allocated as well.
    const collected = statistics.map(
      ({ beforeGC, afterGC }) => beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize,
    );
    return endBytes - startBytes + collected.reduce((sum, bytes) => sum + bytes, 0);
  };
  const idle = median(await series(times, () => allocated(0)));
  let count = 1;
  for (; count < 1 << 16; count *= 4) {
    const startedMs = performance.now();
    const bytes = (await allocated(count)) - idle;
    if (bytes >= ALLOCATION_BYTES || performance.now() - startedMs >= ALLOCATION_MS) break;
  }
  const grown = median(await series(times, () => allocated(count)));
  return Math.max(0, (grown - idle) / count);
}

async function series(times: number, one: () => Promise<number>): Promise<number[]> {
  const values: number[] = [];
  for (let done = 0; done < times; done++) values.push(await one());
  return values;
}

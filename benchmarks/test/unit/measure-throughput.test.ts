import { afterEach, expect, test } from 'vitest';
import { measureThroughput } from '../../harness/measure-throughput.ts';

const { gc } = globalThis;
afterEach(() => {
  globalThis.gc = gc;
});

const CALLERS = 8;
const CALL_MS = 2;
const PAUSE_MS = 1_000;

test('garbage is collected once, while callers go on, and what it held up is not counted', async () => {
  const underWay: number[] = [];
  let calls = 0;
  globalThis.gc = (() => {
    underWay.push(calls);
    const untilMs = performance.now() + PAUSE_MS;
    while (performance.now() < untilMs);
  }) as typeof gc;
  const figures = await measureThroughput(
    {
      async run() {
        calls++;
        await new Promise((resolve) => setTimeout(resolve, CALL_MS));
        calls--;
      },
      check() {},
    },
    CALLERS,
    { warmupMs: 20, durationMs: 200, series: 1, outageMs: 0, afterMs: 0 },
  );
  expect(underWay).toHaveLength(1);
  expect(underWay[0]).toBeGreaterThanOrEqual(1);
  expect(figures.maxMs).toBeLessThan(PAUSE_MS);
  expect(figures.p50Ms).toBeGreaterThanOrEqual(CALL_MS * 0.5);
  expect(figures.opsPerSecond).toBeGreaterThan(0);
  // Calls that were answered before counting began would make it more than the callers can.
  expect(figures.opsPerSecond).toBeLessThanOrEqual((CALLERS * 1_000) / (CALL_MS * 0.9));
});

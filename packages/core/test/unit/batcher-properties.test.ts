import fc from 'fast-check';
import { expect, test } from 'vitest';
import { batcher, isHotpathError } from '../../src/index.ts';
import { createVirtualClock } from '../../src/testing.ts';
import { listeners } from '../inputs.ts';

interface Call {
  readonly atMs: number;
  readonly item: number;
  readonly abortAfterMs: number | undefined;
}

const calls: fc.Arbitrary<Call[]> = fc.array(
  fc.record({
    atMs: fc.nat(40),
    item: fc.nat(12),
    abortAfterMs: fc.option(fc.nat(20), { nil: undefined }),
  }),
  // Without `size` an array has ten elements at most, whatever `maxLength` says.
  { maxLength: 100, size: 'max' },
);
const options = fc.record({
  maxBatchSize: fc.integer({ min: 1, max: 6 }),
  windowMs: fc.nat(8),
  maxBatchBytes: fc.integer({ min: 3, max: 20 }),
  flushWhenIdle: fc.boolean(),
  maxConcurrentBatches: fc.integer({ min: 1, max: 3 }),
  maxQueuedItems: fc.integer({ min: 3, max: 20 }),
  timeoutMs: fc.integer({ min: 4, max: 40 }),
});
/** What the loader does, batch by batch: how long it takes, and how it ends. */
const behaviours = fc.array(
  fc.record({
    ms: fc.nat(15),
    ending: fc.constantFrom('values', 'values', 'fails', 'throws', 'short', 'never'),
  }),
  { minLength: 1, maxLength: 8, size: 'max' },
);
const flushes = fc.array(fc.nat(60), { maxLength: 3, size: 'max' });

test('every load settles exactly once, with its own value or a reason that is its own', async () => {
  await fc.assert(
    fc.asyncProperty(calls, options, behaviours, flushes, async (given, chosen, behaves, flushAtMs) => {
      const clock = createVirtualClock();
      let loading = 0;
      let batches = 0;
      const doubled = batcher<number, { readonly of: number }>(
        (items) => {
          const { ms, ending } = behaves[batches % behaves.length] as { ms: number; ending: string };
          const isOdd = (item: number): boolean => item % 5 === 0;
          batches++;
          expect(items.length).toBeGreaterThan(0);
          expect(items.length).toBeLessThanOrEqual(chosen.maxBatchSize);
          expect(new Set(items).size).toBe(items.length);
          const bytes = items.reduce((sum, item) => sum + 1 + item, 0);
          expect(items.length === 1 || bytes <= chosen.maxBatchBytes).toBe(true);
          if (ending === 'throws') throw new Error('batch');
          if (ending === 'never') return new Promise(() => {});
          // Batches that outlast their time are given up, and no longer count.
          if (ms < chosen.timeoutMs) expect(++loading).toBeLessThanOrEqual(chosen.maxConcurrentBatches);
          return new Promise((resolve, reject) => {
            clock.setTimeout(() => {
              if (ms < chosen.timeoutMs) loading--;
              if (ending === 'fails') reject(new Error('batch'));
              else if (ending === 'short') resolve([]);
              else resolve(items.map((item) => (isOdd(item) ? new Error(`item ${item}`) : { of: item })));
            }, ms);
          });
        },
        { clock, sizeOf: (item) => 1 + item, ...chosen },
      );

      const outcomes: {
        readonly call: Call;
        readonly controller: AbortController;
        readonly ends: unknown[];
      }[] = [];
      for (const call of given) {
        clock.setTimeout(() => {
          const outcome = { call, controller: new AbortController(), ends: [] as unknown[] };
          outcomes.push(outcome);
          doubled.load(call.item, { signal: outcome.controller.signal }).then(
            (value) => outcome.ends.push(value),
            (error) => outcome.ends.push(error),
          );
          if (call.abortAfterMs !== undefined)
            clock.setTimeout(() => outcome.controller.abort(outcome), call.abortAfterMs);
        }, call.atMs);
      }
      for (const atMs of flushAtMs) clock.setTimeout(() => void doubled.flush(), atMs);
      await clock.advance(5_000);

      expect(outcomes).toHaveLength(given.length);
      for (const { call, controller, ends } of outcomes) {
        expect(ends).toHaveLength(1);
        const end = ends[0] as { of?: number; message?: string };
        if (end === controller.signal.reason) {
          // The reason is made by this call's own timer: nobody else's abort reached it.
          expect(end).toMatchObject({ call: { abortAfterMs: expect.any(Number) } });
        } else if (end instanceof Error) {
          const isKnown =
            isHotpathError(end, 'HOTPATH_BATCH_QUEUE_FULL') ||
            isHotpathError(end, 'HOTPATH_BATCH_TIMEOUT') ||
            isHotpathError(end, 'HOTPATH_BATCH_RESULT') ||
            end.message === 'batch' ||
            end.message === `item ${call.item}`;
          expect(isKnown).toBe(true);
        } else {
          expect(end.of).toBe(call.item);
        }
        expect(listeners(controller.signal)).toBe(0);
      }
      expect(doubled.stats()).toMatchObject({ queuedItems: 0, batchesInFlight: 0, batches });
      // Only what the test itself armed may be left: nothing.
      expect(clock.pendingTimers).toBe(0);
      await doubled.close();
    }),
    { numRuns: 300 },
  );
});

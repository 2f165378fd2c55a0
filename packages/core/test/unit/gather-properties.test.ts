import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type GatherError, type GatherResult, gather, gatherStream } from '../../src/index.ts';
import { createVirtualClock } from '../../src/testing.ts';
import { counted, failure } from '../inputs.ts';

/** What an item does: how long it takes, whether it fails, and whether it does so at once, without a promise. */
interface Plan {
  readonly ms: number;
  readonly fails: boolean;
  readonly atOnce: boolean;
}

const plan: fc.Arbitrary<Plan> = fc.record({ ms: fc.nat(20), fails: fc.boolean(), atOnce: fc.boolean() });
// Without `size` an array has ten elements at most, whatever `maxLength` says.
const plans = fc.array(plan, { maxLength: 60, size: 'max' });
const concurrency = fc.integer({ min: 1, max: 8 });

/** Plays plans on a clock, and watches over what may never happen. */
function stage(concurrent: number) {
  const clock = createVirtualClock();
  const began: number[] = [];
  let running = 0;
  let most = 0;
  const worker = (item: Plan, { index }: { index: number }): Promise<number> | number => {
    began.push(index);
    if (item.atOnce) {
      if (item.fails) throw index;
      return index;
    }
    most = Math.max(most, ++running);
    return new Promise((resolve, reject) => {
      clock.setTimeout(() => {
        running--;
        if (item.fails) reject(index);
        else resolve(index);
      }, item.ms);
    });
  };
  const check = (): void => {
    expect(most).toBeLessThanOrEqual(concurrent);
    expect(began).toEqual([...began.keys()]);
  };
  return { clock, worker, check, began };
}

/** The slow, obvious model: when each item begins and ends, given that places are taken in order. */
function schedule(items: readonly Plan[], concurrent: number): { beginMs: number; endMs: number }[] {
  const freeMs = new Array<number>(concurrent).fill(0);
  return items.map((item) => {
    const place = freeMs.indexOf(Math.min(...freeMs));
    const beginMs = freeMs[place] as number;
    const endMs = beginMs + (item.atOnce ? 0 : item.ms);
    freeMs[place] = endMs;
    return { beginMs, endMs };
  });
}

function expectResult(result: GatherResult<number> | undefined, item: Plan, index: number): void {
  expect(result).toMatchObject(
    item.fails ? { index, status: 'error', error: index } : { index, status: 'ok', value: index },
  );
}

describe('gather, against a model', () => {
  test('settled: every item settles once, in its place, at the time that the model says', async () => {
    await fc.assert(
      fc.asyncProperty(plans, concurrency, fc.boolean(), async (items, concurrent, isAsync) => {
        const { clock, worker, check } = stage(concurrent);
        const { input, seen } = counted(items, isAsync);
        const gathering = gather(input, worker, { clock, concurrency: concurrent });
        await clock.advance(1_000);
        const results = await gathering;
        check();
        expect(seen).toEqual({ pulled: items.length + 1, returned: 0 });
        expect(results).toHaveLength(items.length);
        for (const [index, item] of items.entries()) {
          expectResult(results[index], item, index);
          expect(results[index]?.totalMs).toBe(item.atOnce ? 0 : item.ms);
        }
        expect(clock.pendingTimers).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  test('given up at any moment: what had ended stays, what ran is aborted, what had not begun is skipped', async () => {
    await fc.assert(
      fc.asyncProperty(plans, concurrency, fc.nat(60), async (items, concurrent, timeoutMs) => {
        const { clock, worker, check } = stage(concurrent);
        const gathering = gather(items, worker, {
          clock,
          concurrency: concurrent,
          timeoutMs: timeoutMs + 0.5,
        });
        await clock.advance(1_000);
        const results = await gathering;
        check();
        const expected = schedule(items, concurrent).map(({ beginMs, endMs }) =>
          endMs <= timeoutMs ? 'ended' : beginMs <= timeoutMs ? 'aborted' : 'skipped',
        );
        expect(
          results.map(({ status }) => (status === 'ok' || status === 'error' ? 'ended' : status)),
        ).toEqual(expected);
        for (const [index, item] of items.entries()) {
          if (expected[index] === 'ended') expectResult(results[index], item, index);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('failFast: all the values, or the failure that the model has first', async () => {
    await fc.assert(
      fc.asyncProperty(plans, concurrency, async (items, concurrent) => {
        const { clock, worker, check, began } = stage(concurrent);
        const gathering = gather(items, worker, { clock, concurrency: concurrent, mode: 'failFast' });
        const caught = failure(gathering);
        await clock.advance(1_000);
        check();
        if (items.every((item) => !item.fails)) {
          expect(await gathering).toEqual(items.map((_, index) => index));
          return;
        }
        const error = (await caught) as GatherError;
        expect(error.errors).toEqual([...error.indices]);
        const times = schedule(items, concurrent);
        const firstMs = Math.min(
          ...times.filter((_, index) => items[index]?.fails).map(({ endMs }) => endMs),
        );
        expect(times[error.cause as number]?.endMs).toBe(firstMs);
        // Nothing was begun after the first failure.
        for (const index of began) expect(times[index]?.beginMs).toBeLessThanOrEqual(firstMs);
      }),
      { numRuns: 200 },
    );
  });

  test('any: the value that the model has first, or every failure', async () => {
    await fc.assert(
      fc.asyncProperty(plans, concurrency, async (items, concurrent) => {
        const { clock, worker, check } = stage(concurrent);
        const gathering = gather(items, worker, { clock, concurrency: concurrent, mode: 'any' });
        const caught = failure(gathering);
        await clock.advance(1_000);
        check();
        if (items.every((item) => item.fails)) {
          expect(await caught).toMatchObject({ indices: items.map((_, index) => index) });
          return;
        }
        const times = schedule(items, concurrent);
        const firstMs = Math.min(
          ...times.filter((_, index) => !items[index]?.fails).map(({ endMs }) => endMs),
        );
        expect(times[await gathering]?.endMs).toBe(firstMs);
      }),
      { numRuns: 200 },
    );
  });
});

describe('gatherStream, against a model', () => {
  test('gives every item once, in its order, never holding more than `concurrency` that run or wait to be read', async () => {
    const order = fc.constantFrom('completion' as const, 'input' as const);
    await fc.assert(
      fc.asyncProperty(
        plans,
        concurrency,
        order,
        fc.boolean(),
        fc.array(fc.nat(30), { maxLength: 10, size: 'max' }),
        async (items, concurrent, inOrder, isAsync, pauses) => {
          const { clock, worker, check, began } = stage(concurrent);
          const { input, seen } = counted(items, isAsync);
          const stream = gatherStream(input, worker, { clock, concurrency: concurrent, order: inOrder });
          const results: GatherResult<number>[] = [];
          const reading = (async () => {
            for await (const result of stream) {
              results.push(result);
              expect(began.length - results.length).toBeLessThanOrEqual(concurrent);
              const pauseMs = pauses[results.length % (pauses.length + 1)];
              if (pauseMs === undefined) continue;
              await new Promise<void>((resolve) => void clock.setTimeout(resolve, pauseMs));
              // However long the reader took, no more was begun meanwhile than there are places.
              expect(began.length - results.length).toBeLessThanOrEqual(concurrent);
            }
          })();
          await clock.advance(5_000);
          await reading;
          check();
          expect(seen.returned).toBe(0);
          expect(results).toHaveLength(items.length);
          if (inOrder === 'input') expect(results.map(({ index }) => index)).toEqual([...items.keys()]);
          const sorted = [...results].sort((a, b) => a.index - b.index);
          for (const [index, item] of items.entries()) expectResult(sorted[index], item, index);
        },
      ),
      { numRuns: 200 },
    );
  });
});

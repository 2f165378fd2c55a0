import { describe, expect, test, vi } from 'vitest';
import { type GatherContext, type GatherResult, gatherStream, sleep } from '../../src/index.ts';
import { createVirtualClock } from '../../src/testing.ts';
import { counted, failure, listeners, naturals, never } from '../inputs.ts';

const settle = createVirtualClock().settle;

async function read<Value>(stream: AsyncIterable<GatherResult<Value>>): Promise<GatherResult<Value>[]> {
  const results: GatherResult<Value>[] = [];
  for await (const result of stream) results.push(result);
  return results;
}

describe('gatherStream', () => {
  test('yields in the order of completion, or of the input where asked', async () => {
    for (const [order, expected] of [
      [undefined, [20, 10, 30]],
      ['completion', [20, 10, 30]],
      ['input', [30, 10, 20]],
    ] as const) {
      const clock = createVirtualClock();
      const reading = read(
        gatherStream([30, 10, 20], (ms) => sleep(ms === 10 ? 25 : ms, { clock }).then(() => ms), {
          clock,
          ...(order && { order }),
        }),
      );
      await clock.advance(100);
      expect((await reading).map((result) => result.status === 'ok' && result.value)).toEqual(expected);
    }
  });

  test('begins nothing until it is read', async () => {
    const { input, seen } = counted([1, 2]);
    const { signal } = new AbortController();
    const stream = gatherStream(input, (item) => item, { signal });
    await settle();
    expect([seen.pulled, listeners(signal)]).toEqual([0, 0]);
    await stream.return(undefined);
    expect([seen.pulled, listeners(signal)]).toEqual([0, 0]);
    expect(await read(stream)).toEqual([]);
  });

  test('a slow reader slows the input: at most `concurrency` items run or wait to be taken', async () => {
    for (const order of ['completion', 'input'] as const) {
      const { input, seen } = counted(naturals());
      const stream = gatherStream(input, (item) => item, { concurrency: 3, order });
      for (let taken = 1; taken <= 5; taken++) {
        await stream.next();
        await settle();
        expect(seen.pulled).toBe(taken + 3);
      }
      await stream.return(undefined);
      expect(seen).toEqual({ pulled: 8, returned: 1 });
    }
  });

  test('a first item that never ends holds an ordered stream at `concurrency` items', async () => {
    const { input, seen } = counted(naturals());
    const stream = gatherStream(input, (item) => (item === 0 ? never() : item), {
      concurrency: 4,
      order: 'input',
    });
    void stream.next();
    await settle();
    expect(seen.pulled).toBe(4);
    await stream.return(undefined);
  });

  test('failures are results; the stream goes on', async () => {
    const results = await read(
      gatherStream([1, 2], (item) => (item === 1 ? Promise.reject(new Error('one')) : item)),
    );
    expect(results.map(({ status }) => status).sort()).toEqual(['error', 'ok']);
  });

  test.each(['break', 'throw'])(
    'leaving the loop early by %s aborts what runs and closes the input',
    async (how) => {
      const { input, seen } = counted(naturals());
      const { signal } = new AbortController();
      const workers: AbortSignal[] = [];
      const late = Promise.withResolvers<number>();
      const reading = (async () => {
        for await (const _ of gatherStream(
          input,
          (item, context) => {
            workers.push(context.signal);
            return item === 0 ? item : late.promise;
          },
          { concurrency: 3, signal },
        )) {
          if (how === 'break') break;
          throw new Error('reader');
        }
      })();
      if (how === 'break') await reading;
      else await expect(reading).rejects.toThrow('reader');
      expect(seen.returned).toBe(1);
      expect(workers.map((each) => each.aborted)).toEqual([false, true, true, true]);
      expect(workers[1]?.reason).toMatchObject({ name: 'AbortedError', code: 'HOTPATH_GATHER_SIBLING' });
      expect(listeners(signal)).toBe(0);
      late.reject(new Error('late, and handled'));
      await settle();
    },
  );

  test('throw() aborts what runs and closes the input as well', async () => {
    const { input, seen } = counted(naturals());
    let signal: AbortSignal | undefined;
    const worker = (item: number, context: GatherContext): number | Promise<never> => {
      signal = context.signal;
      return item === 0 ? item : never();
    };
    const stream = gatherStream(input, worker, { concurrency: 1 });
    await stream.next();
    await settle();
    expect(await failure(stream.throw(new Error('reader')))).toMatchObject({ message: 'reader' });
    expect([seen.returned, signal?.aborted]).toEqual([1, true]);
  });

  test('return() while a result is waited for does not wait for a worker that never settles', async () => {
    const { input, seen } = counted(naturals());
    const stream = gatherStream(input, never, { concurrency: 1 });
    const waiting = stream.next();
    await settle();
    const returned = stream.return(undefined);
    expect(await waiting).toMatchObject({ done: false, value: { index: 0, status: 'aborted' } });
    expect(await returned).toEqual({ done: true, value: undefined });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(seen.returned).toBe(1);
  });

  test.each(['the signal', 'the time'])(
    'when %s ends it, what ran is yielded as aborted, and the stream ends',
    async (what) => {
      const clock = createVirtualClock();
      const controller = new AbortController();
      const { input, seen } = counted(naturals());
      const reading = read(
        gatherStream(input, (item) => (item === 0 ? item : never()), {
          clock,
          concurrency: 2,
          signal: controller.signal,
          timeoutMs: 100,
        }),
      );
      await clock.advance(99);
      if (what === 'the signal') controller.abort('enough');
      else await clock.advance(1);
      expect((await reading).map(({ status }) => status)).toEqual(['ok', 'aborted', 'aborted']);
      expect(seen.returned).toBe(1);
      expect(listeners(controller.signal)).toBe(0);
      expect(clock.pendingTimers).toBe(0);
    },
  );

  test('an aborted signal gives an empty stream', async () => {
    const worker = vi.fn(never);
    expect(await read(gatherStream([1], worker, { signal: AbortSignal.abort() }))).toEqual([]);
    expect(worker).not.toHaveBeenCalled();
  });

  test('throws what the input throws, after the results that came before it', async () => {
    const broken = new Error('input');
    async function* items() {
      yield 1;
      yield 2;
      throw broken;
    }
    const seen: string[] = [];
    const error = await failure(
      (async () => {
        for await (const { status } of gatherStream(items(), (item) => (item === 1 ? item : never())))
          seen.push(status);
      })(),
    );
    expect(error).toBe(broken);
    expect(seen).toEqual(['ok', 'aborted']);
  });

  test('what the input throws because it was given up is not thrown on', async () => {
    const controller = new AbortController();
    function* items() {
      yield 1;
      controller.abort('enough');
      throw new Error('no more');
    }
    const results = await read(gatherStream(items(), never, { signal: controller.signal }));
    expect(results).toMatchObject([{ status: 'aborted', error: 'enough' }]);
  });

  test('an item’s time is counted from its beginning', async () => {
    const clock = createVirtualClock();
    const reading = read(gatherStream([1, 2], never, { clock, concurrency: 1, itemTimeoutMs: 10 }));
    await clock.advance(20);
    expect(await reading).toMatchObject([
      { index: 0, status: 'error', totalMs: 10, error: { code: 'HOTPATH_GATHER_ITEM_TIMEOUT' } },
      { index: 1, status: 'error', totalMs: 10 },
    ]);
    expect(clock.pendingTimers).toBe(0);
  });

  test.each([
    [
      [[], never, { order: 'any' }],
      `gatherStream: option 'order' must be one of "completion", "input", got "any"`,
    ],
    [[[], never, { mode: 'any' }], "gatherStream: unknown option 'mode'"],
    [[[], never, { concurrency: 0 }], "gatherStream: option 'concurrency'"],
    [[1, never], 'gatherStream: items must be iterable, got 1'],
    [[[], null], 'gatherStream: worker must be a function, got null'],
  ])('refuses wrong arguments at once (%#)', (given, message) => {
    expect(() => gatherStream(...(given as Parameters<typeof gatherStream>))).toThrow(message);
  });
});

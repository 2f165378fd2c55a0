import { describe, expect, test, vi } from 'vitest';
import {
  type GatherContext,
  GatherError,
  type GatherResult,
  gather,
  isHotpathError,
  sleep,
} from '../../src/index.ts';
import { createVirtualClock } from '../../src/testing.ts';
import { counted, failure, listeners, naturals, never } from '../inputs.ts';

const settle = createVirtualClock().settle;

describe('gather, mode settled', () => {
  test('gives one result an item in input order, whatever order they end in', async () => {
    const clock = createVirtualClock();
    const gathering = gather(
      [30, 10, 20],
      async (ms, context) => {
        await sleep(ms, { clock });
        if (ms === 10) throw new Error('ten');
        if (ms === 20) context.attempts = 3;
        return `after ${ms}`;
      },
      { clock },
    );
    await clock.advance(30);
    expect(await gathering).toEqual([
      { index: 0, status: 'ok', value: 'after 30', attempts: 1, totalMs: 30 },
      { index: 1, status: 'error', error: new Error('ten'), attempts: 1, totalMs: 10 },
      { index: 2, status: 'ok', value: 'after 20', attempts: 3, totalMs: 20 },
    ]);
  });

  test.each([
    ['an array', [1, 2]],
    ['a set', new Set([1, 2])],
    [
      'a generator',
      (function* () {
        yield 1;
        yield 2;
      })(),
    ],
    [
      'an asynchronous generator',
      (async function* () {
        yield 1;
        yield 2;
      })(),
    ],
  ])('takes %s, and workers that are synchronous, asynchronous or give thenables', async (_, items) => {
    const workers = [
      (item: number) => item * 2,
      async (item: number) => item * 2,
      (item: number): PromiseLike<number> =>
        // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
        ({ then: (ok: (value: number) => unknown) => ok(item * 2) }) as never,
    ];
    const list = Array.isArray(items) || items instanceof Set ? [...items] : undefined;
    for (const worker of list === undefined ? workers.slice(0, 1) : workers) {
      const results = await gather(list ?? items, worker);
      expect(results.map((result) => result.status === 'ok' && result.value)).toEqual([2, 4]);
    }
  });

  test('an empty input gives an empty result', async () => {
    expect(await gather([], never)).toEqual([]);
    expect(await gather([], never, { mode: 'failFast' })).toEqual([]);
  });

  test('a worker that throws at once, a thenable that throws, and an undefined error are failures of their item', async () => {
    const results = await gather([0, 1, 2, 3], (item): PromiseLike<number> | number => {
      if (item === 0) throw new Error('at once');
      if (item === 1)
        return {
          // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
          then: () => {
            throw new Error('then');
          },
        } as never;
      if (item === 2) return Promise.reject(undefined);
      return item;
    });
    expect(results).toMatchObject([
      { status: 'error', error: new Error('at once') },
      { status: 'error', error: new Error('then') },
      { status: 'error', error: undefined },
      { status: 'ok', value: 3 },
    ]);
  });

  test('never runs more than `concurrency` at once, 50 where nothing is said, and pulls no item before it has a place', async () => {
    for (const concurrency of [1, 7, undefined]) {
      const bound = concurrency ?? 50;
      const { input, seen } = counted(Array.from({ length: 200 }, (_, index) => index));
      const places: (() => void)[] = [];
      let running = 0;
      let most = 0;
      const gathering = gather(
        input,
        () => {
          running++;
          most = Math.max(most, running);
          return new Promise<void>((resolve) =>
            places.push(() => {
              running--;
              resolve();
            }),
          );
        },
        concurrency === undefined ? {} : { concurrency },
      );
      await settle();
      expect([running, seen.pulled]).toEqual([bound, bound]);
      while (places.length > 0) {
        places.pop()?.();
        await settle();
      }
      expect(await gathering).toHaveLength(200);
      expect(most).toBe(bound);
    }
  });

  test.each(['the signal', 'the time'])(
    'when %s ends it, what ran is aborted, what had not begun is skipped, and it resolves at once',
    async (what) => {
      const clock = createVirtualClock();
      const controller = new AbortController();
      const signals: AbortSignal[] = [];
      const gathering = gather(
        [0, 1, 2, 3, 4],
        async (item, { signal }) => {
          signals.push(signal);
          return item === 0 ? item : never();
        },
        { clock, concurrency: 2, signal: controller.signal, timeoutMs: 100 },
      );
      await clock.advance(99);
      if (what === 'the signal') controller.abort('enough');
      else await clock.advance(1);
      const results = await gathering;
      expect(results.map((result) => result.status)).toEqual([
        'ok',
        'aborted',
        'aborted',
        'skipped',
        'skipped',
      ]);
      expect(results.map((result) => result.index)).toEqual([0, 1, 2, 3, 4]);
      for (const result of results.slice(1)) {
        const error = result.status === 'ok' ? undefined : result.error;
        if (what === 'the signal') expect(error).toBe('enough');
        else expect(isHotpathError(error, 'HOTPATH_DEADLINE')).toBe(true);
      }
      expect(results[3]).toMatchObject({ attempts: 0, totalMs: 0 });
      expect(signals.map((signal) => signal.aborted)).toEqual([false, true, true]);
      expect(listeners(controller.signal)).toBe(0);
      expect(clock.pendingTimers).toBe(0);
    },
  );

  test('of an input of unknown length only what was pulled has a result', async () => {
    const controller = new AbortController();
    const gathering = gather(naturals(), never, { concurrency: 3, signal: controller.signal });
    controller.abort('enough');
    expect((await gathering).map((result) => result.status)).toEqual(['aborted', 'aborted', 'aborted']);
  });

  test('an aborted signal begins nothing and skips everything', async () => {
    const worker = vi.fn(never);
    const results = await gather([1, 2], worker, { signal: AbortSignal.abort('before') });
    expect(results).toMatchObject([
      { status: 'skipped', error: 'before' },
      { status: 'skipped', error: 'before' },
    ]);
    expect(worker).not.toHaveBeenCalled();
  });

  test('an abort from within a worker or from within the input ends it all the same', async () => {
    for (const where of ['worker', 'input']) {
      const controller = new AbortController();
      const closed = vi.fn();
      function* items() {
        try {
          for (let item = 0; item < 10; item++) {
            if (where === 'input' && item === 2) controller.abort('within');
            yield item;
          }
        } finally {
          closed();
        }
      }
      const worker = (item: number) => {
        if (where === 'worker' && item === 2) controller.abort('within');
        return never();
      };
      const results = await gather(items(), worker, { signal: controller.signal });
      expect(results.map((result) => result.status)).toEqual(
        where === 'worker' ? ['aborted', 'aborted', 'aborted'] : ['aborted', 'aborted'],
      );
      expect(closed).toHaveBeenCalledTimes(1);
    }
  });

  test('what settles after it was given up is dropped, and its late rejection handled', async () => {
    const clock = createVirtualClock();
    const late = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
    const gathering = gather(late, (each) => each.promise, { clock, timeoutMs: 10 });
    await clock.advance(10);
    const results = await gathering;
    late[0]?.resolve('too late');
    late[1]?.reject(new Error('too late'));
    await settle();
    expect(results.map((result) => result.status)).toEqual(['aborted', 'aborted']);
  });

  test('an item whose time is over fails with HOTPATH_GATHER_ITEM_TIMEOUT, aborts its worker, and gives its place away', async () => {
    const clock = createVirtualClock();
    const signals: AbortSignal[] = [];
    const gathering = gather(
      [0, 1],
      (item, { signal }) => {
        signals.push(signal);
        return item === 0 ? never() : 'quick';
      },
      { clock, concurrency: 1, itemTimeoutMs: 50 },
    );
    await clock.advance(50);
    const [first, second] = await gathering;
    expect(first).toMatchObject({ status: 'error', totalMs: 50 });
    expect(first?.status === 'error' && first.error).toMatchObject({
      name: 'TimeoutError',
      code: 'HOTPATH_GATHER_ITEM_TIMEOUT',
      message: 'item 0 was not done within 50 ms',
    });
    expect(second).toMatchObject({ status: 'ok', value: 'quick' });
    expect(signals.map((signal) => signal.aborted)).toEqual([true, false]);
    expect(clock.pendingTimers).toBe(0);
  });

  test('keeps one listener on the group’s signal however many items there are, and none afterwards', async () => {
    const { signal } = new AbortController();
    const seen: number[] = [];
    await gather(
      Array.from({ length: 100 }, (_, index) => index),
      async (_, context) => {
        seen.push(listeners(signal), context.signal.aborted ? -1 : 1);
      },
      { signal },
    );
    expect(new Set(seen)).toEqual(new Set([1]));
    expect(listeners(signal)).toBe(0);
  });

  test('a worker’s signal that is read only after the end is aborted with the reason', async () => {
    const controller = new AbortController();
    let context: GatherContext | undefined;
    const gathering = gather(
      [1],
      (_, given) => {
        context = given;
        return never();
      },
      { signal: controller.signal },
    );
    controller.abort('enough');
    await gathering;
    expect(context?.signal.reason).toBe('enough');
  });
});

describe('gather, mode failFast', () => {
  test('resolves with the values in input order', async () => {
    expect(await gather([3, 1, 2], async (item) => item * 10, { mode: 'failFast' })).toEqual([30, 10, 20]);
  });

  test('the first failure aborts the siblings, waits until they have settled, and rejects naming its index', async () => {
    const clock = createVirtualClock();
    const cleanedUp: number[] = [];
    const cause = new Error('two broke');
    const rejected = vi.fn();
    const gathering = gather(
      [0, 1, 2, 3, 4, 5],
      async (item, { signal }) => {
        if (item === 2) throw cause;
        await sleep(10_000, { clock, signal }).catch(async (reason) => {
          await sleep(100, { clock });
          cleanedUp.push(item);
          throw reason;
        });
      },
      { clock, concurrency: 4, mode: 'failFast' },
    );
    gathering.catch(rejected);
    await clock.advance(99);
    expect(rejected).not.toHaveBeenCalled();
    await clock.advance(1);
    const error = await failure(gathering);
    expect(error).toBeInstanceOf(GatherError);
    expect(error).toBeInstanceOf(AggregateError);
    expect(error).toMatchObject({
      code: 'HOTPATH_GATHER_FAILED',
      message: 'item 2 failed',
      indices: [2],
      errors: [cause],
      cause,
    });
    expect(cleanedUp).toEqual([0, 1, 3]);
    expect(clock.pendingTimers).toBe(0);
  });

  test('siblings that fail for a reason of their own while they are waited for are named as well', async () => {
    const [first, second, third] = [
      Promise.withResolvers<void>(),
      Promise.withResolvers<void>(),
      Promise.withResolvers<void>(),
    ];
    const gathering = gather(
      [first, second, third],
      (each, { signal }) =>
        each === third
          ? new Promise<void>((_, reject) =>
              signal.addEventListener('abort', () => reject(new Error('gone', { cause: signal.reason }))),
            )
          : each.promise,
      { mode: 'failFast' },
    );
    second.reject(new Error('second'));
    await settle();
    first.reject(new Error('first'));
    expect(await failure(gathering)).toMatchObject({
      message: 'items 0, 1 failed',
      indices: [0, 1],
      errors: [new Error('first'), new Error('second')],
      cause: new Error('second'),
    });
  });

  test('a sibling that ignores its abort is waited for no longer than abortGraceMs', async () => {
    const clock = createVirtualClock();
    for (const [abortGraceMs, expectedMs] of [
      [undefined, 5_000],
      [200, 200],
      [0, 0],
    ] as const) {
      const startMs = clock.now();
      const gathering = gather([0, 1], (item) => (item === 0 ? never() : Promise.reject(new Error('no'))), {
        clock,
        mode: 'failFast',
        ...(abortGraceMs === undefined ? {} : { abortGraceMs }),
      });
      let endedMs: number | undefined;
      gathering.catch(() => {
        endedMs = clock.now();
      });
      await clock.advance(10_000);
      expect(endedMs).toBe(startMs + expectedMs);
      expect(await failure(gathering)).toMatchObject({ indices: [1] });
    }
  });

  test('names at most ten of many failed items', async () => {
    const clock = createVirtualClock();
    const gathering = gather(Array.from({ length: 30 }), () => never(), {
      clock,
      mode: 'failFast',
      itemTimeoutMs: 10,
      concurrency: 30,
    });
    gathering.catch(() => {});
    await clock.advance(10);
    const error = (await failure(gathering)) as GatherError;
    expect(error.indices).toHaveLength(30);
    expect(error.message).toBe('items 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 20 more failed');
  });
});

describe('gather, mode any', () => {
  test('resolves with the first value, after the siblings were aborted and have settled', async () => {
    const clock = createVirtualClock();
    const settled: number[] = [];
    const gathering = gather(
      [300, 100, 200],
      async (ms, { signal }) => {
        try {
          await sleep(ms, { clock, signal });
        } finally {
          settled.push(ms);
        }
        return ms;
      },
      { clock, mode: 'any' },
    );
    await clock.advance(100);
    expect(await gathering).toBe(100);
    expect(settled).toEqual([100, 300, 200]);
    expect(clock.pendingTimers).toBe(0);
  });

  test('failures do not end it, and an undefined first value counts', async () => {
    expect(
      await gather([0, 1, 2], async (item) => (item === 1 ? undefined : Promise.reject(new Error('no'))), {
        mode: 'any',
      }),
    ).toBeUndefined();
  });

  test('rejects with every failure, by index, when none succeeds', async () => {
    const error = await failure(
      gather([0, 1], (item) => Promise.reject(new Error(`no ${item}`)), { mode: 'any' }),
    );
    expect(error).toMatchObject({
      code: 'HOTPATH_GATHER_NONE',
      message: 'none of 2 items succeeded',
      indices: [0, 1],
      errors: [new Error('no 0'), new Error('no 1')],
    });
    expect(await failure(gather([], never, { mode: 'any' }))).toMatchObject({
      code: 'HOTPATH_GATHER_NONE',
      errors: [],
    });
  });
});

describe.each(['failFast', 'any'] as const)('gather, given up in mode %s', (mode) => {
  test('rejects with the untouched reason of the signal, at once', async () => {
    const controller = new AbortController();
    const gathering = gather([1, 2], never, { mode, signal: controller.signal });
    const reason = { mine: true };
    controller.abort(reason);
    expect(await failure(gathering)).toBe(reason);
    expect(listeners(controller.signal)).toBe(0);
    expect(await failure(gather([1], never, { mode, signal: controller.signal }))).toBe(reason);
  });

  test('rejects with HOTPATH_DEADLINE when the time is over', async () => {
    const clock = createVirtualClock();
    const gathering = gather([1, 2], never, { clock, mode, timeoutMs: 30 });
    const caught = failure(gathering);
    await clock.advance(30);
    expect(await caught).toMatchObject({ code: 'HOTPATH_DEADLINE', message: 'not done within 30 ms' });
  });
});

test('results are plain objects of one shape', async () => {
  const [result] = (await gather([1], (item) => item)) as [GatherResult<number>];
  expect(Object.keys(result)).toEqual(['index', 'status', 'value', 'attempts', 'totalMs']);
});

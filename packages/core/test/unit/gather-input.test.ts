import { describe, expect, test, vi } from 'vitest';
import { type GatherMode, type GatherOptions, type GatherProgress, gather, sleep } from '../../src/index.ts';
import { createVirtualClock } from '../../src/testing.ts';
import { counted, failure, listeners, naturals, never } from '../inputs.ts';

const settle = createVirtualClock().settle;
const modes: GatherMode[] = ['settled', 'failFast', 'any'];

describe('gather and its input', () => {
  const endings: [string, GatherMode, (item: number) => unknown, Partial<GatherOptions>][] = [
    ['failFast fails', 'failFast', () => Promise.reject(new Error('no')), {}],
    ['any succeeds', 'any', (item) => item, {}],
    ['the time is over', 'settled', never, { timeoutMs: 10 }],
    [
      'the listener throws',
      'settled',
      (item) => item,
      {
        onProgress: () => {
          throw new Error('listener');
        },
        progressIntervalMs: 0,
      },
    ],
  ];
  test.each(endings)(
    'calls return() once when %s, of both kinds of input',
    async (_, mode, worker, options) => {
      for (const isAsync of [false, true]) {
        const clock = createVirtualClock();
        const { input, seen } = counted(naturals(), isAsync);
        const caught = failure(gather(input, worker, { clock, mode, concurrency: 4, ...options } as never));
        await clock.advance(100);
        await caught;
        expect(seen.returned).toBe(1);
        expect(seen.pulled).toBeLessThanOrEqual(5);
      }
    },
  );

  test('calls return() once, after next(), when it is given up from within next()', async () => {
    const controller = new AbortController();
    const calls: string[] = [];
    const input: Iterable<number> = {
      [Symbol.iterator]: () => ({
        next: () => {
          calls.push('next');
          controller.abort('within');
          calls.push('next ends');
          return { value: 1, done: false };
        },
        return: () => {
          calls.push('return');
          return { value: undefined, done: true };
        },
      }),
    };
    expect(await gather(input, never, { signal: controller.signal })).toEqual([]);
    expect(calls).toEqual(['next', 'next ends', 'return']);
  });

  test('does not call return() on an input that came to its end', async () => {
    for (const isAsync of [false, true]) {
      const { input, seen } = counted([1, 2, 3], isAsync);
      await gather(input, (item) => item);
      expect(seen).toEqual({ pulled: 4, returned: 0 });
    }
  });

  test('a return() that throws, rejects or never settles neither hides why it ended nor delays it', async () => {
    const bad = (fails: () => unknown, key: symbol) =>
      ({
        [key]: () => ({
          next: () => (key === Symbol.iterator ? { value: 1, done: false } : never()),
          return: fails,
        }),
      }) as never;
    const inputs = [
      bad(() => {
        throw new Error('return');
      }, Symbol.iterator),
      bad(() => {
        throw new Error('return');
      }, Symbol.asyncIterator),
      bad(() => Promise.reject(new Error('return')), Symbol.asyncIterator),
      bad(never, Symbol.asyncIterator),
    ];
    for (const input of inputs) {
      const controller = new AbortController();
      const gathering = gather(input, never, { mode: 'failFast', signal: controller.signal });
      controller.abort('enough');
      expect(await failure(gathering)).toBe('enough');
    }
    await settle();
  });

  test.each(modes)('what the input throws ends it in mode %s, and aborts what runs', async (mode) => {
    const broken = new Error('input');
    function* sync() {
      yield 1;
      throw broken;
    }
    async function* async() {
      yield 1;
      throw broken;
    }
    const shapes = [
      sync(),
      async(),
      {
        [Symbol.iterator]: () => {
          throw broken;
        },
      },
      {
        [Symbol.asyncIterator]: () => ({
          next: () => {
            throw broken;
          },
        }),
      },
      {
        [Symbol.iterator]: () => ({
          next: () => ({
            done: false,
            get value() {
              throw broken;
            },
          }),
        }),
      },
      {
        [Symbol.asyncIterator]: () => ({
          next: async () => ({
            get done() {
              throw broken;
            },
          }),
        }),
      },
    ];
    for (const items of shapes) {
      const { signal } = new AbortController();
      const workers: AbortSignal[] = [];
      const gathering = gather(
        items as Iterable<number>,
        (_, context) => {
          workers.push(context.signal);
          return never();
        },
        { mode, signal },
      );
      expect(await failure(gathering)).toBe(broken);
      expect(workers.every((each) => each.aborted)).toBe(true);
      expect(listeners(signal)).toBe(0);
    }
  });

  test.each([Symbol.iterator, Symbol.asyncIterator])(
    'an iterator that gives no result object is a TypeError (%s)',
    async (key) => {
      const items = { [key]: () => ({ next: () => undefined }) } as unknown as Iterable<number>;
      expect(await failure(gather(items, never))).toBeInstanceOf(TypeError);
    },
  );

  test('an asynchronous input is asked for one item at a time, and what it delivers after the end is dropped', async () => {
    const asked: ((result: IteratorResult<number>) => void)[] = [];
    const worker = vi.fn(async (item: number) => item);
    const controller = new AbortController();
    const input = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<IteratorResult<number>>((resolve) => asked.push(resolve)),
      }),
    };
    const gathering = gather(input, worker, { signal: controller.signal });
    await settle();
    expect(asked).toHaveLength(1);
    asked[0]?.({ value: 5, done: false });
    await settle();
    expect(asked).toHaveLength(2);
    controller.abort('enough');
    expect((await gathering).map((result) => result.status)).toEqual(['ok']);
    asked[1]?.({ value: 6, done: false });
    await settle();
    expect(worker).toHaveBeenCalledTimes(1);
  });

  test('a synchronous worker over a long input does not grow the stack', async () => {
    const results = await gather(Array.from({ length: 50_000 }).keys(), (item) => item, { mode: 'failFast' });
    expect(results).toHaveLength(50_000);
  });

  test('a first item that ends last keeps the others waiting for nothing but its result', async () => {
    const first = Promise.withResolvers<number>();
    const gathering = gather(
      Array.from({ length: 5_000 }).keys(),
      (item) => (item === 0 ? first.promise : item),
      {
        mode: 'failFast',
      },
    );
    await settle();
    first.resolve(0);
    expect(await gathering).toEqual([...Array.from({ length: 5_000 }).keys()]);
  });
});

describe('gather and hostile workers', () => {
  test('a thenable that gives another one, answers twice or throws after its answer counts once, as await has it', async () => {
    const thenables = [
      (resolve: (value: unknown) => void) => resolve(Promise.resolve('inner')),
      (resolve: (value: unknown) => void, reject: (error: unknown) => void) => {
        resolve('first');
        reject(new Error('second'));
        resolve('third');
      },
      (resolve: (value: unknown) => void) => {
        resolve('answered');
        throw new Error('too late');
      },
      (resolve: (value: unknown) => void) => resolve(Promise.reject(new Error('inner'))),
    ];
    const results = await gather(thenables, (then) => ({ then }) as never as PromiseLike<string>);
    expect(results).toMatchObject([
      { status: 'ok', value: 'inner' },
      { status: 'ok', value: 'first' },
      { status: 'ok', value: 'answered' },
      { status: 'error', error: new Error('inner') },
    ]);
  });

  test.each(modes)(
    'an abort listener that aborts again, settles its worker or starts another gather, in mode %s',
    async (mode) => {
      const group = new AbortController();
      const inner: Promise<unknown>[] = [];
      let calls = 0;
      const worker = (item: number, { signal }: { readonly signal: AbortSignal }): Promise<number> =>
        new Promise((resolve, reject) => {
          signal.addEventListener('abort', () => {
            calls++;
            group.abort('again');
            inner.push(gather([item], (one) => one, { mode: 'failFast' }));
            if (item % 2 === 0) resolve(item);
            else reject(new Error(`item ${item}`));
          });
        });
      const { input, seen } = counted(naturals());
      const gathering = gather(input, worker, { mode, concurrency: 5, signal: group.signal });
      group.abort('once');
      if (mode === 'settled') {
        expect((await gathering) as object[]).toMatchObject(
          Array(5).fill({ status: 'aborted', error: 'once' }),
        );
      } else {
        expect(await failure(gathering)).toBe('once');
      }
      expect([calls, seen.returned, seen.pulled, listeners(group.signal)]).toEqual([5, 1, 5, 0]);
      expect(await Promise.all(inner)).toHaveLength(5);
    },
  );
});

describe('gather and its listener', () => {
  test('is told at most once an interval, and once at the end', async () => {
    const clock = createVirtualClock();
    const seen: GatherProgress[] = [];
    const gathering = gather(
      Array.from({ length: 10 }, (_, index) => index),
      async (item) => {
        await sleep(30, { clock });
        if (item === 3) throw new Error('three');
      },
      { clock, concurrency: 1, onProgress: (progress) => seen.push(progress) },
    );
    await clock.advance(300);
    await gathering;
    expect(seen).toEqual([
      { completed: 4, failed: 1, total: 10, elapsedMs: 120 },
      { completed: 8, failed: 1, total: 10, elapsedMs: 240 },
      { completed: 10, failed: 1, total: 10, elapsedMs: 300 },
    ]);
  });

  test.each(modes)('nothing is reported after the end in mode %s', async (mode) => {
    const seen: number[] = [];
    await failure(
      gather([1, 2], mode === 'any' ? (item) => item : () => Promise.reject(new Error('no')), {
        mode,
        concurrency: 1,
        progressIntervalMs: 0,
        onProgress: ({ completed }) => seen.push(completed),
      }),
    );
    expect(seen).toEqual(mode === 'settled' ? [1, 2, 2] : [1, 1]);
  });

  test('may end the gather itself, and is still told the end', async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const results = await gather([1, 2, 3], async (item) => item, {
      concurrency: 1,
      signal: controller.signal,
      progressIntervalMs: 0,
      onProgress: ({ completed }) => {
        seen.push(completed);
        if (completed === 2) controller.abort('enough');
      },
    });
    expect(results.map(({ status }) => status)).toEqual(['ok', 'ok', 'skipped']);
    expect(seen).toEqual([1, 2, 2]);
  });

  test('does not know the total of an input that does not tell', async () => {
    const totals: unknown[] = [];
    const onProgress = ({ total }: GatherProgress) => totals.push(total);
    await gather(new Set([1, 2]), (item) => item, { onProgress });
    await gather(new Map([[1, 2]]), (item) => item, { onProgress });
    await gather([1].values(), (item) => item, { onProgress });
    expect(totals).toEqual([2, 1, undefined]);
  });

  test.each(modes)(
    'what it throws ends the gather with that error in mode %s, and it is not called again',
    async (mode) => {
      for (const progressIntervalMs of [0, 1_000_000]) {
        const onProgress = vi.fn(() => {
          throw new Error('listener');
        });
        const { signal } = new AbortController();
        const gathering = gather([1, 2, 3], async (item) => item, {
          mode,
          signal,
          onProgress,
          progressIntervalMs,
        });
        expect(await failure(gathering)).toMatchObject({ message: 'listener' });
        expect(onProgress).toHaveBeenCalledTimes(1);
        expect(listeners(signal)).toBe(0);
      }
    },
  );

  test.each(modes)(
    'what it rejects with while the gather is under way ends that with the error in mode %s, and it is not called again',
    async (mode) => {
      const clock = createVirtualClock();
      const { signal } = new AbortController();
      const onProgress = vi.fn(async () => {
        await sleep(5, { clock });
        throw new Error('listener');
      });
      let aborted = 0;
      const gathering = failure(
        gather(
          [1, 2, 3],
          async (item, context) => {
            context.signal.addEventListener('abort', () => aborted++);
            await sleep(item * 10, { clock });
            if (mode === 'any') throw new Error('no value');
          },
          { mode, signal, clock, onProgress, progressIntervalMs: 0 },
        ),
      );
      await clock.advance(15);
      expect(await gathering).toMatchObject({ message: 'listener' });
      expect(aborted).toBe(2);
      await clock.advance(100);
      expect(onProgress).toHaveBeenCalledTimes(1);
      expect(listeners(signal)).toBe(0);
    },
  );

  test('what it rejects with after the end is dropped, and ends nothing', async () => {
    const clock = createVirtualClock();
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    try {
      const late = async (): Promise<void> => {
        await sleep(50, { clock });
        throw new Error('late');
      };
      // biome-ignore lint/suspicious/noThenProperty: a thenable that is no promise
      const foreign = () => ({ then: (_: unknown, fail: (error: unknown) => void) => fail('foreign') });
      for (const onProgress of [late, foreign]) {
        expect(await gather([1], (item) => item, { mode: 'failFast', clock, onProgress })).toEqual([1]);
      }
      await clock.advance(100);
      expect(unhandled).not.toHaveBeenCalled();
    } finally {
      process.off('unhandledRejection', unhandled);
    }
  });
});

describe('gather and wrong arguments', () => {
  const wrong: [object, string][] = [
    [{ concurrency: 0 }, "gather: option 'concurrency' must be a whole number of at least 1, got 0"],
    [{ concurrency: 1.5 }, "gather: option 'concurrency' must be a whole number, got 1.5"],
    [
      { concurrency: Number.POSITIVE_INFINITY },
      "gather: option 'concurrency' must be a whole number of at least 1, got Infinity",
    ],
    [{ mode: 'all' }, `gather: option 'mode' must be one of "settled", "failFast", "any", got "all"`],
    [{ timeoutMs: -1 }, "gather: option 'timeoutMs' must be a number of at least 0, got -1"],
    [{ itemTimeoutMs: '5' }, `gather: option 'itemTimeoutMs' must be a number, got "5"`],
    [{ abortGraceMs: -1 }, "gather: option 'abortGraceMs' must be a number of at least 0, got -1"],
    [{ progressIntervalMs: Number.NaN }, "gather: option 'progressIntervalMs' must be a number, got NaN"],
    [{ onProgress: 1 }, "gather: option 'onProgress' must be a function, got 1"],
    [
      { signal: {} },
      "gather: option 'signal' must be an object with the method addEventListener(), got an object",
    ],
    [{ clock: null }, "gather: option 'clock' must be an object, got null"],
    [{ concurency: 1 }, "gather: unknown option 'concurency'"],
  ];
  test.each(wrong)('refuses %o, and nothing has begun', async (options, message) => {
    const worker = vi.fn(never);
    const iterate = vi.fn(() => [1].values());
    const items = { [Symbol.iterator]: iterate };
    const error = (await failure(gather(items, worker, options as GatherOptions))) as Error;
    expect(error).toSatisfy((it) => it instanceof TypeError || it instanceof RangeError);
    expect(error.message).toContain(message);
    expect(worker).not.toHaveBeenCalled();
    expect(iterate).not.toHaveBeenCalled();
  });

  test('refuses items that can’t be iterated and a worker that is no function', async () => {
    expect(await failure(gather(5 as never, never))).toEqual(
      new TypeError('gather: items must be iterable, got 5'),
    );
    expect(await failure(gather(null as never, never))).toBeInstanceOf(TypeError);
    expect(await failure(gather([], 'x' as never))).toEqual(
      new TypeError('gather: worker must be a function, got "x"'),
    );
  });

  test('a string’s items are its characters', async () => {
    expect(await gather('añ', (character) => character, { mode: 'failFast' })).toEqual(['a', 'ñ']);
  });
});

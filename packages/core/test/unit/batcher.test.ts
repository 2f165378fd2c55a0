import { describe, expect, test, vi } from 'vitest';
import {
  type BatchContext,
  type Batcher,
  type BatcherOptions,
  type BatchLoader,
  batcher,
} from '../../src/index.ts';
import { createVirtualClock } from '../../src/testing.ts';
import { failure, listeners, never } from '../inputs.ts';

const settle = createVirtualClock().settle;

/** A batcher on a virtual clock whose loader doubles, after `loadMs`, and keeps what it was given. */
function doubling(options: BatcherOptions<number> = {}, loadMs = 0) {
  const clock = createVirtualClock();
  const batches: { readonly items: readonly number[]; readonly atMs: number }[] = [];
  const doubled = batcher<number, number>(
    async (items) => {
      batches.push({ items, atMs: clock.now() });
      if (loadMs > 0) await new Promise<void>((resolve) => void clock.setTimeout(resolve, loadMs));
      return items.map((item) => item * 2);
    },
    { clock, ...options },
  );
  return { clock, batches, doubled, loaded: () => batches.map(({ items }) => items) };
}

/** A batcher whose loads end when the test says. */
function held(options: BatcherOptions<number> = {}) {
  const clock = createVirtualClock();
  const loads: (PromiseWithResolvers<(number | Error)[]> & {
    items: readonly number[];
    signal: AbortSignal;
  })[] = [];
  const loader: BatchLoader<number, number> = (items, context) => {
    const load = { ...Promise.withResolvers<(number | Error)[]>(), items, signal: context.signal };
    loads.push(load);
    return load.promise;
  };
  return { clock, loads, batch: batcher(loader, { clock, ...options }) };
}

describe('when a batch goes', () => {
  test('a lone caller never pays the window: idle, it goes at the end of the tick', async () => {
    const { clock, doubled, batches } = doubling();
    expect(await doubled.load(4)).toBe(8);
    expect(batches).toEqual([{ items: [4], atMs: 0 }]);
    expect(clock.pendingTimers).toBe(0);
  });

  test('callers of one tick go together, also those that settled promises wake', async () => {
    const { doubled, loaded } = doubling();
    const woken = Promise.resolve()
      .then(() => {})
      .then(() => doubled.load(2));
    expect(await Promise.all([doubled.load(1), woken, doubled.load(3)])).toEqual([2, 4, 6]);
    expect(loaded()).toEqual([[1, 3, 2]]);
  });

  test('while another batch is in flight it waits out its window, which starts at its first item', async () => {
    const { clock, doubled, batches } = doubling({ windowMs: 5 }, 100);
    void doubled.load(1);
    await clock.advance(10);
    void doubled.load(2);
    await clock.advance(3);
    void doubled.load(3);
    await clock.advance(1);
    expect(batches).toHaveLength(1);
    await clock.advance(1);
    expect(batches[1]).toEqual({ items: [2, 3], atMs: 15 });
    await clock.advance(200);
  });

  test('it goes before its window is over when the last batch in flight ends', async () => {
    const { clock, doubled, batches } = doubling({ windowMs: 50 }, 10);
    void doubled.load(1);
    await clock.advance(5);
    void doubled.load(2);
    await clock.advance(5);
    expect(batches[1]).toEqual({ items: [2], atMs: 10 });
    await clock.advance(100);
    expect(clock.pendingTimers).toBe(0);
  });

  test('without flushWhenIdle it waits out its window also when idle', async () => {
    const { clock, doubled, batches } = doubling({ windowMs: 5, flushWhenIdle: false });
    const loading = doubled.load(1);
    await clock.advance(4);
    expect(batches).toEqual([]);
    await clock.advance(1);
    expect(await loading).toBe(2);
    expect(batches[0]?.atMs).toBe(5);
  });

  test('the tick that an earlier batch did not wait for does not send a later one', async () => {
    const { clock, doubled, batches } = doubling({ maxBatchSize: 2, windowMs: 5 }, 100);
    for (const item of [1, 2, 3]) void doubled.load(item);
    await clock.advance(4);
    expect(batches).toEqual([{ items: [1, 2], atMs: 0 }]);
    await clock.advance(1);
    expect(batches[1]).toEqual({ items: [3], atMs: 5 });
    await clock.advance(100);
  });

  test('a window of 0 ends with the tick, also while others are in flight', async () => {
    const { clock, doubled, loaded } = doubling({ windowMs: 0, flushWhenIdle: false }, 10);
    const loads = [doubled.load(1), doubled.load(2)];
    await settle();
    loads.push(doubled.load(3));
    await settle();
    expect(loaded()).toEqual([[1, 2], [3]]);
    await clock.advance(10);
    expect(await Promise.all(loads)).toEqual([2, 4, 6]);
  });

  test('it goes as soon as it has maxBatchSize items, 10 where nothing is said', async () => {
    for (const maxBatchSize of [2, 3, undefined]) {
      const size = maxBatchSize ?? 10;
      const { clock, doubled, loaded } = doubling({
        flushWhenIdle: false,
        ...(maxBatchSize && { maxBatchSize }),
      });
      const items = Array.from({ length: size * 2 + 1 }, (_, index) => index);
      const loading = Promise.all(items.map((item) => doubled.load(item)));
      await settle();
      expect(loaded()).toEqual([items.slice(0, size), items.slice(size, size * 2)]);
      await clock.advance(5);
      expect(await loading).toEqual(items.map((item) => item * 2));
      expect(clock.pendingTimers).toBe(0);
    }
  });

  test('13 callers and batches of 10: none hangs when a full batch ends its own window', async () => {
    const { clock, doubled } = doubling({ flushWhenIdle: false });
    const loading = Promise.all(Array.from({ length: 13 }, (_, index) => doubled.load(index)));
    await clock.advance(5);
    expect(await loading).toHaveLength(13);
  });

  test('it goes before it would hold more than maxBatchBytes, and as soon as it holds as much', async () => {
    const { doubled, loaded } = doubling({ maxBatchBytes: 10, sizeOf: (item) => item });
    await Promise.all([4, 5, 3, 7, 1, 12, 2].map((item) => doubled.load(item)));
    expect(loaded()).toEqual([[4, 5], [3, 7], [1], [12], [2]]);
  });

  test('flush sends what waits, now, and resolves when it has settled, also when it fails', async () => {
    const { batch, loads } = held({ flushWhenIdle: false });
    const caught = failure(batch.load(1));
    const flushed = vi.fn();
    void batch.flush().then(flushed);
    await settle();
    expect(loads.map(({ items }) => items)).toEqual([[1]]);
    expect(flushed).not.toHaveBeenCalled();
    loads[0]?.reject(new Error('down'));
    await settle();
    expect(flushed).toHaveBeenCalledTimes(1);
    expect(await caught).toMatchObject({ message: 'down' });
    await batch.flush();
  });
});

describe('what a batch holds', () => {
  test('identical items share a place, and each of their callers gets the value', async () => {
    const { doubled, loaded } = doubling();
    expect(await Promise.all([doubled.load(1), doubled.load(2), doubled.load(1)])).toEqual([2, 4, 2]);
    expect(loaded()).toEqual([[1, 2]]);
    expect(doubled.stats()).toMatchObject({ loads: 3, shared: 1, batches: 1 });
  });

  test('the key decides what is identical; once a batch has gone, its items are loaded anew', async () => {
    const batches: { id: number; tag: string }[][] = [];
    const tags = batcher(
      (items: readonly { id: number; tag: string }[]) => {
        batches.push([...items]);
        return items.map(({ tag }) => tag);
      },
      { key: (item) => item.id },
    );
    expect(await Promise.all([tags.load({ id: 1, tag: 'a' }), tags.load({ id: 1, tag: 'b' })])).toEqual([
      'a',
      'a',
    ]);
    expect(await tags.load({ id: 1, tag: 'c' })).toBe('c');
    expect(batches).toEqual([[{ id: 1, tag: 'a' }], [{ id: 1, tag: 'c' }]]);
  });

  test('an aborted item leaves before its batch goes; its place goes to the next', async () => {
    const { doubled, loaded, clock } = doubling({
      maxBatchSize: 3,
      flushWhenIdle: false,
      maxBatchBytes: 6,
      sizeOf: () => 2,
    });
    const controller = new AbortController();
    const leaving = doubled.load(1, { signal: controller.signal });
    const staying = [doubled.load(2)];
    controller.abort('bored');
    await expect(leaving).rejects.toBe('bored');
    staying.push(doubled.load(3));
    await settle();
    expect(loaded()).toEqual([]);
    staying.push(doubled.load(4));
    expect(await Promise.all(staying)).toEqual([4, 6, 8]);
    expect(loaded()).toEqual([[2, 3, 4]]);
    expect(listeners(controller.signal)).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  test('a place is kept while one of its callers stays', async () => {
    const { doubled, loaded } = doubling();
    const controller = new AbortController();
    const leaving = doubled.load(1, { signal: controller.signal });
    const staying = doubled.load(1);
    controller.abort('bored');
    await expect(leaving).rejects.toBe('bored');
    expect(await staying).toBe(2);
    expect(loaded()).toEqual([[1]]);
  });

  test.each([
    [0, 2, 1],
    [2, 1, 0],
    [1, 0, 2],
  ])('callers of one place may leave it in any order (%d, %d, %d)', async (...order) => {
    const { doubled, batches } = doubling();
    const controllers = order.map(() => new AbortController());
    const loading = controllers.map(({ signal }) => doubled.load(1, { signal }));
    for (const who of order) controllers[who]?.abort(who);
    expect(await Promise.allSettled(loading)).toMatchObject([{ reason: 0 }, { reason: 1 }, { reason: 2 }]);
    expect(batches).toEqual([]);
    expect(doubled.stats().queuedItems).toBe(0);
  });

  test('a batch that everybody left is never loaded, and leaves no timer; flush does not wait for it', async () => {
    const { doubled, clock, batches } = doubling({ flushWhenIdle: false });
    const controller = new AbortController();
    const leaving = [1, 2].map((item) => doubled.load(item, { signal: controller.signal }));
    controller.abort('bored');
    expect(await Promise.allSettled(leaving)).toMatchObject([{ reason: 'bored' }, { reason: 'bored' }]);
    expect(clock.pendingTimers).toBe(0);
    await doubled.flush();
    await clock.advance(100);
    expect(batches).toEqual([]);
    expect(doubled.stats()).toMatchObject({ queuedItems: 0, batches: 0 });
  });

  test('an aborted signal loads nothing', async () => {
    const { doubled, batches } = doubling();
    await expect(doubled.load(1, { signal: AbortSignal.abort('before') })).rejects.toBe('before');
    await settle();
    expect(batches).toEqual([]);
  });

  test('an abort from within key() is not missed', async () => {
    const controller = new AbortController();
    const load = vi.fn(() => never());
    const batch = batcher<number, number>(load, {
      key: (item) => {
        controller.abort('within');
        return item;
      },
    });
    await expect(batch.load(1, { signal: controller.signal })).rejects.toBe('within');
    await settle();
    expect(load).not.toHaveBeenCalled();
  });

  test('the loader’s signal aborts when everybody has left a batch in flight, and not before', async () => {
    const { batch, loads } = held();
    const [first, second] = [new AbortController(), new AbortController()];
    const waits = [batch.load(1, { signal: first.signal }), batch.load(2, { signal: second.signal })];
    await settle();
    first.abort('one');
    expect(loads[0]?.signal.aborted).toBe(false);
    second.abort('two');
    expect(loads[0]?.signal.reason).toBe('two');
    expect(await Promise.allSettled(waits)).toMatchObject([{ reason: 'one' }, { reason: 'two' }]);
    loads[0]?.reject(new Error('late, and handled'));
    await settle();
    expect(batch.stats().batchesInFlight).toBe(0);
  });

  test('a loader that reads its signal only after everybody has left finds it aborted', async () => {
    let context: BatchContext | undefined;
    const batch = batcher<number, number>((_, given) => {
      context = given;
      return never();
    });
    const controller = new AbortController();
    const loading = failure(batch.load(1, { signal: controller.signal }));
    await settle();
    controller.abort('bored');
    expect(await loading).toBe('bored');
    expect(context?.signal.reason).toBe('bored');
  });

  test('leaves no listener on a signal that many loads share', async () => {
    const { doubled } = doubling();
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 50 }, (_, index) => doubled.load(index % 20, { signal })));
    expect(listeners(signal)).toBe(0);
  });
});

describe('how a batch ends', () => {
  test('an Error in the results fails its item alone', async () => {
    const { batch, loads } = held();
    const loading = Promise.allSettled([batch.load(1), batch.load(2)]);
    await settle();
    loads[0]?.resolve([new Error('one'), 4]);
    expect(await loading).toMatchObject([{ reason: new Error('one') }, { value: 4 }]);
    expect(batch.stats()).toMatchObject({ batches: 1, failedBatches: 0 });
  });

  test('a batch that fails, at once or later, fails its own items and no others', async () => {
    for (const fail of [
      () => Promise.reject(new Error('down')),
      () => {
        throw new Error('down');
      },
    ]) {
      const batch = batcher<number, number>((items) => (items.includes(1) ? fail() : [...items]), {
        maxBatchSize: 2,
      });
      const loading = Promise.allSettled([1, 2, 3, 4].map((item) => batch.load(item)));
      expect((await loading).map(({ status }) => status)).toEqual([
        'rejected',
        'rejected',
        'fulfilled',
        'fulfilled',
      ]);
      expect(await batch.load(5)).toBe(5);
      expect(batch.stats()).toMatchObject({ batches: 3, failedBatches: 1, batchesInFlight: 0 });
    }
  });

  test.each([
    [[1], 'a batch of 2 items was loaded with 1 results'],
    [[1, 2, 3], 'a batch of 2 items was loaded with 3 results'],
    [undefined, 'a batch of 2 items was loaded with undefined'],
    [{ length: 2 }, 'a batch of 2 items was loaded with an object'],
  ])('a result of %o is HOTPATH_BATCH_RESULT for that batch only', async (results, message) => {
    const batch = batcher<number, number>((items) =>
      items.includes(1) ? (results as number[]) : [...items],
    );
    const caught = await Promise.all([failure(batch.load(1)), failure(batch.load(2))]);
    expect(caught).toMatchObject([
      { name: 'CorruptError', code: 'HOTPATH_BATCH_RESULT', message },
      { name: 'CorruptError', code: 'HOTPATH_BATCH_RESULT' },
    ]);
    expect(await batch.load(3)).toBe(3);
  });

  test('a loader that takes longer than timeoutMs fails its batch with HOTPATH_BATCH_TIMEOUT and is aborted', async () => {
    for (const timeoutMs of [undefined, 70]) {
      const { batch, loads, clock } = held({ ...(timeoutMs && { timeoutMs }) });
      const caught = failure(batch.load(1));
      await clock.advance((timeoutMs ?? 30_000) - 1);
      expect(loads[0]?.signal.aborted).toBe(false);
      await clock.advance(1);
      expect(await caught).toMatchObject({ name: 'TimeoutError', code: 'HOTPATH_BATCH_TIMEOUT' });
      expect(loads[0]?.signal.reason).toBe(await caught);
      loads[0]?.resolve([5]);
      await settle();
      expect(batch.stats()).toMatchObject({ failedBatches: 1, batchesInFlight: 0 });
      expect(clock.pendingTimers).toBe(0);
    }
  });

  test('a timeout of Infinity arms no timer', async () => {
    const { batch, loads, clock } = held({ timeoutMs: Number.POSITIVE_INFINITY });
    const loading = batch.load(1);
    await settle();
    expect(clock.pendingTimers).toBe(0);
    loads[0]?.resolve([7]);
    expect(await loading).toBe(7);
  });

  test('concurrent batches are bounded; further ones wait, and items may still leave them', async () => {
    for (const maxConcurrentBatches of [2, undefined]) {
      const bound = maxConcurrentBatches ?? 8;
      const { batch, loads } = held({
        maxBatchSize: 1,
        ...(maxConcurrentBatches && { maxConcurrentBatches }),
      });
      const controller = new AbortController();
      const loading = Array.from({ length: bound + 3 }, (_, index) =>
        batch.load(index, index === bound ? { signal: controller.signal } : {}),
      );
      await settle();
      expect(loads).toHaveLength(bound);
      expect(batch.stats()).toMatchObject({ batchesInFlight: bound, queuedItems: 3 });
      controller.abort('bored');
      await expect(loading[bound]).rejects.toBe('bored');
      while (batch.stats().batchesInFlight > 0) {
        for (const load of loads) load.resolve([load.items[0] as number]);
        await settle();
        expect(batch.stats().batchesInFlight).toBeLessThanOrEqual(bound);
      }
      expect(loads).toHaveLength(bound + 2);
      expect(loads.map(({ items }) => items[0])).not.toContain(bound);
      expect((await Promise.allSettled(loading)).filter(({ status }) => status === 'fulfilled')).toHaveLength(
        bound + 2,
      );
    }
  });

  test('a loader that loads from its own batcher is served', async () => {
    const nested: Batcher<number, number> = batcher(
      async (items) => Promise.all(items.map((item) => (item > 0 ? nested.load(item - 1) : 0))),
      { maxBatchSize: 1 },
    );
    expect(await Promise.all([nested.load(5), nested.load(3)])).toEqual([0, 0]);
  });

  test('a loader that loads while load() is still at work loses nobody', async () => {
    const clock = createVirtualClock();
    const inner: Promise<number>[] = [];
    const batch: Batcher<number, number> = batcher(
      (items) => {
        if (items.includes(1)) inner.push(batch.load(100));
        return [...items];
      },
      // Each item sends the one before it.
      { clock, flushWhenIdle: false, maxBatchBytes: 3, sizeOf: () => 2 },
    );
    const loading = Promise.all([1, 2, 3].map((item) => batch.load(item)));
    await clock.advance(10);
    expect(await loading).toEqual([1, 2, 3]);
    expect(await Promise.all(inner)).toEqual([100]);
  });
});

describe('bounds and closing', () => {
  test('rejects with HOTPATH_BATCH_QUEUE_FULL when maxQueuedItems wait; sharing a place is still possible', async () => {
    const { batch, loads } = held({ maxQueuedItems: 2, flushWhenIdle: false });
    const loading = [batch.load(1), batch.load(2), batch.load(1)];
    expect(await failure(batch.load(3))).toMatchObject({
      name: 'RejectedError',
      code: 'HOTPATH_BATCH_QUEUE_FULL',
    });
    void batch.flush();
    await settle();
    loads[0]?.resolve([10, 20]);
    expect(await Promise.all(loading)).toEqual([10, 20, 10]);
    expect(batch.stats()).toMatchObject({ loads: 3, queuedItems: 0 });
  });

  test('close refuses new loads (HOTPATH_CLOSED), sends what waits, and resolves when all has settled', async () => {
    const { batch, loads, clock } = held({ flushWhenIdle: false, maxBatchSize: 1, maxConcurrentBatches: 1 });
    const loading = [batch.load(1), batch.load(2)];
    const closed = vi.fn();
    const closing = batch.close().then(closed);
    expect(await failure(batch.load(3))).toMatchObject({ name: 'AbortedError', code: 'HOTPATH_CLOSED' });
    for (let round = 0; round < 2; round++) {
      await settle();
      expect(closed).not.toHaveBeenCalled();
      loads[round]?.resolve([round]);
    }
    await closing;
    expect(await Promise.all(loading)).toEqual([0, 1]);
    expect(clock.pendingTimers).toBe(0);
    await batch.close();
  });

  test('`await using` closes it', async () => {
    const { batch, loads } = held();
    const scope = (async () => {
      await using used = batch;
      return used.load(1);
    })();
    await settle();
    loads[0]?.resolve([1]);
    expect(await scope).toBe(1);
    expect(await failure(batch.load(1))).toMatchObject({ code: 'HOTPATH_CLOSED' });
  });

  test('key() or sizeOf() that throws, or a size that is none, is a rejection of that load only', async () => {
    const keyed = doubling({
      key: (item) => {
        if (item === 1) throw new Error('key');
        return item;
      },
    });
    await expect(keyed.doubled.load(1)).rejects.toThrow('key');
    expect(await keyed.doubled.load(2)).toBe(4);
    for (const size of [Number.NaN, -1, '1', undefined]) {
      const sized = doubling({ sizeOf: (item) => (item === 1 ? (size as number) : 1), maxBatchBytes: 5 });
      expect(await failure(sized.doubled.load(1))).toMatchObject({
        name: 'RangeError',
        message: expect.stringContaining('batcher: sizeOf must return a number of at least 0, got '),
      });
      expect(await sized.doubled.load(2)).toBe(4);
    }
  });

  test('a signal that is none is a TypeError, and takes no place', async () => {
    const { doubled, batches } = doubling();
    for (const wrong of [null, 5, {}] as never[]) {
      await expect(doubled.load(1, { signal: wrong })).rejects.toThrow(
        /^batcher: signal must be an AbortSignal, got /,
      );
    }
    await settle();
    expect([batches, doubled.stats().loads, doubled.stats().queuedItems]).toEqual([[], 0, 0]);
  });

  test('key() may load, flush and close: each item is loaded once, and nothing is stuck', async () => {
    for (const calls of ['load', 'flush', 'close'] as const) {
      const loaded: number[][] = [];
      const inner: Promise<unknown>[] = [];
      const batch: Batcher<number, number> = batcher(
        (items) => {
          loaded.push([...items]);
          return [...items];
        },
        {
          key: (item) => {
            if (item === 1) inner.push(calls === 'load' ? batch.load(2) : batch[calls]());
            return item;
          },
        },
      );
      const loading = failure(batch.load(1));
      if (calls === 'close') expect(await loading).toMatchObject({ code: 'HOTPATH_CLOSED' });
      else expect(await loading).toBe('no failure');
      await Promise.all(inner);
      expect(loaded).toEqual(calls === 'load' ? [[2, 1]] : calls === 'flush' ? [[1]] : []);
    }
  });

  test('a loader that waits for its own batcher is ended by timeoutMs, and close() with it', async () => {
    for (const waits of ['flush', 'close'] as const) {
      const clock = createVirtualClock();
      const batch: Batcher<number, number> = batcher(
        async (items) => {
          await batch[waits]();
          return [...items];
        },
        { clock, timeoutMs: 100 },
      );
      const loading = failure(batch.load(1));
      await clock.advance(99);
      const closing = batch.close();
      await clock.advance(1);
      expect(await loading).toMatchObject({ code: 'HOTPATH_BATCH_TIMEOUT' });
      await closing;
    }
  });

  test.each([
    [{ maxBatchSize: 0 }, "batcher: option 'maxBatchSize' must be a whole number of at least 1, got 0"],
    [{ windowMs: -1 }, "batcher: option 'windowMs' must be a number of at least 0, got -1"],
    [
      { maxBatchBytes: 0, sizeOf: () => 1 },
      "batcher: option 'maxBatchBytes' must be a number of at least 1, got 0",
    ],
    [{ maxBatchBytes: 10 }, "batcher: option 'maxBatchBytes' needs option 'sizeOf'"],
    [{ sizeOf: 1 }, "batcher: option 'sizeOf' must be a function, got 1"],
    [{ key: 'id' }, `batcher: option 'key' must be a function, got "id"`],
    [{ flushWhenIdle: 1 }, "batcher: option 'flushWhenIdle' must be true or false, got 1"],
    [
      { maxConcurrentBatches: 0 },
      "batcher: option 'maxConcurrentBatches' must be a whole number of at least 1, got 0",
    ],
    [{ maxQueuedItems: 0 }, "batcher: option 'maxQueuedItems' must be a whole number of at least 1, got 0"],
    [{ timeoutMs: -1 }, "batcher: option 'timeoutMs' must be a number of at least 0, got -1"],
    [{ clock: {} }, "batcher: option 'clock' must be an object with the method now(), got an object"],
    [{ window: 5 }, "batcher: unknown option 'window'"],
  ])('refuses %o', (options, message) => {
    expect(() => batcher(() => [], options as never)).toThrow(message);
  });

  test('refuses a loader that is no function', () => {
    expect(() => batcher(undefined as never)).toThrow(
      new TypeError('batcher: loader must be a function, got undefined'),
    );
  });
});

import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { type FlightContext, singleFlight } from '../../src/index.ts';
import { createVirtualClock } from '../../src/testing.ts';

const settle = createVirtualClock().settle;
const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

describe('singleFlight', () => {
  test('calls with one key share one run and its promise; other keys run beside it', async () => {
    const flights = singleFlight<string, number>();
    const work = Promise.withResolvers<number>();
    const load = vi.fn(() => work.promise);
    const first = flights.run('a', load);
    const second = flights.run('a', load);
    const other = flights.run('b', () => 7);
    expect(second).toBe(first);
    expect(load).toHaveBeenCalledTimes(1);
    expect([flights.size, flights.has('a'), flights.has('c')]).toEqual([2, true, false]);
    expect(await other).toBe(7);
    work.resolve(1);
    expect(await Promise.all([first, second])).toEqual([1, 1]);
    expect([flights.size, flights.has('a')]).toEqual([0, false]);
  });

  test('the next call after a flight starts anew, also after a failure', async () => {
    const flights = singleFlight<string, number>();
    const failing = flights.run('a', () => Promise.reject(new Error('first')));
    const joined = flights.run('a', () => 1);
    await expect(failing).rejects.toThrow('first');
    await expect(joined).rejects.toThrow('first');
    expect(await flights.run('a', () => 2)).toBe(2);
    expect(flights.size).toBe(0);
  });

  test('a waiter that starts anew from its own rejection is not joined to the failed flight', async () => {
    const flights = singleFlight<string, number>();
    let runs = 0;
    const load = () => {
      runs++;
      return runs === 1 ? Promise.reject(new Error('once')) : Promise.resolve(runs);
    };
    const again = () => flights.run('a', load).catch(() => flights.run('a', load));
    expect(await Promise.all([again(), again(), again()])).toEqual([2, 2, 2]);
    expect(runs).toBe(2);
  });

  test('work that throws at once is a rejection', async () => {
    const flights = singleFlight<string, number>();
    const failing = flights.run('a', () => {
      throw new Error('at once');
    });
    await expect(failing).rejects.toThrow('at once');
    expect(flights.size).toBe(0);
  });

  test('aborting one waiter rejects that one with its untouched reason, and leaves the others', async () => {
    const flights = singleFlight<string, number>();
    const work = Promise.withResolvers<number>();
    let context: FlightContext | undefined;
    const controller = new AbortController();
    const leaving = flights.run(
      'a',
      (given) => {
        context = given;
        return work.promise;
      },
      { signal: controller.signal },
    );
    const staying = flights.run('a', () => 0);
    const flightSignal = context?.signal as AbortSignal;
    controller.abort('bored');
    await expect(leaving).rejects.toBe('bored');
    expect(flightSignal.aborted).toBe(false);
    work.resolve(5);
    expect(await staying).toBe(5);
    expect(listeners(controller.signal)).toBe(0);
  });

  test('the flight is aborted (HOTPATH_FLIGHT_ABANDONED) when the last waiter leaves, and the next call starts anew', async () => {
    const flights = singleFlight<string, number>();
    const work = Promise.withResolvers<number>();
    const controllers = [new AbortController(), new AbortController()];
    let context: FlightContext | undefined;
    const waits = controllers.map(({ signal }) =>
      flights.run(
        'a',
        (given) => {
          context = given;
          return work.promise;
        },
        { signal },
      ),
    );
    const early = context?.signal as AbortSignal;
    controllers[0]?.abort('one');
    expect(early.aborted).toBe(false);
    controllers[1]?.abort('two');
    expect(early.reason).toMatchObject({ name: 'AbortedError', code: 'HOTPATH_FLIGHT_ABANDONED' });
    expect(await Promise.allSettled(waits)).toMatchObject([{ reason: 'one' }, { reason: 'two' }]);
    expect(flights.has('a')).toBe(false);

    const next = flights.run('a', () => 9);
    work.reject(new Error('late, and handled'));
    expect(await next).toBe(9);
    await settle();
  });

  test('a late end of an abandoned flight leaves the newer one of its key alone', async () => {
    const flights = singleFlight<string, number>();
    const [old, recent] = [Promise.withResolvers<number>(), Promise.withResolvers<number>()];
    const controller = new AbortController();
    const left = flights.run('a', () => old.promise, { signal: controller.signal });
    controller.abort('left');
    await expect(left).rejects.toBe('left');
    const running = flights.run('a', () => recent.promise);
    old.resolve(1);
    await settle();
    expect(flights.has('a')).toBe(true);
    expect(flights.run('a', () => 3)).toBe(running);
    recent.resolve(2);
    expect(await running).toBe(2);
  });

  test('the signal is aborted also for work that reads it only after everybody has left', async () => {
    const flights = singleFlight<string, number>();
    const controller = new AbortController();
    let context: FlightContext | undefined;
    const left = flights.run(
      'a',
      (given) => {
        context = given;
        return new Promise(() => {});
      },
      { signal: controller.signal },
    );
    controller.abort();
    await expect(left).rejects.toBe(controller.signal.reason);
    expect(context?.signal.aborted).toBe(true);
  });

  test('an aborted signal joins nothing and starts nothing', async () => {
    const flights = singleFlight<string, number>();
    const load = vi.fn(() => 1);
    await expect(flights.run('a', load, { signal: AbortSignal.abort('before') })).rejects.toBe('before');
    expect(load).not.toHaveBeenCalled();
  });

  test('an abort from within the work itself is not missed', async () => {
    const flights = singleFlight<string, number>();
    const controller = new AbortController();
    const run = flights.run(
      'a',
      ({ signal }) => {
        controller.abort('from within');
        return new Promise((_, reject) => {
          if (signal.aborted) reject(signal.reason);
        });
      },
      { signal: controller.signal },
    );
    await expect(run).rejects.toBe('from within');
    expect(flights.size).toBe(0);
    await settle();
  });

  test('work that asks for its own key at once joins its own flight', async () => {
    const flights = singleFlight<string, number>();
    let runs = 0;
    let inner: Promise<number> | undefined;
    const outer = flights.run('a', () => {
      runs++;
      inner = flights.run('a', () => ++runs);
      return 1;
    });
    expect(await Promise.all([outer, inner])).toEqual([1, 1]);
    expect(runs).toBe(1);
  });

  test('forget lets those who joined have the result, and the next call start anew', async () => {
    const flights = singleFlight<string, number>();
    const work = Promise.withResolvers<number>();
    const joined = flights.run('a', () => work.promise);
    expect(flights.forget('a')).toBe(true);
    expect(flights.forget('a')).toBe(false);
    expect(await flights.run('a', () => 2)).toBe(2);
    work.resolve(1);
    expect(await joined).toBe(1);
  });

  test('rejects (HOTPATH_FLIGHTS_FULL) above maxKeys, while joining is still possible', async () => {
    const flights = singleFlight<string, number>({ maxKeys: 1 });
    const work = Promise.withResolvers<number>();
    const first = flights.run('a', () => work.promise);
    const load = vi.fn(() => 1);
    await expect(flights.run('b', load)).rejects.toMatchObject({
      name: 'RejectedError',
      code: 'HOTPATH_FLIGHTS_FULL',
    });
    expect(load).not.toHaveBeenCalled();
    expect(flights.run('a', load)).toBe(first);
    work.resolve(1);
    await first;
    expect(await flights.run('b', load)).toBe(1);
  });

  test('leaves no listener on a signal that many flights share', async () => {
    const flights = singleFlight<number, number>();
    const { signal } = new AbortController();
    await Promise.all(
      Array.from({ length: 100 }, (_, key) => flights.run(key % 10, async () => key, { signal })),
    );
    await Promise.allSettled([flights.run(1, () => Promise.reject(new Error('no')), { signal })]);
    expect(listeners(signal)).toBe(0);
  });

  test.each([0, 1.5, 'many', Number.POSITIVE_INFINITY])('refuses maxKeys of %o', (maxKeys) => {
    expect(() => singleFlight({ maxKeys: maxKeys as number })).toThrow("singleFlight: option 'maxKeys'");
  });

  test('a signal that is none is a TypeError, and neither begins nor joins a flight', async () => {
    const group = singleFlight<string, number>();
    const work = vi.fn(() => Promise.reject(new Error('down')));
    for (const wrong of [null, 5, {}] as never[]) {
      await expect(group.run('a', work, { signal: wrong })).rejects.toThrow(
        /^singleFlight: signal must be an AbortSignal, got /,
      );
    }
    expect([work.mock.calls.length, group.size]).toEqual([0, 0]);
  });

  test('refuses an unknown option', () => {
    expect(() => singleFlight({ maxkeys: 1 } as never)).toThrow("singleFlight: unknown option 'maxkeys'");
  });

  type Step =
    | { readonly do: 'join'; readonly key: number; readonly leaves: boolean }
    | { readonly do: 'abort'; readonly who: number }
    | { readonly do: 'end'; readonly flight: number; readonly fails: boolean }
    | { readonly do: 'turn' };
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ do: fc.constant('join' as const), key: fc.nat(2), leaves: fc.boolean() }),
    fc.record({ do: fc.constant('abort' as const), who: fc.nat(20) }),
    fc.record({ do: fc.constant('end' as const), flight: fc.nat(10), fails: fc.boolean() }),
    fc.record({ do: fc.constant('turn' as const) }),
  );

  test('under random joins, aborts and failures every waiter settles once, as its own flight or its own abort says', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 100, size: 'max' }), async (steps) => {
        const flights = singleFlight<number, number>();
        interface Run extends PromiseWithResolvers<number> {
          readonly id: number;
          readonly key: number;
          waiters: number;
          over: boolean;
          fails: boolean;
          signal: AbortSignal | undefined;
        }
        interface Waiter {
          readonly run: Run;
          readonly controller: AbortController | undefined;
          left: boolean;
          outcomes: unknown[];
        }
        const runs: Run[] = [];
        const current = new Map<number, Run>();
        const waiters: Waiter[] = [];
        const join = (key: number, leaves: boolean): void => {
          const controller = leaves ? new AbortController() : undefined;
          const before = runs.length;
          const expected = current.get(key);
          const promise = flights.run(
            key,
            ({ signal }) => {
              const run = {
                ...Promise.withResolvers<number>(),
                id: before,
                key,
                waiters: 0,
                over: false,
                fails: false,
                signal,
              };
              runs.push(run);
              current.set(key, run);
              return run.promise;
            },
            { signal: controller?.signal },
          );
          // A flight that is under way is joined, never split.
          expect(runs.length).toBe(expected === undefined ? before + 1 : before);
          const run = current.get(key) as Run;
          run.waiters++;
          const waiter: Waiter = { run, controller, left: false, outcomes: [] };
          waiters.push(waiter);
          promise.then(
            (value) => waiter.outcomes.push(value),
            (error) => waiter.outcomes.push(error),
          );
        };
        for (const each of [...steps, { do: 'turn' } as const]) {
          if (each.do === 'join') join(each.key, each.leaves);
          if (each.do === 'turn') await settle();
          if (each.do === 'abort') {
            const waiter = waiters[each.who];
            if (waiter?.controller === undefined || waiter.left || waiter.run.over) continue;
            waiter.left = true;
            waiter.controller.abort(waiter);
            if (--waiter.run.waiters === 0) {
              expect(waiter.run.signal?.aborted).toBe(true);
              if (current.get(waiter.run.key) === waiter.run) current.delete(waiter.run.key);
            }
          }
          if (each.do === 'end') {
            const run = runs[each.flight];
            if (run === undefined || run.over) continue;
            run.over = true;
            run.fails = each.fails;
            if (each.fails) run.reject(run);
            else run.resolve(run.id);
            await settle();
            if (current.get(run.key) === run) current.delete(run.key);
          }
        }
        expect(flights.size).toBe(current.size);
        for (const waiter of waiters) {
          const { run } = waiter;
          const expected = waiter.left ? [waiter] : run.over ? [run.fails ? run : run.id] : [];
          expect(waiter.outcomes).toEqual(expected);
          expect(run.signal?.aborted).toBe(run.waiters === 0);
          if (waiter.controller !== undefined && (waiter.left || run.over))
            expect(listeners(waiter.controller.signal)).toBe(0);
        }
      }),
      { numRuns: 300 },
    );
  });
});

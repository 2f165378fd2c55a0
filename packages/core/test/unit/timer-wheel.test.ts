import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import {
  type Clock,
  createTimerWheel,
  type TimerHandle,
  type TimerWheel,
  WheelTimer,
} from '../../src/index.ts';
import { createVirtualClock, type VirtualClock } from '../../src/testing.ts';

class Probe extends WheelTimer {
  readonly firedMs: number[] = [];
  readonly #clock: Clock;
  readonly #then: (probe: Probe) => void;

  constructor(clock: Clock, then: (probe: Probe) => void = () => {}) {
    super();
    this.#clock = clock;
    this.#then = then;
  }

  override onDue(): void {
    this.firedMs.push(this.#clock.now());
    this.#then(this);
  }
}

const TURN_MS = 512 * 4;

describe('TimerWheel', () => {
  test('fires once, never early and at most a tick late, for delays within a turn and over many', async () => {
    for (const delayMs of [
      0,
      1,
      3,
      4,
      5,
      100,
      TURN_MS - 1,
      TURN_MS,
      TURN_MS + 1,
      10 * TURN_MS + 7,
      86_400_000,
    ]) {
      const clock = createVirtualClock({ startMs: 1.5 });
      const wheel = createTimerWheel({ clock });
      const probe = new Probe(clock);
      await clock.advance(3);
      const armedMs = clock.now();
      wheel.arm(probe, delayMs);
      expect([probe.armed, wheel.armedCount]).toEqual([true, 1]);
      await clock.advance(delayMs + 8);
      expect(probe.firedMs).toHaveLength(1);
      const lateMs = (probe.firedMs[0] as number) - armedMs - delayMs;
      expect(lateMs).toBeGreaterThanOrEqual(0);
      expect(lateMs).toBeLessThanOrEqual(4);
      expect([probe.armed, wheel.armedCount, clock.pendingTimers]).toEqual([false, 0, 0]);
    }
  });

  test('calls timers in the order of their ticks, those of one tick in the order of their arming', async () => {
    const clock = createVirtualClock();
    const wheel = createTimerWheel({ clock, tickMs: 10 });
    const order: string[] = [];
    const arm = (name: string, delayMs: number) =>
      wheel.arm(new Probe(clock, () => order.push(name)), delayMs);
    arm('c', 25);
    arm('a1', 7);
    arm('b', 15);
    arm('a2', 3);
    await clock.advance(100);
    expect(order).toEqual(['a1', 'a2', 'b', 'c']);
  });

  test('a disarmed timer never fires, and disarming one that is not armed does nothing', async () => {
    const clock = createVirtualClock();
    const wheel = createTimerWheel({ clock });
    const [probe, other] = [new Probe(clock), new Probe(clock)];
    wheel.disarm(probe);
    wheel.arm(probe, 10);
    wheel.arm(other, 10);
    wheel.disarm(probe);
    wheel.disarm(probe);
    expect(wheel.armedCount).toBe(1);
    await clock.advance(100);
    expect([probe.firedMs.length, other.firedMs.length]).toEqual([0, 1]);
  });

  test('arming an armed timer moves it, earlier or later', async () => {
    const clock = createVirtualClock();
    const wheel = createTimerWheel({ clock, tickMs: 1 });
    const probe = new Probe(clock);
    wheel.arm(probe, 10);
    wheel.arm(probe, 50);
    expect(wheel.armedCount).toBe(1);
    await clock.advance(49);
    expect(probe.firedMs).toEqual([]);
    wheel.arm(probe, 3_000);
    wheel.arm(probe, 5);
    await clock.advance(5_000);
    expect(probe.firedMs).toEqual([54]);
  });

  test('a callback may re-arm its own timer and disarm or move others that are due at the same time', async () => {
    const clock = createVirtualClock();
    const wheel = createTimerWheel({ clock, tickMs: 1 });
    const [disarmed, moved] = [new Probe(clock), new Probe(clock)];
    const first = new Probe(clock, (self) => {
      if (self.firedMs.length > 1) return;
      wheel.disarm(disarmed);
      wheel.arm(moved, 20);
      wheel.arm(self, 5);
    });
    for (const probe of [first, disarmed, moved]) wheel.arm(probe, 10);
    await clock.advance(100);
    expect([first.firedMs, disarmed.firedMs, moved.firedMs]).toEqual([[10, 15], [], [30]]);
    expect(wheel.armedCount).toBe(0);
  });

  test('re-arming with no delay comes at the next tick, not within the same one for ever', async () => {
    const clock = createVirtualClock();
    const wheel = createTimerWheel({ clock, tickMs: 2 });
    const probe = new Probe(clock, (self) => wheel.arm(self, 0));
    wheel.arm(probe, 0);
    await clock.advance(10);
    expect(probe.firedMs).toEqual([2, 4, 6, 8, 10]);
  });

  test.each([-5, Number.NaN])(
    'a delay of %d counts as none, also after a long time of idleness',
    async (delayMs) => {
      const clock = createVirtualClock();
      const wheel = createTimerWheel({ clock });
      await clock.advance(1_000_000);
      const probe = new Probe(clock);
      wheel.arm(probe, delayMs);
      await clock.advance(4);
      expect(probe.firedMs).toHaveLength(1);
    },
  );

  test('an endless delay never comes, and others still do', async () => {
    const clock = createVirtualClock();
    const wheel = createTimerWheel({ clock });
    const [endless, other] = [new Probe(clock), new Probe(clock)];
    wheel.arm(endless, Number.POSITIVE_INFINITY);
    wheel.arm(other, 50_000);
    await clock.advance(100_000);
    expect([endless.firedMs.length, other.firedMs.length, wheel.armedCount]).toEqual([0, 1, 1]);
  });

  test('what a callback throws is an uncaught exception, and the other timers are called all the same', async () => {
    const clock = createVirtualClock();
    const wheel = createTimerWheel({ clock });
    const bad = new Probe(clock, () => {
      throw new Error('bad callback');
    });
    const [beside, later] = [new Probe(clock), new Probe(clock)];
    wheel.arm(bad, 10);
    wheel.arm(beside, 10);
    wheel.arm(later, 20);
    const uncaught: unknown[] = [];
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => uncaught.push(error));
    try {
      await clock.advance(100);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const other of others) process.on('uncaughtException', other);
    }
    expect(uncaught).toMatchObject([{ message: 'bad callback' }]);
    expect([beside.firedMs.length, later.firedMs.length]).toEqual([1, 1]);
  });

  /** A clock whose one timer is late by as much as a test likes, as after a long pause of the event loop. */
  function pausedClock(): Clock & { nowMs: number; wake(): void; natives: number } {
    let callback: (() => void) | undefined;
    return {
      nowMs: 0,
      natives: 0,
      now() {
        return this.nowMs;
      },
      wallTime: () => 0,
      setTimeout(given: () => void): TimerHandle {
        this.natives++;
        callback = given;
        return { ref() {}, unref() {} };
      },
      clearTimeout: () => {
        callback = undefined;
      },
      wake() {
        const due = callback;
        callback = undefined;
        due?.();
      },
    };
  }

  test('after a pause of many turns everything that was due is called once, in order', () => {
    const clock = pausedClock();
    const wheel = createTimerWheel({ clock, tickMs: 1 });
    const order: number[] = [];
    const delays = [5, 600, 40, 5_000, 1_100, 88, 20_000];
    for (const delayMs of delays) wheel.arm(new Probe(clock, () => order.push(delayMs)), delayMs);
    clock.nowMs = 10_000;
    clock.wake();
    expect(order).toEqual([5, 40, 88, 600, 1_100, 5_000]);
    clock.nowMs = 20_000;
    clock.wake();
    expect(order.at(-1)).toBe(20_000);
    expect(wheel.armedCount).toBe(0);
  });

  test('a pause leaves no slot of the wheel out', () => {
    const clock = pausedClock();
    const wheel = createTimerWheel({ clock, tickMs: 1 });
    const order: number[] = [];
    const delays = Array.from({ length: 1_000 }, (_, index) => index + 1);
    for (const delayMs of delays) wheel.arm(new Probe(clock, () => order.push(delayMs)), delayMs);
    clock.nowMs = 3_333;
    clock.wake();
    expect(order).toEqual(delays);
  });

  test('many timers arm one timer of the platform, and disarming one arms none', () => {
    const clock = pausedClock();
    const wheel = createTimerWheel({ clock });
    const probes = Array.from({ length: 1_000 }, () => new Probe(clock));
    for (const probe of probes) wheel.arm(probe, 1_000);
    for (let round = 0; round < 10; round++) for (const probe of probes) wheel.arm(probe, 1_000 + round);
    for (const probe of probes) wheel.disarm(probe);
    expect(clock.natives).toBe(1);
  });

  test('keeps the process alive while a timer is armed, and not otherwise', () => {
    const native = { ref: vi.fn(), unref: vi.fn() };
    const clock: Clock = {
      now: () => 0,
      wallTime: () => 0,
      setTimeout: () => native,
      clearTimeout: () => {},
    };
    const wheel = createTimerWheel({ clock });
    const probe = new Probe(clock);
    wheel.arm(probe, 100);
    expect(native.unref).toHaveBeenCalledTimes(0);
    wheel.disarm(probe);
    expect(native.unref).toHaveBeenCalledTimes(1);
    wheel.arm(probe, 100);
    expect(native.ref).toHaveBeenCalledTimes(1);
  });

  test.each([
    [{ tickMs: 0 }, "createTimerWheel: option 'tickMs' must be a number from 1 to 1000, got 0"],
    [{ tickMs: 1_001 }, "createTimerWheel: option 'tickMs' must be a number from 1 to 1000, got 1001"],
    [{ tickMs: '4' }, `createTimerWheel: option 'tickMs' must be a number, got "4"`],
    [
      { clock: {} },
      "createTimerWheel: option 'clock' must be an object with the method now(), got an object",
    ],
    [{ tick: 4 }, "createTimerWheel: unknown option 'tick'; known are clock, tickMs"],
  ])('refuses %o', (options, message) => {
    expect(() => createTimerWheel(options as never)).toThrow(message);
  });

  type Step =
    | { readonly do: 'arm'; readonly who: number; readonly delayMs: number }
    | { readonly do: 'disarm'; readonly who: number }
    | { readonly do: 'advance'; readonly byMs: number };
  const steps = fc.array(
    fc.oneof(
      fc.record({
        do: fc.constant('arm' as const),
        who: fc.nat(7),
        delayMs: fc.oneof(fc.nat(30), fc.nat(5_000)),
      }),
      fc.record({ do: fc.constant('disarm' as const), who: fc.nat(7) }),
      fc.record({ do: fc.constant('advance' as const), byMs: fc.oneof(fc.nat(40), fc.nat(3_000)) }),
    ),
    // Without `size` an array has ten elements at most, whatever `maxLength` says.
    { maxLength: 60, size: 'max' },
  ) as fc.Arbitrary<Step[]>;

  async function play(clock: VirtualClock, wheel: TimerWheel, tickMs: number, given: readonly Step[]) {
    const probes = Array.from({ length: 8 }, () => new Probe(clock));
    const dueMs = new Map<number, number>();
    const seen = probes.map(() => 0);
    for (const each of [...given, { do: 'advance', byMs: 10_000 } as const]) {
      if (each.do === 'arm') {
        wheel.arm(probes[each.who] as Probe, each.delayMs);
        dueMs.set(each.who, clock.now() + each.delayMs);
      } else if (each.do === 'disarm') {
        wheel.disarm(probes[each.who] as Probe);
        dueMs.delete(each.who);
      } else {
        await clock.advance(each.byMs);
        for (const [who, probe] of probes.entries()) {
          const due = dueMs.get(who);
          const fired = probe.firedMs.slice(seen[who]);
          seen[who] = probe.firedMs.length;
          if (fired.length > 0) {
            expect(fired).toHaveLength(1);
            expect(fired[0]).toBeGreaterThanOrEqual(due as number);
            expect(fired[0]).toBeLessThanOrEqual((due as number) + tickMs);
            dueMs.delete(who);
          } else if (due !== undefined) {
            expect(clock.now()).toBeLessThan(due + tickMs);
          }
        }
      }
      expect(wheel.armedCount).toBe(dueMs.size);
    }
    expect(dueMs.size).toBe(0);
  }

  test('under random arming, disarming and passing of time it agrees with a list of due times', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: 1, max: 20 }), async (given, tickMs) => {
        const clock = createVirtualClock();
        await play(clock, createTimerWheel({ clock, tickMs }), tickMs, given);
      }),
      { numRuns: 150 },
    );
  });
});

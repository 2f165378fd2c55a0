import { type Clock, type Milliseconds, systemClock, type TimerHandle } from './clock.ts';
import { optionReader } from './options.ts';

/** What {@link createTimerWheel} takes. */
export interface TimerWheelOptions {
  /** How much later than asked a timer may fire, in milliseconds. Default 4; from 1 to 1,000. */
  readonly tickMs?: Milliseconds | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * A timer for a {@link TimerWheel}: extend it or give it a callback, then arm and disarm it as often as needed.
 *
 * It belongs to one wheel at a time.
 */
export abstract class WheelTimer {
  /** The neighbours in its slot and the tick at which it is due: kept here so that arming allocates nothing. @internal */
  _next: WheelTimer | undefined = undefined;
  /** @internal */
  _previous: WheelTimer | undefined = undefined;
  /** @internal */
  _dueTick: number = -1;

  /**
   * Called once when the timer is due; it may arm and disarm any timer, itself included.
   *
   * What it throws becomes an uncaught exception; the other timers are called all the same.
   */
  abstract onDue(): void;

  /** Whether it is armed and not yet due. */
  get armed(): boolean {
    return this._dueTick !== -1;
  }
}

/** Many timers behind one of the platform's: to arm and to disarm one takes some tens of nanoseconds. */
export interface TimerWheel {
  /**
   * Arms `timer` to be called in `delayMs`: never earlier, at most one tick (and the platform's delay) later.
   *
   * Timers of one tick are called in the order of their arming. Re-arms an armed one. What is not above
   * 0 comes at the next tick; `Infinity` never comes.
   */
  arm(timer: WheelTimer, delayMs: Milliseconds): void;
  /** Disarms `timer`; does nothing when it is not armed. */
  disarm(timer: WheelTimer): void;
  /** How many timers are armed. While one of them will come, the wheel keeps the process alive. */
  readonly armedCount: number;
}

const SLOTS = 512;
const MASK = SLOTS - 1;

class Sentinel extends WheelTimer {
  override onDue(): void {}
}

class HashedTimerWheel implements TimerWheel {
  readonly #clock: Clock;
  readonly #tickMs: Milliseconds;
  readonly #originMs: Milliseconds;
  /** Each slot is a ring around a sentinel; made when first needed. */
  readonly #slots: (Sentinel | undefined)[] = [];
  #armedCount = 0;
  #handledTick = 0;
  #native: TimerHandle | undefined;
  #nativeTick = Number.POSITIVE_INFINITY;
  readonly #onNative = (): void => this.#advance();

  constructor(clock: Clock, tickMs: Milliseconds) {
    this.#clock = clock;
    this.#tickMs = tickMs;
    this.#originMs = clock.now();
  }

  get armedCount(): number {
    return this.#armedCount;
  }

  arm(timer: WheelTimer, delayMs: Milliseconds): void {
    if (timer._dueTick !== -1) this.#unlink(timer);
    const elapsedMs = this.#clock.now() - this.#originMs;
    let tick = Math.ceil((elapsedMs + delayMs) / this.#tickMs);
    if (!(tick > this.#handledTick)) tick = this.#handledTick + 1;
    timer._dueTick = tick;
    const index = tick & MASK;
    let slot = this.#slots[index];
    if (slot === undefined) {
      slot = new Sentinel();
      slot._next = slot;
      slot._previous = slot;
      while (this.#slots.length <= index) this.#slots.push(undefined);
      this.#slots[index] = slot;
    }
    const last = slot._previous as WheelTimer;
    timer._previous = last;
    timer._next = slot;
    last._next = timer;
    slot._previous = timer;
    if (++this.#armedCount === 1) this.#native?.ref();
    if (tick < this.#nativeTick) this.#wakeAt(tick);
  }

  disarm(timer: WheelTimer): void {
    if (timer._dueTick === -1) return;
    this.#unlink(timer);
    // The platform's timer stays armed: clearing and setting it again would cost more than one idle wake-up.
    if (this.#armedCount === 0) this.#native?.unref();
  }

  #unlink(timer: WheelTimer): void {
    (timer._previous as WheelTimer)._next = timer._next;
    (timer._next as WheelTimer)._previous = timer._previous;
    timer._next = undefined;
    timer._previous = undefined;
    timer._dueTick = -1;
    this.#armedCount--;
  }

  #wakeAt(tick: number): void {
    if (this.#native !== undefined) this.#clock.clearTimeout(this.#native);
    this.#nativeTick = tick;
    const dueMs = this.#originMs + tick * this.#tickMs;
    this.#native = this.#clock.setTimeout(this.#onNative, Math.max(0, dueMs - this.#clock.now()));
  }

  #advance(): void {
    this.#native = undefined;
    this.#nativeTick = Number.POSITIVE_INFINITY;
    const nowTick = Math.floor((this.#clock.now() - this.#originMs) / this.#tickMs);
    const due: WheelTimer[] = [];
    // After a long pause each slot still has to be looked at only once.
    const first = Math.max(this.#handledTick + 1, nowTick - SLOTS + 1);
    for (let tick = first; tick <= nowTick; tick++) {
      const slot = this.#slots[tick & MASK];
      if (slot === undefined) continue;
      for (let timer = slot._next as WheelTimer; timer !== slot; ) {
        const next = timer._next as WheelTimer;
        if (timer._dueTick <= nowTick) due.push(timer);
        timer = next;
      }
    }
    if (nowTick > this.#handledTick) this.#handledTick = nowTick;
    due.sort((a, b) => a._dueTick - b._dueTick);
    const dueTicks = due.map((timer) => timer._dueTick);
    for (let index = 0; index < due.length; index++) {
      const timer = due[index] as WheelTimer;
      // One that was called before may have disarmed or re-armed this one.
      if (timer._dueTick !== dueTicks[index]) continue;
      this.#unlink(timer);
      try {
        timer.onDue();
      } catch (error) {
        process.nextTick(rethrow, error);
      }
    }
    this.#wakeAtNext();
  }

  #wakeAtNext(): void {
    if (this.#armedCount === 0) return;
    for (let tick = this.#handledTick + 1; tick <= this.#handledTick + SLOTS; tick++) {
      const slot = this.#slots[tick & MASK];
      if (slot !== undefined && slot._next !== slot) {
        if (tick < this.#nativeTick) this.#wakeAt(tick);
        return;
      }
    }
  }
}

function rethrow(error: unknown): never {
  throw error;
}

/**
 * Makes a timer wheel: armed and disarmed timers cost no system timer each.
 *
 * Idle it holds no timer and 0 slots; it needs no closing. Arm and disarm are O(1) and allocate nothing.
 * A timer further away than one turn (512 ticks) is looked at once a turn.
 * Algorithm: hashed timing wheel (Varghese and Lauck, 1987).
 *
 * @example
 * class Expiry extends WheelTimer {
 *   override onDue() {
 *     use('too late');
 *   }
 * }
 * const wheel = createTimerWheel();
 * const expiry = new Expiry();
 * wheel.arm(expiry, 5_000);
 * wheel.disarm(expiry);
 *
 * @throws TypeError or RangeError when an option is wrong.
 */
export function createTimerWheel(options: TimerWheelOptions = {}): TimerWheel {
  const read = optionReader('createTimerWheel', options);
  const tickMs = read.number('tickMs', 4, { min: 1, max: 1_000 });
  const clock = read.object<Clock>('clock', systemClock, ['now', 'setTimeout', 'clearTimeout']);
  read.end();
  return new HashedTimerWheel(clock, tickMs);
}

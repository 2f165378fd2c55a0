import type { Clock, Milliseconds, TimerHandle } from '@hotpath/core';
import { Backoff } from './backoff.ts';
import type { ResolvedPoolOptions } from './pool-options.ts';

const FIRST_RECONNECT_DELAY_MS = 25;

/** Says when a connection may be tried: at once while the server takes them, else one at a time with pauses. */
export class DialPace {
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #onDue: () => void;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #timer: TimerHandle | undefined;

  /** @param onDue Called when a pause that {@link mayDial} met is over. */
  constructor({ clock, maxReconnectDelayMs, random }: ResolvedPoolOptions, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
    const firstMs = Math.min(FIRST_RECONNECT_DELAY_MS, maxReconnectDelayMs);
    this.#backoff = new Backoff(firstMs, maxReconnectDelayMs, random);
  }

  /** @param connecting How many are being tried now. */
  mayDial(connecting: number): boolean {
    if (this.#backoff.failures === 0) return true;
    if (connecting > 0) return false;
    const inMs = this.#notBeforeMs - this.#clock.now();
    if (inMs <= 0) return true;
    this.#timer ??= this.#clock.setTimeout(() => {
      this.#timer = undefined;
      this.#onDue();
    }, inMs);
    return false;
  }

  succeeded(): void {
    this.#backoff.reset();
  }

  /** Returns how long the pause is from now. */
  failed(now: Milliseconds): Milliseconds {
    // Of several that were under way together, only the first counts.
    if (now >= this.#notBeforeMs) this.#notBeforeMs = now + this.#backoff.next();
    return this.#notBeforeMs - now;
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

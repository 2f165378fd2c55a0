import type { Milliseconds } from '@hotpath/core';
import { FAILURE, SLOW } from './outcome-window.ts';

/** One half-open round: how many calls were let through, and what has become of them. */
export class ProbeRound {
  inFlight = 0;
  calls = 0;
  failures = 0;
  slow = 0;
  #untilMs: Milliseconds = 0;

  /** Whether one of `probes` places is free. */
  isFree(probes: number): boolean {
    return this.inFlight + this.calls < probes;
  }

  /** The time that probes have begins with the first of those under way. */
  enter(nowMs: Milliseconds, patienceMs: Milliseconds): void {
    if (this.inFlight++ === 0) this.#untilMs = nowMs + patienceMs;
  }

  record(bits: number): void {
    this.release();
    this.calls++;
    if (bits & FAILURE) this.failures++;
    if (bits & SLOW) this.slow++;
  }

  release(): void {
    if (this.inFlight > 0) this.inFlight--;
  }

  isHung(nowMs: Milliseconds): boolean {
    return this.inFlight > 0 && nowMs >= this.#untilMs;
  }
}

import { type Clock, type Milliseconds, systemClock } from '@hotpath/core';

// How many reads in one burst make sharing worth an immediate, and how many then share one reading.
const HOT_READS = 16;
const SHARED_READS = 32;
const BURST_MS = 0.05;

/** Where a policy's hot path takes the time from. */
export interface TimeSource {
  now(): Milliseconds;
}

/**
 * Reads the system's monotonic clock, and under a burst shares one reading among up to 32 reads of
 * one turn of the event loop: a reading (some 40 ns) costs more than everything else a limiter does.
 *
 * A shared reading is older than the truth by at most the time that 32 reads within one turn take;
 * it never outlives the turn. Outside bursts each read is a fresh one, and nothing is scheduled.
 */
class TurnClock implements TimeSource {
  #nowMs: Milliseconds = 0;
  #sharedLeft = 0;
  #burstStartMs: Milliseconds = 0;
  #burstReads = 0;
  #turnEnds = false;

  now(): Milliseconds {
    if (this.#sharedLeft > 0) {
      this.#sharedLeft--;
      return this.#nowMs;
    }
    return this.#read();
  }

  #read(): Milliseconds {
    const nowMs = systemClock.now();
    this.#nowMs = nowMs;
    if (this.#turnEnds) {
      this.#sharedLeft = SHARED_READS - 1;
    } else if (nowMs - this.#burstStartMs > BURST_MS) {
      this.#burstStartMs = nowMs;
      this.#burstReads = 0;
    } else if (++this.#burstReads >= HOT_READS) {
      this.#turnEnds = true;
      setImmediate(this.#endTurn);
      this.#sharedLeft = SHARED_READS - 1;
    }
    return nowMs;
  }

  readonly #endTurn = (): void => {
    this.#turnEnds = false;
    this.#sharedLeft = 0;
    this.#burstReads = 0;
  };
}

/** The cheapest way to read `clock` often: a sharing reader for the system's, any other as it is. */
export function timeSource(clock: Clock): TimeSource {
  return clock === systemClock ? new TurnClock() : clock;
}

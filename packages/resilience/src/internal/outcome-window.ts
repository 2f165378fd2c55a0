import type { Milliseconds } from '@hotpath/core';

/** Bits of one outcome, as the windows keep it. */
export const SUCCESS = 0;
export const FAILURE = 1;
export const SLOW = 2;

/** The latest outcomes with running totals, so that reading a ratio costs no scan. */
export interface OutcomeWindow {
  /** Calls, failures and slow calls that count at present; current as of the latest `record` or `expire`. */
  calls: number;
  failures: number;
  slow: number;
  /** Adds an outcome: any of the bits above. */
  record(bits: number, nowMs: Milliseconds): void;
  /** Drops what has grown too old. */
  expire(nowMs: Milliseconds): void;
  clear(): void;
}

/** The latest `size` outcomes. */
export class CountWindow implements OutcomeWindow {
  calls = 0;
  failures = 0;
  slow = 0;
  readonly #ring: Uint8Array;
  #next = 0;

  constructor(size: number) {
    this.#ring = new Uint8Array(size);
  }

  record(bits: number): void {
    const ring = this.#ring;
    if (this.calls === ring.length) {
      const oldest = ring[this.#next] as number;
      this.failures -= oldest & FAILURE;
      this.slow -= oldest >> 1;
    } else {
      this.calls++;
    }
    ring[this.#next] = bits;
    this.failures += bits & FAILURE;
    this.slow += bits >> 1;
    this.#next = this.#next + 1 === ring.length ? 0 : this.#next + 1;
  }

  expire(): void {}

  clear(): void {
    this.calls = 0;
    this.failures = 0;
    this.slow = 0;
    this.#next = 0;
  }
}

const FIELDS = 3;

/** The outcomes of the latest `windowMs`, in buckets that are dropped whole when they have grown too old. */
export class TimeWindow implements OutcomeWindow {
  calls = 0;
  failures = 0;
  slow = 0;
  /** Calls, failures and slow calls of each bucket, side by side. */
  readonly #ring: Uint32Array;
  readonly #buckets: number;
  readonly #bucketMs: Milliseconds;
  /** Where the current bucket begins in the ring, and when it ends. */
  #offset = 0;
  #endMs: Milliseconds;

  constructor(windowMs: Milliseconds, buckets: number, nowMs: Milliseconds) {
    this.#ring = new Uint32Array(buckets * FIELDS);
    this.#buckets = buckets;
    this.#bucketMs = windowMs / buckets;
    this.#endMs = nowMs + this.#bucketMs;
  }

  record(bits: number, nowMs: Milliseconds): void {
    if (nowMs >= this.#endMs) this.expire(nowMs);
    const ring = this.#ring;
    const offset = this.#offset;
    this.calls++;
    ring[offset]!++;
    if (bits === SUCCESS) return;
    if (bits & FAILURE) {
      this.failures++;
      ring[offset + 1]!++;
    }
    if (bits & SLOW) {
      this.slow++;
      ring[offset + 2]!++;
    }
  }

  expire(nowMs: Milliseconds): void {
    if (nowMs < this.#endMs) return;
    const passed = Math.floor((nowMs - this.#endMs) / this.#bucketMs) + 1;
    this.#endMs += passed * this.#bucketMs;
    if (passed >= this.#buckets) {
      this.clear();
      return;
    }
    // Every bucket that was passed over holds outcomes of the turn before, also the ones in which nothing happened.
    for (let step = 0; step < passed; step++) this.#dropNext();
  }

  #dropNext(): void {
    const ring = this.#ring;
    const offset = this.#offset + FIELDS === ring.length ? 0 : this.#offset + FIELDS;
    this.calls -= ring[offset] as number;
    this.failures -= ring[offset + 1] as number;
    this.slow -= ring[offset + 2] as number;
    ring.fill(0, offset, offset + FIELDS);
    this.#offset = offset;
  }

  clear(): void {
    this.calls = 0;
    this.failures = 0;
    this.slow = 0;
    this.#ring.fill(0);
  }
}

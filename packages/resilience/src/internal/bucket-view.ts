import type { Milliseconds } from '@hotpath/core';
import type { KeyLease } from './key-lease.ts';
import type { DistributedAdmission, Take } from './lease-take.ts';

/** A millionth of a unit: what sums of fractions may be off by. */
const SLACK = 1e-6;

/** What a node can tell of a bucket in Redis from the latest answer, without asking. */
export class BucketView {
  readonly #burst: number;
  readonly #unitsPerMs: number;

  constructor(burst: number, unitsPerMs: number) {
    this.#burst = burst;
    this.#unitsPerMs = unitsPerMs;
  }

  admission(
    lease: KeyLease<Take>,
    nowMs: Milliseconds,
    decidedBy: DistributedAdmission['decidedBy'],
  ): DistributedAdmission {
    const level = this.#levelOf(lease, nowMs);
    return {
      allowed: true,
      remaining: Math.max(0, Math.floor(this.#burst - level + lease.units + SLACK)),
      retryAfterMs: 0,
      resetMs: level / this.#unitsPerMs,
      decidedBy,
    };
  }

  refusal(
    lease: KeyLease<Take>,
    cost: number,
    nowMs: Milliseconds,
    decidedBy: DistributedAdmission['decidedBy'],
  ): DistributedAdmission {
    const level = this.#levelOf(lease, nowMs);
    return {
      allowed: false,
      remaining: Math.max(0, Math.floor(this.#burst - level + SLACK)),
      retryAfterMs: cost > this.#burst ? Number.POSITIVE_INFINITY : Math.max(0, this.waitMs(level, cost)),
      resetMs: level / this.#unitsPerMs,
      decidedBy,
    };
  }

  /** How long until `cost` fits above `level`; below 0 when it does. */
  waitMs(level: number, cost: number): Milliseconds {
    return (level + cost - this.#burst) / this.#unitsPerMs;
  }

  #levelOf(lease: KeyLease<Take>, nowMs: Milliseconds): number {
    return Math.max(0, lease.level - Math.max(0, nowMs - lease.levelAtMs) * this.#unitsPerMs);
  }
}

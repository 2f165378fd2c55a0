import type { Milliseconds } from '@hotpath/core';
import type { Proof } from './proof.ts';

/** A value in memory, with all that decides whether it may be served. Times are whole monotonic milliseconds. */
export class Entry {
  readonly value: unknown;
  /** The value as a settled promise, which all hits share; made at the first hit, and only where the value is shared too. */
  promise: Promise<unknown> | undefined = undefined;
  /** Until then it is served without a further thought: its expiry, or the early refresh drawn for it. */
  freshUntilMs: Milliseconds;
  readonly expiresMs: Milliseconds;
  readonly staleUntilMs: Milliseconds;
  readonly graceUntilMs: Milliseconds;
  /** When the load or the read that it came from began. */
  readonly bornMs: Milliseconds;
  readonly proof: Proof;
  /** The marks' version when that load or read began, and the latest one for which it was found valid. */
  readonly epoch: number;
  version: number;
  readonly tags: readonly string[];
  /** Whether each reader must get a copy of its own. */
  readonly isCloned: boolean;
  /** Its estimated size; 0 when nobody counts bytes. */
  bytes = 0;

  constructor(fields: Omit<Entry, 'promise' | 'bytes'>) {
    this.value = fields.value;
    this.freshUntilMs = fields.freshUntilMs;
    this.expiresMs = fields.expiresMs;
    this.staleUntilMs = fields.staleUntilMs;
    this.graceUntilMs = fields.graceUntilMs;
    this.bornMs = fields.bornMs;
    this.proof = fields.proof;
    this.epoch = fields.epoch;
    this.version = fields.version;
    this.tags = fields.tags;
    this.isCloned = fields.isCloned;
  }
}

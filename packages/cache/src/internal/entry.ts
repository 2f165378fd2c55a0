import type { Milliseconds } from '@hotpath/core';
import type { LocalKey } from './key-codec.ts';
import type { Proof } from './proof.ts';

/** A value in memory, with all that decides whether it may be served. Times are whole monotonic milliseconds. */
export class Entry {
  // What a hit reads comes first, so that it lies in one line of the processor's cache.
  readonly key: LocalKey;
  /** Until then it is served without a further thought: its expiry, or the early refresh drawn for it. */
  freshUntilMs: Milliseconds;
  readonly proof: Proof;
  /** The latest version of the marks for which it was found valid. */
  version: number;
  readonly value: unknown;
  /** Whether each reader must get a copy of its own. */
  readonly isCloned: boolean;
  /** The value as a settled promise, which all hits share; made at the first hit, and only where the value is shared too. */
  promise: Promise<unknown> | undefined = undefined;
  readonly expiresMs: Milliseconds;
  readonly staleUntilMs: Milliseconds;
  readonly graceUntilMs: Milliseconds;
  /** When the load or the read that it came from began. */
  readonly bornMs: Milliseconds;
  /** The marks' version when that load or read began. */
  readonly epoch: number;
  readonly tags: readonly string[];
  /** Its estimated size; 0 when nobody counts bytes. */
  bytes = 0;

  constructor(fields: Omit<Entry, 'promise' | 'bytes'>) {
    this.key = fields.key;
    this.freshUntilMs = fields.freshUntilMs;
    this.proof = fields.proof;
    this.version = fields.version;
    this.value = fields.value;
    this.isCloned = fields.isCloned;
    this.expiresMs = fields.expiresMs;
    this.staleUntilMs = fields.staleUntilMs;
    this.graceUntilMs = fields.graceUntilMs;
    this.bornMs = fields.bornMs;
    this.epoch = fields.epoch;
    this.tags = fields.tags;
  }
}

import type { Milliseconds } from '@hotpath/core';
import { deepClone } from './hand-out.ts';
import type { LocalKey } from './key-codec.ts';
import type { Proof } from './proof.ts';
import type { Region } from './region.ts';
import type { SharedReader, SharedStatus, SharedValue } from './tier.ts';

/** A value that was found; it may itself be `undefined`. */
export interface FoundValue {
  readonly value: unknown;
}

/** A read of the shared tier that loads nothing. */
export class Lookup implements SharedReader {
  readonly sharedKey: string;
  readonly wantsLease = false;
  readonly #region: Region;
  readonly #key: LocalKey;
  readonly #resolve: (found: FoundValue | undefined) => void;
  readonly #bornMs: Milliseconds;
  readonly #epoch: number;
  readonly #drops: number;
  readonly #proof: Proof | undefined;

  constructor(region: Region, key: LocalKey, resolve: (found: FoundValue | undefined) => void) {
    const { core } = region;
    this.sharedKey = region.shared(key);
    this.#region = region;
    this.#key = key;
    this.#resolve = resolve;
    this.#bornMs = core.hotClock.now();
    this.#epoch = core.marks.version;
    this.#drops = region.drops;
    this.#proof = core.tier?.proofFor(this.sharedKey);
  }

  get readableKey(): string {
    return this.#region.readable(this.#key);
  }

  onShared(status: SharedStatus, shared: SharedValue | undefined): void {
    const { core } = this.#region;
    if (status !== 'away' && status !== 'hit') core.counters.l2Misses++;
    if (shared === undefined) {
      this.#resolve(undefined);
      return;
    }
    const { lifetime, ageMs, tags, value } = shared;
    const restMs = lifetime.freshMs - ageMs;
    if (restMs + lifetime.staleMs <= 0) {
      core.counters.l2Misses++;
      this.#resolve(undefined);
      return;
    }
    const isCloned = this.#region.isCopied(value);
    const found = { value: isCloned ? deepClone(value) : value };
    core.counters.l2Hits++;
    if (restMs <= 0) core.counters.stale++;
    // A tag or prefix that was invalidated since is found in the entry by whoever reads it.
    if (this.#drops === this.#region.drops && restMs > 0) {
      const origin = { bornMs: this.#bornMs, epoch: this.#epoch, proof: this.#proof };
      this.#region.store(this.#key, value, isCloned, tags, lifetime, ageMs, origin, 0, shared.bytes);
    }
    this.#resolve(found);
  }
}

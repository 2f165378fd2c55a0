import type { Milliseconds } from '@hotpath/core';
import type { Lifetime } from './lifetime.ts';
import type { Mark } from './marks.ts';
import type { Proof } from './proof.ts';

/** A value as Redis holds it. */
export interface SharedValue {
  readonly value: unknown;
  readonly tags: readonly string[];
  readonly lifetime: Lifetime;
  /** How long ago it was stored there. */
  readonly ageMs: Milliseconds;
  /** About how many bytes it takes. */
  readonly bytes: number;
}

/**
 * What Redis says about a key: `hit`; `granted`: there is none, and the lease to load it is ours;
 * `leased`: somebody else is loading it; `missing`: there is none, and no lease was asked for or
 * given; `away`: Redis can't be asked.
 */
export type SharedStatus = 'hit' | 'granted' | 'leased' | 'missing' | 'away';

/** Somebody who waits for what Redis says about a key. */
export interface SharedReader {
  /** Its key in Redis, without the cache's root. */
  readonly sharedKey: string;
  /** Its key as prefixes see it. */
  readonly readableKey: string;
  /** Whether it wants the lease to load the value where there is none. */
  readonly wantsLease: boolean;
  /**
   * Called once a read, within the call that asked where Redis can't be asked; `value` with `hit`, `lease` with `granted`.
   *
   * Throws, before anything else, when it can't use the value of a `hit`, and is then called once more without one.
   */
  onShared(status: SharedStatus, value: SharedValue | undefined, lease: string): void;
}

/** What is written to Redis. */
export interface SharedWrite {
  readonly sharedKey: string;
  readonly value: unknown;
  readonly tags: readonly string[];
  readonly lifetime: Lifetime;
}

/** The tier that processes share, as the rest of the cache sees it. Nothing here ever rejects or throws. */
export interface SharedTier {
  /** Whether it can't be asked about this key at present. */
  isAway(sharedKey: string): boolean;
  /** The proof to store values under that are read or loaded from now on. */
  proofFor(sharedKey: string): Proof | undefined;
  read(reader: SharedReader): void;
  /**
   * Asks for the lease to refresh the value that is there, which the reader knows to be fresh until `knownUntilMs`
   * of this process's clock; a newer one is a `hit`.
   */
  acquire(reader: SharedReader, knownUntilMs: Milliseconds | undefined): void;
  /** Stores a loaded value while its lease still stands: `false` when it was invalidated meanwhile. */
  fill(write: SharedWrite, lease: string): Promise<boolean>;
  /** Gives a lease back without a value. */
  release(sharedKey: string, lease: string): void;
  /** Stores values whatever was there. */
  write(writes: readonly SharedWrite[]): Promise<boolean>;
  invalidateKeys(sharedKeys: readonly string[]): Promise<boolean>;
  invalidateMarks(marks: readonly Mark[]): Promise<boolean>;
  invalidateAll(): Promise<boolean>;
  readonly state: 'up' | 'degraded';
  /** Why it is in this state, in words for people. */
  readonly stateReason: string;
  /** Resolves when it is up, or else after `withinMs`. */
  whenUp(withinMs: Milliseconds): Promise<void>;
  readonly queuedInvalidations: number;
  close(): Promise<void>;
}

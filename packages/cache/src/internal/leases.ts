import type { Clock, Milliseconds, TimerHandle } from '@hotpath/core';
import type { Shard } from './shard.ts';

/** The leases that this process holds; each is renewed while its load goes on. */
export class Leases {
  readonly #clock: Clock;
  readonly #leaseMs: Milliseconds;
  readonly #renew: (shard: Shard, sharedKey: string, lease: string, leaseMs: Milliseconds) => void;
  readonly #held = new Map<string, { readonly shard: Shard; readonly key: string; readonly lease: string }>();
  #timer: TimerHandle | undefined;

  constructor(
    clock: Clock,
    leaseMs: Milliseconds,
    renew: (shard: Shard, sharedKey: string, lease: string, leaseMs: Milliseconds) => void,
  ) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
    this.#renew = renew;
  }

  hold(shard: Shard, key: string, lease: string): void {
    this.#held.set(key, { shard, key, lease });
    if (this.#timer === undefined) this.#arm();
  }

  forget(key: string, lease: string): void {
    // A load that was overtaken by an invalidation must not end the lease of the one after it.
    if (this.#held.get(key)?.lease === lease) this.#held.delete(key);
  }

  #arm(): void {
    const due = new Set(this.#held.values());
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      for (const held of this.#held.values()) {
        // Younger ones have their turn next time.
        if (due.has(held)) this.#renew(held.shard, held.key, held.lease, this.#leaseMs);
      }
      if (this.#held.size > 0) this.#arm();
    }, this.#leaseMs / 3);
    this.#timer.unref();
  }

  close(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#held.clear();
  }
}

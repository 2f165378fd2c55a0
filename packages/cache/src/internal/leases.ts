import type { Clock, Milliseconds, TimerHandle } from '@hotpath/core';
import { scripts } from './scripts.ts';
import type { Shard } from './shard.ts';

/**
 * A lease is given for so long at first, until its holder has renewed it: one whose holder was cut off
 * before it heard of it must not hold others up.
 */
const FIRST_LEASE_MS = 500;
/** Of leases that could not be ended; older ones are left to run out by themselves. */
const MOST_LOST = 1_000;

interface Lease {
  readonly shard: Shard;
  readonly key: string;
  readonly token: string;
}

interface HeldLease extends Lease {
  /** When it is to be renewed. */
  dueMs: Milliseconds;
}

interface LostLease extends Lease {
  /** From then on it has run out by itself. */
  readonly untilMs: Milliseconds;
}

/** The leases that this process holds: each is renewed while its load goes on, and ended when it is of no use. */
export class Leases {
  /** For how long a lease is asked for. */
  readonly firstLeaseMs: Milliseconds;
  readonly #clock: Clock;
  readonly #leaseMs: Milliseconds;
  /** A quick load is over before its lease is ever renewed. */
  readonly #tickMs: Milliseconds;
  readonly #held = new Map<string, HeldLease>();
  #lost: LostLease[] = [];
  #timer: TimerHandle | undefined;

  constructor(clock: Clock, leaseMs: Milliseconds) {
    this.firstLeaseMs = Math.min(leaseMs, FIRST_LEASE_MS);
    this.#clock = clock;
    this.#leaseMs = leaseMs;
    this.#tickMs = this.firstLeaseMs / 6;
  }

  hold(shard: Shard, key: string, token: string): void {
    this.#held.set(key, { shard, key, token, dueMs: this.#clock.now() + this.#tickMs });
    if (this.#timer === undefined) this.#arm();
  }

  forget(key: string, token: string): void {
    // A load that was overtaken by an invalidation must not end the lease of the one after it.
    if (this.#held.get(key)?.token === token) this.#held.delete(key);
  }

  /** Nobody need wait for it any longer. */
  end(shard: Shard, key: string, token: string): void {
    const ended = this.#renew({ shard, key, token }, 0);
    if (ended === undefined) this.lose(shard, key, token);
    else ended.catch(() => this.lose(shard, key, token));
  }

  /** Whether it stands can't be known at present; it is ended when Redis can be asked again. */
  lose(shard: Shard, key: string, token: string): void {
    const untilMs = this.#clock.now() + this.#leaseMs;
    if (this.#lost.push({ shard, key, token, untilMs }) > MOST_LOST) this.#lost.shift();
  }

  /** The shard can be asked again. */
  endLost(shard: Shard): void {
    const lost = this.#lost;
    const nowMs = this.#clock.now();
    this.#lost = lost.filter((lease) => lease.shard !== shard);
    for (const lease of lost) {
      if (lease.shard === shard && lease.untilMs > nowMs) this.end(shard, lease.key, lease.token);
    }
  }

  /** `undefined` while Redis can't be asked. */
  #renew({ shard, key, token }: Lease, leaseMs: Milliseconds): Promise<unknown> | undefined {
    const { link } = shard;
    if (link === undefined || !link.isReadable) return undefined;
    return shard.run(link, scripts.renew, [shard.root + key], [token, leaseMs]);
  }

  #arm(): void {
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      const nowMs = this.#clock.now();
      for (const held of this.#held.values()) {
        if (held.dueMs > nowMs) continue;
        const renewed = this.#renew(held, this.#leaseMs);
        if (renewed === undefined) continue;
        held.dueMs = nowMs + this.#leaseMs / 3;
        renewed.catch(() => {});
      }
      if (this.#held.size > 0) this.#arm();
    }, this.#tickMs);
    this.#timer.unref();
  }

  /** Ends all of them. */
  close(): void {
    this.#clock.clearTimeout(this.#timer);
    for (const { shard, key, token } of this.#held.values()) this.end(shard, key, token);
    this.#held.clear();
  }
}

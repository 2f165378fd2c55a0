import { randomBytes } from 'node:crypto';
import type { ChangeSink } from '../cache.ts';
import { events } from '../events.ts';
import type { ResolvedCacheOptions } from '../options.ts';
import type { RedisClient } from '../redis-port.ts';
import type { Change } from './change-log.ts';
import type { Counters } from './counters.ts';
import { Envelopes } from './envelope.ts';
import { Leases } from './leases.ts';
import { Link } from './link.ts';
import type { Mark } from './marks.ts';
import type { Proof } from './proof.ts';
import { ReadBatches } from './read-batches.ts';
import { scripts } from './scripts.ts';
import { ServerTime, Shard, type ShardContext } from './shard.ts';
import { Subscription } from './subscription.ts';
import type { SharedReader, SharedTier, SharedWrite } from './tier.ts';

/** Values in one Redis server (alone, or found by Sentinel). */
export class RedisTier implements SharedTier {
  readonly #options: ResolvedCacheOptions;
  readonly #counters: Counters;
  readonly #envelopes: Envelopes;
  readonly #shard: Shard;
  readonly #link: Link;
  readonly #subscription: Subscription;
  readonly #reads: ReadBatches;
  readonly #leases: Leases;
  #runId: string | undefined;
  #lastState: 'up' | 'degraded' = 'degraded';

  constructor(redis: RedisClient, options: ResolvedCacheOptions, counters: Counters, sink: ChangeSink) {
    const { clock } = options;
    this.#options = options;
    this.#counters = counters;
    this.#envelopes = new Envelopes(options.codec, options.compressFromBytes);
    const { keyPrefix } = redis.options as { keyPrefix?: string };
    const context: ShardContext = {
      namespace: options.namespace,
      sender: randomBytes(9).toString('base64url'),
      sink,
      counters,
      maxQueuedInvalidations: options.maxQueuedInvalidations,
      maxMarks: options.maxMarks,
      serverTime: new ServerTime(() => clock.now()),
      isCluster: false,
    };
    this.#shard = new Shard(`${keyPrefix ?? ''}{${options.namespace}}`, context);
    this.#leases = new Leases(clock, options.leaseMs, (shard, key, lease, leaseMs) => {
      this.#renew(shard, key, lease, leaseMs);
    });
    this.#reads = new ReadBatches({
      envelopes: this.#envelopes,
      counters,
      leases: this.#leases,
      leaseMs: options.leaseMs,
      namespace: options.namespace,
      serverTime: context.serverTime,
    });
    this.#link = new Link(
      redis,
      {},
      {
        clock,
        counters,
        softDeadlineMs: options.softDeadlineMs,
        hardDeadlineMs: options.hardDeadlineMs,
        recover: async (link) => {
          const runId = await this.#shard.recover(link);
          if (this.#runId !== undefined && this.#runId !== runId) this.#subscription.restart();
          this.#runId = runId;
        },
        isInStep: () => this.#shard.log.queued === 0,
        onSlow: () => this.#reads.releaseAll(this.#shard),
        onState: (link, reason) => {
          if (link.state === 'up') this.#subscription.onLinkUp();
          this.#announce(reason);
        },
      },
    );
    this.#shard.link = this.#link;
    this.#subscription = new Subscription(redis, {}, this.#link, {
      clock,
      maxStalenessMs: options.maxStalenessMs,
      shards: () => (this.#link.state === 'up' ? [this.#shard] : []),
      runId: () => (this.#link.state === 'up' ? this.#runId : undefined),
    });
  }

  get state(): 'up' | 'degraded' {
    return this.#link.state === 'up' ? 'up' : 'degraded';
  }

  get queuedInvalidations(): number {
    return this.#shard.log.queued;
  }

  #announce(reason: string): void {
    const { state } = this;
    if (state === this.#lastState) return;
    this.#lastState = state;
    if (events.stateChange.hasSubscribers) {
      events.stateChange.publish({ namespace: this.#options.namespace, state, reason });
    }
  }

  isAway(_sharedKey: string): boolean {
    return !this.#link.isReadable;
  }

  proofFor(_sharedKey: string): Proof | undefined {
    return this.#shard.proof;
  }

  read(reader: SharedReader): void {
    if (this.#link.isReadable) this.#reads.add(this.#shard, reader);
    else reader.onShared('away', undefined, '');
  }

  acquire(reader: SharedReader): void {
    if (this.#link.isReadable) this.#reads.acquire(this.#shard, reader, false);
    else reader.onShared('away', undefined, '');
  }

  async fill(write: SharedWrite, lease: string): Promise<boolean> {
    const shard = this.#shard;
    this.#leases.forget(shard, write.sharedKey);
    const sealed = this.#seal(write);
    if (sealed === undefined || !this.#link.isReadable) {
      this.release(write.sharedKey, lease);
      return true;
    }
    try {
      const keys = [shard.root + write.sharedKey];
      return (await shard.run(this.#link, scripts.fill, keys, [lease, hardMs(write), sealed])) === 1;
    } catch {
      // Unknown: what is kept in memory is still under its proof.
      return true;
    }
  }

  release(sharedKey: string, lease: string): void {
    this.#leases.forget(this.#shard, sharedKey);
    this.#renew(this.#shard, sharedKey, lease, 0);
  }

  #renew(shard: Shard, sharedKey: string, lease: string, leaseMs: number): void {
    if (!this.#link.isReadable) return;
    shard.run(this.#link, scripts.renew, [shard.root + sharedKey], [lease, leaseMs]).catch(() => {});
  }

  #seal(write: SharedWrite): Buffer | undefined {
    try {
      return this.#envelopes.seal(write.value, write.tags, write.lifetime);
    } catch {
      this.#counters.l2Errors++;
      return undefined;
    }
  }

  write(writes: readonly SharedWrite[]): Promise<boolean> {
    const keys: string[] = [];
    const values: (number | Buffer)[] = [];
    const unsealed: string[] = [];
    for (const write of writes) {
      const sealed = this.#seal(write);
      if (sealed === undefined) unsealed.push(write.sharedKey);
      else {
        keys.push(write.sharedKey);
        values.push(hardMs(write), sealed);
      }
    }
    return this.#change({ keys: [...keys, ...unsealed], marks: [], isAll: false }, () =>
      this.#shard.write(this.#link, [...keys, ...unsealed], values),
    );
  }

  invalidateKeys(keys: readonly string[]): Promise<boolean> {
    const change = { keys, marks: [], isAll: false };
    return this.#change(change, () => this.#shard.write(this.#link, keys, []));
  }

  invalidateMarks(marks: readonly Mark[]): Promise<boolean> {
    const change = { keys: [], marks, isAll: false };
    return this.#change(change, () => this.#shard.apply(this.#link, change));
  }

  invalidateAll(): Promise<boolean> {
    const change = { keys: [], marks: [], isAll: true };
    return this.#change(change, () => this.#shard.apply(this.#link, change));
  }

  /** Does a change, or queues its repetition: from then on nothing is read before that was done. */
  async #change(change: Change, apply: () => Promise<void>): Promise<boolean> {
    if (this.#link.state === 'up') {
      try {
        await apply();
        return true;
      } catch {
        // Whether it was done is unknown, so it is done again.
      }
    }
    this.#counters.unconfirmed++;
    this.#shard.log.enqueue(change);
    this.#link.distrust('a change could not be confirmed');
    return false;
  }

  async close(): Promise<void> {
    this.#leases.close();
    this.#subscription.close();
    await this.#link.close();
  }
}

function hardMs({ lifetime }: SharedWrite): number {
  return Math.max(1, Math.ceil(lifetime.freshMs + Math.max(lifetime.staleMs, lifetime.graceMs)));
}

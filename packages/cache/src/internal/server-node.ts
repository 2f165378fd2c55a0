import type { Clock, Milliseconds } from '@hotpath/core';
import type { RedisClient } from '../redis-port.ts';
import type { Counters } from './counters.ts';
import { Link } from './link.ts';
import type { Shard } from './shard.ts';
import { Subscription } from './subscription.ts';

/** What a node needs to know of its owner. */
export interface ServerNodeOptions {
  readonly clock: Clock;
  readonly counters: Counters;
  readonly softDeadlineMs: Milliseconds;
  readonly hardDeadlineMs: Milliseconds;
  readonly maxStalenessMs: Milliseconds;
  readonly onSlow: (shard: Shard) => void;
  readonly onUp: (shard: Shard) => void;
  readonly onState: (node: ServerNode, reason: string) => void;
}

/** One Redis server: the link to ask it, the subscription to hear from it, and the shards that lie there. */
export class ServerNode {
  readonly link: Link;
  readonly #subscription: Subscription;
  #shards: readonly Shard[] = [];
  /** The server whose data was last adopted; another one after a restart or a failover. */
  #runId: string | undefined;

  constructor(client: RedisClient, override: object, shards: readonly Shard[], options: ServerNodeOptions) {
    this.link = new Link(client, override, {
      clock: options.clock,
      counters: options.counters,
      softDeadlineMs: options.softDeadlineMs,
      hardDeadlineMs: options.hardDeadlineMs,
      recover: () => this.#recover(),
      repeat: async (link) => {
        await Promise.all(this.#shards.map((shard) => shard.repeat(link)));
      },
      isInStep: () => this.#shards.every((shard) => shard.log.queued === 0),
      onSlow: () => {
        for (const shard of this.#shards) options.onSlow(shard);
      },
      onState: (link, reason) => {
        if (link.state === 'up') {
          for (const shard of this.#shards) options.onUp(shard);
          this.#subscription.onLinkUp();
        }
        options.onState(this, reason);
      },
    });
    this.#subscription = new Subscription(client, override, this.link, {
      clock: options.clock,
      maxStalenessMs: options.maxStalenessMs,
      shards: () => (this.link.state === 'up' ? this.#shards : []),
      runId: () => (this.link.state === 'up' ? this.#runId : undefined),
    });
    this.assign(shards);
  }

  get shards(): readonly Shard[] {
    return this.#shards;
  }

  /** From now on these shards lie on this server; what is new must be adopted first. */
  assign(shards: readonly Shard[]): void {
    const isSame =
      shards.length === this.#shards.length && shards.every((shard) => this.#shards.includes(shard));
    if (isSame) return;
    this.#shards = shards;
    for (const shard of shards) {
      shard.link = this.link;
      shard.proof = undefined;
    }
    this.#subscription.restart();
    this.link.distrust('shards have moved');
  }

  async #recover(): Promise<void> {
    const runIds = await Promise.all(this.#shards.map((shard) => shard.recover(this.link)));
    const runId = runIds[0];
    if (this.#runId !== undefined && this.#runId !== runId) this.#subscription.restart();
    this.#runId = runId;
  }

  async close(): Promise<void> {
    this.#subscription.close();
    await this.link.close();
  }
}

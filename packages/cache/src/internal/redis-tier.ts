import { randomBytes } from 'node:crypto';
import type { Milliseconds, TimerHandle } from '@hotpath/core';
import { events } from '../events.ts';
import type { ResolvedCacheOptions } from '../options.ts';
import type { RedisClient, RedisClusterClient } from '../redis-port.ts';
import type { Change } from './change-log.ts';
import type { ChangeSink } from './change-sink.ts';
import { type Address, ClusterTopology } from './cluster-topology.ts';
import type { Counters } from './counters.ts';
import { Envelopes, keyHash } from './envelope.ts';
import { Leases } from './leases.ts';
import type { Link } from './link.ts';
import type { Mark } from './marks.ts';
import type { Proof } from './proof.ts';
import { ReadBatches } from './read-batches.ts';
import { readableOfShared } from './region-keys.ts';
import { scripts } from './scripts.ts';
import { ServerNode, type ServerNodeOptions } from './server-node.ts';
import { ServerTime, Shard, type ShardContext } from './shard.ts';
import { crc16, slotOf } from './slots.ts';
import type { SharedReader, SharedTier, SharedWrite } from './tier.ts';

/** Values in Redis: in one server, found by its address or by Sentinel, or spread over a Cluster. */
export class RedisTier implements SharedTier {
  readonly #options: ResolvedCacheOptions;
  readonly #counters: Counters;
  readonly #sink: ChangeSink;
  readonly #envelopes: Envelopes;
  readonly #shards: readonly Shard[];
  readonly #nodes = new Map<string, ServerNode>();
  readonly #topology: ClusterTopology | undefined;
  readonly #reads: ReadBatches;
  readonly #leases: Leases;
  readonly #nodeOptions: ServerNodeOptions;
  #lastState: 'up' | 'degraded' = 'degraded';
  readonly #waits = new Set<{ readonly timer: TimerHandle; readonly resolve: () => void }>();

  constructor(
    redis: RedisClient | RedisClusterClient,
    options: ResolvedCacheOptions,
    counters: Counters,
    sink: ChangeSink,
  ) {
    const { clock, namespace } = options;
    const isCluster = 'isCluster' in redis && redis.isCluster;
    const shardCount = isCluster ? options.shards : 1;
    this.#options = options;
    this.#counters = counters;
    this.#sink = sink;
    this.#envelopes = new Envelopes(options.codec, options.compressFromBytes);
    const context: ShardContext = {
      namespace,
      sender: randomBytes(9).toString('base64url'),
      sink,
      counters,
      maxQueuedInvalidations: Math.ceil(options.maxQueuedInvalidations / shardCount),
      maxMarks: options.maxMarks,
      serverTime: new ServerTime(() => clock.now()),
      isCluster,
    };
    this.#leases = new Leases(clock, options.leaseMs);
    this.#reads = new ReadBatches({
      envelopes: this.#envelopes,
      counters,
      clock,
      leases: this.#leases,
      namespace,
      serverTime: context.serverTime,
    });
    this.#nodeOptions = {
      clock,
      counters,
      softDeadlineMs: options.softDeadlineMs,
      hardDeadlineMs: options.hardDeadlineMs,
      maxStalenessMs: options.maxStalenessMs,
      onSlow: (shard) => this.#reads.releaseAll(shard),
      onUp: (shard) => this.#leases.endLost(shard),
      onState: (node, reason) => {
        if (node.link.state === 'down') this.#topology?.refresh();
        this.#announce(reason);
      },
    };
    const { db = 0, keyPrefix = '' } =
      (redis as { options?: { db?: number; keyPrefix?: string } }).options ?? {};
    if (isCluster) {
      this.#shards = Array.from({ length: shardCount }, (_, index) => {
        return new Shard(`${keyPrefix}{${namespace}#${index}}`, context);
      });
      this.#topology = new ClusterTopology(
        redis,
        clock,
        (masterOf) => this.#place(masterOf),
        () => this.state === 'up',
      );
      return;
    }
    // Channels are common to all databases of a server.
    this.#shards = [new Shard(`${keyPrefix}{${namespace}}`, context, db)];
    this.#nodes.set('', new ServerNode(redis as RedisClient, {}, this.#shards, this.#nodeOptions));
  }

  /** Puts each shard on the server that has its slot now. */
  #place(masterOf: (slot: number) => Address | undefined): void {
    const template = this.#topology?.template;
    const placed = new Map<string, { readonly address: Address; readonly shards: Shard[] }>();
    for (const shard of this.#shards) {
      const address = masterOf(slotOf(shard.root));
      if (address === undefined) continue;
      const name = `${address.host}:${address.port}`;
      const place = placed.get(name) ?? { address, shards: [] };
      place.shards.push(shard);
      placed.set(name, place);
    }
    for (const [name, node] of this.#nodes) {
      if (placed.has(name)) continue;
      this.#nodes.delete(name);
      void node.close();
    }
    for (const [name, { address, shards }] of placed) {
      const node = this.#nodes.get(name);
      if (node !== undefined) node.assign(shards);
      else if (template !== undefined) {
        const override = { host: address.host, port: address.port };
        this.#nodes.set(name, new ServerNode(template, override, shards, this.#nodeOptions));
      }
    }
  }

  #shardOf(sharedKey: string): Shard {
    const shards = this.#shards;
    return (shards.length === 1 ? shards[0] : shards[crc16(sharedKey) % shards.length]) as Shard;
  }

  get state(): 'up' | 'degraded' {
    return this.#shards.every((shard) => shard.link?.state === 'up') ? 'up' : 'degraded';
  }

  get stateReason(): string {
    const links = this.#shards.map(({ link }) => link);
    if (links.includes(undefined)) return 'no node of the cluster is known to have all slots yet';
    return links.find((link) => link?.state !== 'up')?.reason ?? 'recovered';
  }

  whenUp(withinMs: Milliseconds): Promise<void> {
    if (this.state === 'up') return Promise.resolve();
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const timer = clock.setTimeout(() => this.#endWait(wait), withinMs);
      const wait = { timer, resolve };
      this.#waits.add(wait);
    });
  }

  #endWait(wait: { readonly timer: TimerHandle; readonly resolve: () => void }): void {
    this.#options.clock.clearTimeout(wait.timer);
    this.#waits.delete(wait);
    wait.resolve();
  }

  get queuedInvalidations(): number {
    let queued = 0;
    for (const shard of this.#shards) queued += shard.log.queued;
    return queued;
  }

  #announce(reason: string): void {
    const { state } = this;
    if (state === this.#lastState) return;
    this.#lastState = state;
    if (state === 'up') for (const wait of this.#waits) this.#endWait(wait);
    if (events.stateChange.hasSubscribers) {
      events.stateChange.publish({ namespace: this.#options.namespace, state, reason });
    }
  }

  isAway(sharedKey: string): boolean {
    return !this.#shardOf(sharedKey).isReadable;
  }

  proofFor(sharedKey: string): Proof | undefined {
    return this.#shardOf(sharedKey).proof;
  }

  read(reader: SharedReader): void {
    const shard = this.#shardOf(reader.sharedKey);
    if (shard.isReadable) this.#reads.add(shard, reader);
    else reader.onShared('away', undefined, '');
  }

  acquire(reader: SharedReader, knownUntilMs: Milliseconds | undefined): void {
    this.#reads.refresh(this.#shardOf(reader.sharedKey), reader, knownUntilMs);
  }

  async fill(write: SharedWrite, lease: string): Promise<boolean> {
    const shard = this.#shardOf(write.sharedKey);
    this.#leases.forget(write.sharedKey, lease);
    const sealed = this.#seal(shard, write, 'load');
    if (sealed === undefined || !shard.isReadable) {
      this.#leases.end(shard, write.sharedKey, lease);
      return true;
    }
    try {
      const keys = [shard.root + write.sharedKey];
      const link = shard.link as Link;
      this.#counters.fills++;
      return (await shard.run(link, scripts.fill, keys, [lease, hardMs(write), sealed])) === 1;
    } catch {
      // Refused, or unknown: what is kept in memory is still under its proof.
      this.#leases.end(shard, write.sharedKey, lease);
      return true;
    }
  }

  release(sharedKey: string, lease: string): void {
    this.#leases.forget(sharedKey, lease);
    this.#leases.end(this.#shardOf(sharedKey), sharedKey, lease);
  }

  #seal(shard: Shard, write: SharedWrite, operation: 'load' | 'set'): Buffer | undefined {
    const { lifetime, sharedKey, tags, value } = write;
    try {
      return this.#envelopes.seal(keyHash(sharedKey, shard.rootHash), value, tags, lifetime);
    } catch (error) {
      this.#counters.unencodable++;
      if (events.unencodableValue.hasSubscribers) {
        const { namespace } = this.#options;
        events.unencodableValue.publish({ namespace, key: readableOfShared(sharedKey), operation, error });
      }
      return undefined;
    }
  }

  async write(writes: readonly SharedWrite[]): Promise<boolean> {
    const groups = new Map<Shard, { keys: string[]; values: (number | Buffer)[]; unsealed: string[] }>();
    for (const write of writes) {
      const shard = this.#shardOf(write.sharedKey);
      const group = groups.get(shard) ?? { keys: [], values: [], unsealed: [] };
      groups.set(shard, group);
      const sealed = this.#seal(shard, write, 'set');
      if (sealed === undefined) group.unsealed.push(write.sharedKey);
      else {
        group.keys.push(write.sharedKey);
        group.values.push(hardMs(write), sealed);
      }
    }
    const tasks = [...groups].map(([shard, { keys, values, unsealed }]) => {
      const all = [...keys, ...unsealed];
      const change = { keys: all, marks: [], isAll: false };
      return this.#change(shard, change, (link) => shard.write(link, all, values));
    });
    return (await Promise.all(tasks)).every(Boolean);
  }

  async invalidateKeys(sharedKeys: readonly string[]): Promise<boolean> {
    const groups = new Map<Shard, string[]>();
    for (const key of sharedKeys) {
      const shard = this.#shardOf(key);
      const keys = groups.get(shard);
      if (keys === undefined) groups.set(shard, [key]);
      else keys.push(key);
    }
    const tasks = [...groups].map(([shard, keys]) => {
      return this.#apply(shard, { keys, marks: [], isAll: false });
    });
    return (await Promise.all(tasks)).every(Boolean);
  }

  invalidateMarks(marks: readonly Mark[]): Promise<boolean> {
    return this.#applyToAll({ keys: [], marks, isAll: false });
  }

  invalidateAll(): Promise<boolean> {
    return this.#applyToAll({ keys: [], marks: [], isAll: true });
  }

  async #applyToAll(change: Change): Promise<boolean> {
    const tasks = this.#shards.map((shard) => this.#apply(shard, change));
    return (await Promise.all(tasks)).every(Boolean);
  }

  #apply(shard: Shard, change: Change): Promise<boolean> {
    return this.#change(shard, change, (link) => shard.apply(link, change));
  }

  /** Does a change, or queues its repetition: from then on nothing is read before that was done. */
  async #change(shard: Shard, change: Change, apply: (link: Link) => Promise<void>): Promise<boolean> {
    const { link } = shard;
    if (link?.takesChanges) {
      const { reloads } = link;
      try {
        await apply(link);
        if (link.reloads !== reloads) this.#dropAgain(change);
        return true;
      } catch {
        // Whether it was done is unknown, so it is done again.
      }
    }
    this.#counters.unconfirmed++;
    shard.log.enqueue(change);
    shard.link?.distrust('a change could not be confirmed');
    return false;
  }

  /** A read may have overtaken the change, and kept what was there before it. */
  #dropAgain({ isAll, keys, marks }: Change): void {
    this.#sink.dropKeys(keys);
    this.#sink.addMarks(marks);
    if (isAll) this.#sink.addAll();
  }

  async close(): Promise<void> {
    // Becoming up repeats what is queued, and what is queued would go with the process.
    if (this.queuedInvalidations > 0) await this.whenUp(this.#options.hardDeadlineMs);
    for (const wait of this.#waits) this.#endWait(wait);
    this.#topology?.close();
    this.#leases.close();
    await Promise.all([...this.#nodes.values()].map((node) => node.close()));
  }
}

function hardMs({ lifetime }: SharedWrite): number {
  return Math.max(1, Math.ceil(lifetime.freshMs + Math.max(lifetime.staleMs, lifetime.graceMs)));
}

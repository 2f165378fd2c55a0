import type { Clock, Milliseconds, TimerHandle } from '@hotpath/core';
import type { RedisClient, RedisConnection } from '../redis-port.ts';
import { connectionOverrides } from './connection-overrides.ts';
import type { Link } from './link.ts';
import { Proof } from './proof.ts';
import type { Shard } from './shard.ts';

/** What a subscription needs to know of its owner. */
export interface SubscriptionOptions {
  readonly clock: Clock;
  readonly maxStalenessMs: Milliseconds;
  /** Which shards its server has now. */
  readonly shards: () => readonly Shard[];
  /** The run_id of the server that the link has adopted; `undefined` while it is not up. */
  readonly runId: () => string | undefined;
}

const BEGIN_TIMEOUT_MS = 500;

/**
 * The connection on which other processes' changes arrive, and the proof that they do.
 *
 * Messages and answers to PING come in order on one connection: an answered PING proves that every
 * change which Redis had done before it was delivered. With each goes a question on the other connection,
 * whether this server still is the one to hear from. The time that counts is when they were sent.
 */
export class Subscription {
  readonly connection: RedisConnection;
  readonly #link: Link;
  readonly #options: SubscriptionOptions;
  readonly #pingEveryMs: Milliseconds;
  #session = 0;
  #proof: Proof | undefined;
  #shards: readonly Shard[] = [];
  #timer: TimerHandle | undefined;
  #pingSentMs: Milliseconds = -1;
  #aliveMs: Milliseconds;
  #begunMs: Milliseconds = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(client: RedisClient, override: object, link: Link, options: SubscriptionOptions) {
    this.#link = link;
    this.#options = options;
    // Often enough that one answer may be late, and rarely enough to be no load.
    this.#pingEveryMs = Math.max(5, options.maxStalenessMs / 4);
    this.#aliveMs = options.clock.now();
    this.connection = client.duplicate({ ...connectionOverrides('changes'), ...override });
    this.connection.on('error', () => {});
    this.connection.on('close', () => this.#end());
    this.connection.on('ready', () => {
      this.#aliveMs = options.clock.now();
      void this.#begin();
    });
    const onMessage = (channel: string, text: string): void => {
      for (const shard of this.#shards) if (shard.channel === channel) shard.onMessage(text);
    };
    this.connection.on('message', onMessage);
    this.connection.on('smessage', onMessage);
    this.#connect();
    this.#tick();
  }

  #connect(): void {
    const { status } = this.connection;
    if (status === 'wait' || status === 'end') this.connection.connect().catch(() => {});
  }

  /** Subscribes, makes up for what was missed, and only then begins to prove. */
  async #begin(): Promise<void> {
    const session = ++this.#session;
    const { clock } = this.#options;
    this.#pingSentMs = -1;
    this.#begunMs = clock.now();
    try {
      const info = String(await this.connection.call('INFO', 'server'));
      this.#aliveMs = clock.now();
      const runId = /run_id:(\w+)/.exec(info)?.[1] ?? 'unknown';
      const shards = this.#options.shards();
      if (session !== this.#session || shards.length === 0) return;
      this.#shards = shards;
      for (const shard of shards) {
        if (shard.publish === 'SPUBLISH') await this.connection.ssubscribe(shard.channel);
        else await this.connection.subscribe(shard.channel);
      }
      if (session !== this.#session) return;
      await Promise.all(shards.map((shard) => shard.sync(this.#link)));
      // Both connections must lead to the same server, or the proof is one about another.
      if (session !== this.#session || this.#options.runId() !== runId) return;
      const proof = new Proof(0);
      if (!(await this.#prove(proof, session))) return;
      this.#proof = proof;
      for (const shard of shards) shard.proof = proof;
    } catch {
      // The next tick tries again, on a new connection if need be.
    } finally {
      if (session === this.#session) this.#begunMs = Number.NEGATIVE_INFINITY;
    }
  }

  async #prove(proof: Proof, session: number): Promise<boolean> {
    const { clock, maxStalenessMs } = this.#options;
    const sentMs = clock.now();
    this.#pingSentMs = sentMs;
    const answered = this.connection.ping().then(() => {
      if (session !== this.#session) return;
      this.#pingSentMs = -1;
      this.#aliveMs = clock.now();
    });
    await Promise.all([answered, ...this.#shards.map((shard) => shard.verify(this.#link))]);
    if (session !== this.#session) return false;
    proof.untilMs = Math.floor(sentMs + maxStalenessMs);
    return true;
  }

  /** The subscription is lost: what was stored under its proof runs out by itself. */
  #end(): void {
    this.#session++;
    this.#pingSentMs = -1;
    this.#drop();
  }

  #drop(): void {
    for (const shard of this.#shards) if (shard.proof === this.#proof) shard.proof = undefined;
    this.#proof = undefined;
  }

  /** The data, or the server, is not what it was: begin anew. */
  restart(): void {
    this.#end();
    if (this.connection.status === 'ready') this.connection.disconnect(true);
  }

  /** The link is up: begin, if nothing has begun yet. */
  onLinkUp(): void {
    if (this.#proof === undefined && this.connection.status === 'ready') void this.#begin();
  }

  #tick(): void {
    const { clock, maxStalenessMs } = this.#options;
    if (this.#isClosed) return;
    this.#timer = clock.setTimeout(() => {
      this.#tick();
      const { status } = this.connection;
      const silentMs = clock.now() - this.#aliveMs;
      if (status === 'ready' && this.#proof !== undefined && this.#pingSentMs < 0) {
        this.#prove(this.#proof, this.#session).catch(() => {});
      } else if (silentMs > Math.max(maxStalenessMs, 1_000)) {
        this.#aliveMs = clock.now();
        this.#end();
        this.connection.disconnect(true);
      } else if (status === 'ready' && this.#proof === undefined && this.#options.runId() !== undefined) {
        // One that is under way is left its time, or a slow connection would never get anywhere.
        if (clock.now() - this.#begunMs >= BEGIN_TIMEOUT_MS) void this.#begin();
      } else this.#connect();
    }, this.#pingEveryMs);
    this.#timer.unref();
  }

  close(): void {
    this.#isClosed = true;
    this.#options.clock.clearTimeout(this.#timer);
    this.#end();
    this.connection.disconnect();
  }
}

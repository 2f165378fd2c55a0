import type { Clock, TimerHandle } from '@hotpath/core';
import type { RedisClient, RedisClusterClient, RedisConnection } from '../redis-port.ts';
import { connectionOverrides } from './connection-overrides.ts';

/** Where a server listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

type SlotRange = readonly [first: number, last: number, master: readonly [host: unknown, port: unknown]];

const REFRESH_MS = 250;
const ASK_TIMEOUT_MS = 1_000;

/** Finds out which server of a Redis Cluster has which slot, again and again while something is amiss. */
export class ClusterTopology {
  readonly #cluster: RedisClusterClient;
  readonly #clock: Clock;
  readonly #onMap: (masterOf: (slot: number) => Address | undefined) => void;
  readonly #isSettled: () => boolean;
  #known: Address[] = [];
  #template: RedisClient | undefined;
  #timer: TimerHandle | undefined;
  #isAsking = false;
  #isClosed = false;

  constructor(
    cluster: RedisClusterClient,
    clock: Clock,
    onMap: (masterOf: (slot: number) => Address | undefined) => void,
    isSettled: () => boolean,
  ) {
    this.#cluster = cluster;
    this.#clock = clock;
    this.#onMap = onMap;
    this.#isSettled = isSettled;
    this.refresh();
  }

  /** A connection like the user's own, to be pointed anywhere in the cluster; it need not be connected. */
  get template(): RedisClient | undefined {
    this.#template ??= this.#cluster.nodes('all')[0];
    return this.#template;
  }

  /** Asks now, and goes on asking until all is settled. */
  refresh(): void {
    if (this.#isAsking || this.#isClosed) return;
    this.#isAsking = true;
    this.#clock.clearTimeout(this.#timer);
    const asked = this.#ask().catch(() => {});
    void asked.finally(() => {
      this.#isAsking = false;
      if (this.#isClosed) return;
      this.#timer = this.#clock.setTimeout(() => {
        if (!this.#isSettled()) this.refresh();
      }, REFRESH_MS);
      this.#timer.unref();
    });
  }

  async #ask(): Promise<void> {
    if (this.template === undefined) await this.#scout();
    if (this.template === undefined) return;
    const seeds = [...this.#cluster.nodes('all'), this.template].map(({ options }) => options as Address);
    const asked = new Set<string>();
    for (const address of [...this.#known, ...seeds]) {
      const name = `${address.host}:${address.port}`;
      if (asked.has(name) || this.#isClosed) continue;
      asked.add(name);
      const ranges = await this.#askOne(address);
      if (this.#isClosed) return;
      if (ranges === undefined) continue;
      this.#learn(ranges, address);
      return;
    }
  }

  /** The user's own client is not connected: it is left so. */
  async #scout(): Promise<void> {
    const scout = this.#cluster.duplicate([], { lazyConnect: true, clusterRetryStrategy: null });
    scout.on('error', () => {});
    try {
      await this.#inTime(scout.connect());
      this.#template = scout.nodes('all')[0];
    } finally {
      scout.disconnect();
    }
  }

  /** Settles with `undefined` when the answer takes too long, or fails. */
  async #inTime<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
    let timer: TimerHandle | undefined;
    const tooLate = new Promise<undefined>((resolve) => {
      timer = this.#clock.setTimeout(() => resolve(undefined), ASK_TIMEOUT_MS);
    });
    try {
      return await Promise.race([answer, tooLate]);
    } catch {
      return undefined;
    } finally {
      this.#clock.clearTimeout(timer);
    }
  }

  async #askOne(address: Address): Promise<SlotRange[] | undefined> {
    const connection = this.template?.duplicate({
      ...connectionOverrides('topology'),
      host: address.host,
      port: address.port,
      retryStrategy: null,
    });
    if (connection === undefined) return undefined;
    connection.on('error', () => {});
    try {
      return await this.#inTime(askSlots(connection));
    } finally {
      connection.disconnect();
    }
  }

  #learn(ranges: readonly SlotRange[], asked: Address): void {
    const masters = ranges.map(([first, last, [host, port]]) => {
      const name = host === null || host === '' ? asked.host : String(host);
      return { first, last, address: this.#translate({ host: name, port: Number(port) }) };
    });
    const addresses = new Map(masters.map(({ address }) => [`${address.host}:${address.port}`, address]));
    this.#known = [...addresses.values()];
    this.#onMap((slot) => masters.find(({ first, last }) => first <= slot && slot <= last)?.address);
  }

  /** Servers behind NAT, as the user's own cluster client was told of them. */
  #translate(address: Address): Address {
    const { natMap } = (this.#cluster as { options?: { natMap?: unknown } }).options ?? {};
    const name = `${address.host}:${address.port}`;
    if (typeof natMap === 'function') return (natMap(name) as Address | null) ?? address;
    return (natMap as Record<string, Address> | undefined)?.[name] ?? address;
  }

  close(): void {
    this.#isClosed = true;
    this.#clock.clearTimeout(this.#timer);
  }
}

async function askSlots(connection: RedisConnection): Promise<SlotRange[]> {
  await connection.connect();
  return (await connection.call('CLUSTER', 'SLOTS')) as SlotRange[];
}

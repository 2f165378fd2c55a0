import type { Clock, TimerHandle } from '@hotpath/core';
import type { RedisClient, RedisClusterClient, RedisConnection } from '../redis-port.ts';
import { connectionOverrides } from './link.ts';

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

  /** A connection like the user's own, to be pointed anywhere in the cluster. */
  get template(): RedisClient | undefined {
    return this.#cluster.nodes('all')[0];
  }

  /** Asks now, and goes on asking until all is settled. */
  refresh(): void {
    if (this.#isAsking || this.#isClosed) return;
    this.#isAsking = true;
    this.#clock.clearTimeout(this.#timer);
    void this.#ask().finally(() => {
      this.#isAsking = false;
      if (this.#isClosed) return;
      this.#timer = this.#clock.setTimeout(() => {
        if (!this.#isSettled()) this.refresh();
      }, REFRESH_MS);
      this.#timer.unref();
    });
  }

  async #ask(): Promise<void> {
    const seeds = this.#cluster.nodes('all').map(({ options }) => options as Address);
    const asked = new Set<string>();
    for (const address of [...this.#known, ...seeds]) {
      const name = `${address.host}:${address.port}`;
      if (asked.has(name) || this.#isClosed) continue;
      asked.add(name);
      const ranges = await this.#askOne(address);
      if (ranges === undefined) continue;
      this.#learn(ranges, address);
      return;
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
    let timer: TimerHandle | undefined;
    try {
      return await Promise.race([
        askSlots(connection),
        new Promise<undefined>((resolve) => {
          timer = this.#clock.setTimeout(() => resolve(undefined), ASK_TIMEOUT_MS);
        }),
      ]);
    } catch {
      return undefined;
    } finally {
      this.#clock.clearTimeout(timer);
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

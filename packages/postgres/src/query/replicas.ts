import { type Clock, describe, type Milliseconds, type TimerHandle } from '@hotpath/core';
import { isConnectionLoss } from '../errors.ts';
import type { Executor } from './executor.ts';

/** A place in the primary's log: what was written before it is seen by reads that ask for it. */
export type WriteToken = string;

/** What is known of one replica. */
export interface ReplicaStats {
  /** How far it is behind; `undefined` while that is not known. */
  readonly lagMs: Milliseconds | undefined;
  readonly isUsable: boolean;
}

interface Replica {
  readonly executor: Executor;
  replayed: bigint;
  lagMs: Milliseconds | undefined;
}

/** How many of the primary's positions are remembered to measure lag by. */
const HISTORY = 256;
const CHECK_TIMEOUT_MS = 1_000;

/** Chooses where to read: a replica that is close enough behind, else the primary. */
export class Replicas {
  readonly #primary: Executor;
  readonly #replicas: Replica[];
  readonly #maxLagMs: Milliseconds;
  readonly #checkMs: Milliseconds;
  readonly #clock: Clock;
  readonly #history: { lsn: bigint; atMs: Milliseconds }[] = [];
  #next = 0;
  #timer: TimerHandle | undefined;
  #started = false;
  #closed = false;

  constructor(
    primary: Executor,
    replicas: readonly Executor[],
    maxLagMs: Milliseconds,
    checkMs: Milliseconds,
  ) {
    this.#primary = primary;
    this.#replicas = replicas.map((executor) => ({ executor, replayed: 0n, lagMs: undefined }));
    this.#maxLagMs = maxLagMs;
    this.#checkMs = checkMs;
    this.#clock = primary.clock;
  }

  get executors(): readonly Executor[] {
    return this.#replicas.map(({ executor }) => executor);
  }

  stats(): ReplicaStats[] {
    return this.#replicas.map((replica) => ({ lagMs: replica.lagMs, isUsable: this.#isUsable(replica, 0n) }));
  }

  /** Where to read now. Replicas take turns; until they have been measured it is the primary. */
  choose(after?: WriteToken): Executor {
    const needed = after === undefined ? 0n : positionOf(after);
    if (this.#replicas.length === 0) return this.#primary;
    if (!this.#started) {
      this.#started = true;
      void this.#check();
    }
    for (let tries = 0; tries < this.#replicas.length; tries++) {
      const replica = this.#replicas[this.#next++ % this.#replicas.length]!;
      if (this.#isUsable(replica, needed)) return replica.executor;
    }
    return this.#primary;
  }

  /** A read failed on a replica: it is left out until it answers a measurement. */
  onFailure(executor: Executor): void {
    const replica = this.#replicas.find((other) => other.executor === executor);
    if (replica !== undefined) replica.lagMs = undefined;
  }

  /** Runs a read on the chosen server, and once more on the primary when a replica fails it. */
  async read<T>(after: WriteToken | undefined, work: (executor: Executor) => Promise<T>): Promise<T> {
    const executor = this.choose(after);
    if (executor === this.#primary) return work(executor);
    try {
      return await work(executor);
    } catch (error) {
      if (!isReplicaFailure(error)) throw error;
      this.onFailure(executor);
      return work(this.#primary);
    }
  }

  close(): void {
    this.#closed = true;
    this.#clock.clearTimeout(this.#timer);
  }

  #isUsable({ lagMs, replayed }: Replica, needed: bigint): boolean {
    return lagMs !== undefined && lagMs <= this.#maxLagMs && replayed >= needed;
  }

  async #check(): Promise<void> {
    const options = { timeoutMs: CHECK_TIMEOUT_MS };
    try {
      const atMs = this.#clock.now();
      const { rows } = await this.#primary.run('select pg_current_wal_lsn()::text as lsn', [], options);
      this.#history.push({ lsn: positionOf((rows[0] as { lsn: string }).lsn), atMs });
      if (this.#history.length > HISTORY) this.#history.shift();
    } catch {
      // Without the primary there is nothing newer: lag goes on being measured by what is remembered.
    }
    await Promise.all(this.#replicas.map((replica) => this.#measure(replica)));
    if (this.#closed) return;
    this.#timer = this.#clock.setTimeout(() => void this.#check(), this.#checkMs);
    this.#timer.unref();
  }

  async #measure(replica: Replica): Promise<void> {
    try {
      const { rows } = await replica.executor.run(
        'select coalesce(pg_last_wal_replay_lsn(), pg_current_wal_lsn())::text as lsn',
        [],
        { timeoutMs: CHECK_TIMEOUT_MS },
      );
      replica.replayed = positionOf((rows[0] as { lsn: string }).lsn);
      const seen = this.#history.findLast(({ lsn }) => lsn <= replica.replayed);
      const newest = this.#history.at(-1);
      if (newest === undefined) replica.lagMs = undefined;
      else if (seen === newest) replica.lagMs = 0;
      else replica.lagMs = seen === undefined ? Number.POSITIVE_INFINITY : newest.atMs - seen.atMs;
    } catch {
      replica.lagMs = undefined;
    }
  }
}

function isReplicaFailure(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  // A query that stood in the way of replay was cancelled (40001); the rest means that the server is away.
  return (
    code === 'HOTPATH_PG_CONNECTION_LOST' ||
    code === 'HOTPATH_PG_DOWN' ||
    code === '40001' ||
    isConnectionLoss(error)
  );
}

const POSITION = /^([0-9a-f]{1,8})\/([0-9a-f]{1,8})$/i;

/** @throws TypeError when it is no write token. */
function positionOf(token: WriteToken): bigint {
  const [, high, low] = POSITION.exec(token) ?? [];
  if (low === undefined)
    throw new TypeError(`readonly.query: option 'after' must be a write token, got ${describe(token)}`);
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

import type { OriginPool } from './origin-pool.ts';

export interface FairShareOptions {
  readonly maxConnections: number;
  readonly maxConnectionsPerOrigin: number;
  /** No other origin is expected. While there is one only, it may have all connections. */
  readonly hasOneOrigin: boolean;
}

/** How the places of a pool are shared among origins; `origins` and `waiting` are the pool's own. */
export class FairShare {
  readonly #options: FairShareOptions;
  readonly #origins: ReadonlySet<OriginPool>;
  readonly #waiting: ReadonlySet<OriginPool>;

  constructor(options: FairShareOptions, origins: ReadonlySet<OriginPool>, waiting: ReadonlySet<OriginPool>) {
    this.#options = options;
    this.#origins = origins;
    this.#waiting = waiting;
  }

  /** The origin that has the fewest connections among those that need one more and may have it. */
  neediest(open: number): OriginPool | undefined {
    const { maxConnections, maxConnectionsPerOrigin } = this.#options;
    // A quarter is kept for origins below their share, so that slow ones can't take everything.
    const reserved = this.#sharesWithOthers ? Math.floor(maxConnections / 4) : 0;
    let best: OriginPool | undefined;
    for (const origin of this.#waiting) {
      if (!origin.lacksConnection || origin.open >= maxConnectionsPerOrigin) continue;
      if (open >= maxConnections - reserved && origin.open >= this.#fairShare()) continue;
      if (best === undefined || origin.open < best.open) best = origin;
    }
    return best;
  }

  /** Whether, all places being taken, an origin has to give a connection up for one that has less than its share. */
  mustYield(origin: OriginPool): boolean {
    const share = this.#fairShare();
    if (origin.open <= share) return false;
    const most = Math.min(share, this.#options.maxConnectionsPerOrigin);
    for (const other of this.#waiting) {
      if (other !== origin && other.open < most && other.lacksConnection) return true;
    }
    return false;
  }

  get #sharesWithOthers(): boolean {
    return this.#origins.size > 1 || !this.#options.hasOneOrigin;
  }

  #fairShare(): number {
    let active = 0;
    for (const origin of this.#origins) if (origin.open > 0 || origin.waiters.size > 0) active++;
    // One more than there are, so that the next origin to come finds room.
    if (this.#sharesWithOthers) active++;
    return Math.max(1, Math.floor(this.#options.maxConnections / active));
  }
}

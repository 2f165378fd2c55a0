import type { Milliseconds } from '@hotpath/core';
import type { OriginPool } from './origin-pool.ts';

/** What a client knows of one origin besides its connections: its health, its limits and its figures. */
export class Origin {
  readonly pool: OriginPool;
  readonly key: string;
  retries = 0;
  replays = 0;
  lastUsedMs: Milliseconds = 0;

  constructor(pool: OriginPool) {
    this.pool = pool;
    this.key = pool.key;
  }
}

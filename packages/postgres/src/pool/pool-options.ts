import {
  type Clock,
  type Milliseconds,
  optionReader,
  type RandomSource,
  type ResolvedOptions,
  systemClock,
  systemRandom,
} from '@hotpath/core';

/** How a pool keeps its connections. Absent means default; `0` is a value. */
export interface PoolOptions {
  /** How many connections there may be. Default 20. */
  readonly max?: number | undefined;
  /** How many are opened at once and kept. Default 0. */
  readonly minConnections?: number | undefined;
  /** How long a caller may wait for a connection. Default 30,000; 0 means without end. */
  readonly acquireTimeoutMs?: Milliseconds | undefined;
  /** How long a connection may take to become usable. Default 5,000; 0 means without end. */
  readonly connectTimeoutMs?: Milliseconds | undefined;
  /** When a connection is replaced, up to 10 % earlier by chance. Default 3,600,000; 0 means never. */
  readonly maxLifetimeMs?: Milliseconds | undefined;
  /** When an unused connection above `minConnections` is closed. Default 30,000; 0 means never. */
  readonly idleTimeoutMs?: Milliseconds | undefined;
  /** How many callers may wait. Default 10,000. */
  readonly maxWaiting?: number | undefined;
  /** How often a connection may be used. Default: without bound. */
  readonly maxUses?: number | undefined;
  /** A connection that was idle for longer is checked before it is handed out. Default 1,000. */
  readonly validateAfterMs?: Milliseconds | undefined;
  /** How long that check may take. Default 1,000. */
  readonly validationTimeoutMs?: Milliseconds | undefined;
  /** A connection that is out for longer is reported. Default 0: no report. */
  readonly leakThresholdMs?: Milliseconds | undefined;
  /** The share of acquires whose call site is noted, until a leak has been seen: from then on all are. Default 0.01. */
  readonly leakSampleRatio?: number | undefined;
  /** The longest pause between two tries to connect while the server is away. Default 500. */
  readonly maxReconnectDelayMs?: Milliseconds | undefined;
  /** How many statements a connection keeps prepared. Default 256. */
  readonly statementCacheSize?: number | undefined;
  /** Whether idle connections let the process end. Default false. */
  readonly allowExitOnIdle?: boolean | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: RandomSource | undefined;
}

export type ResolvedPoolOptions = ResolvedOptions<PoolOptions>;

const LARGEST = Number.MAX_SAFE_INTEGER;

/** @throws TypeError or RangeError when an option is wrong. */
export function resolvePoolOptions(
  owner: string,
  options: PoolOptions | undefined,
  strict: boolean,
): ResolvedPoolOptions {
  const read = optionReader(owner, options);
  const duration = { min: 0 };
  const resolved: ResolvedPoolOptions = {
    max: read.integer('max', 20, { min: 1 }),
    minConnections: read.integer('minConnections', 0, { min: 0 }),
    acquireTimeoutMs: read.number('acquireTimeoutMs', 30_000, duration),
    connectTimeoutMs: read.number('connectTimeoutMs', 5_000, duration),
    maxLifetimeMs: read.number('maxLifetimeMs', 3_600_000, duration),
    idleTimeoutMs: read.number('idleTimeoutMs', 30_000, duration),
    maxWaiting: read.integer('maxWaiting', 10_000, { min: 0 }),
    maxUses: read.number('maxUses', LARGEST, { min: 1 }),
    validateAfterMs: read.number('validateAfterMs', 1_000, duration),
    validationTimeoutMs: read.number('validationTimeoutMs', 1_000, { min: 1 }),
    leakThresholdMs: read.number('leakThresholdMs', 0, duration),
    leakSampleRatio: read.number('leakSampleRatio', 0.01, { min: 0, max: 1 }),
    maxReconnectDelayMs: read.number('maxReconnectDelayMs', 500, { min: 1 }),
    statementCacheSize: read.integer('statementCacheSize', 256, { min: 1 }),
    allowExitOnIdle: read.boolean('allowExitOnIdle', false),
    clock: read.object('clock', systemClock, ['now', 'setTimeout', 'clearTimeout']),
    random: read.function('random', systemRandom),
  };
  if (resolved.minConnections > resolved.max) {
    throw new RangeError(
      `${owner}: option 'minConnections' must be at most 'max' (${resolved.max}), got ${resolved.minConnections}`,
    );
  }
  if (strict) read.end();
  return Object.freeze(resolved);
}

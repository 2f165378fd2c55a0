export type { Cache, Factory } from './cache.ts';
export { type CachedDecorator, cached, cachedMethod } from './cached.ts';
export { createCache } from './create-cache.ts';
export type {
  CacheState,
  CorruptEntryEvent,
  LoadEvent,
  ReplayEvent,
  StateChangeEvent,
  UnencodableValueEvent,
} from './events.ts';
export { CACHE_DEFAULTS, type CacheOptions } from './options.ts';
export {
  constitutionalDataCache,
  databaseQueryCache,
  hotEndpointCache,
  type PresetOptions,
} from './presets.ts';
export type { RedisClient, RedisClusterClient, RedisConnection } from './redis-port.ts';
export type { CacheStats } from './stats.ts';
export type {
  CachedFunction,
  CallOptions,
  ChangeResult,
  EntryOptions,
  GetOrSetOptions,
  L1Options,
  LoadContext,
  ReadyOptions,
  SetOptions,
  WarmOptions,
  WarmResult,
  WrapOptions,
} from './types.ts';
export type { ValueCodec } from './value-codec.ts';

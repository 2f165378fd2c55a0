export { ServerError, type ServerErrorCode } from './errors.ts';
export {
  type Fault,
  type FaultDirection,
  type FaultProxy,
  type StartFaultProxyOptions,
  startFaultProxy,
} from './fault-proxy.ts';
export { type PostgresServer, type StartPostgresOptions, startPostgres } from './postgres.ts';
export { type RedisServer, type StartRedisOptions, startRedis } from './redis.ts';
export {
  type RedisCluster,
  type RedisSentinelGroup,
  startRedisCluster,
  startRedisSentinel,
} from './redis-groups.ts';
export { type NodeExit, type NodeProcess, type SpawnNodeOptions, spawnNode } from './spawn-node.ts';

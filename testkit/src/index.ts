export { ServerError, type ServerErrorCode } from './errors.ts';
export { type PostgresServer, type StartPostgresOptions, startPostgres } from './postgres.ts';
export { type RedisServer, type StartRedisOptions, startRedis } from './redis.ts';
export {
  type RedisCluster,
  type RedisSentinelGroup,
  startRedisCluster,
  startRedisSentinel,
} from './redis-groups.ts';

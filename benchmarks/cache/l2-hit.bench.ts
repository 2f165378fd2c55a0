import { defineSuite, redisServer } from '../harness/index.ts';
import { redisContenders } from './contenders.ts';

export default defineSuite({
  name: 'l2-hit',
  title: 'A hit in Redis, 170 B of JSON, nothing in memory, 64 callers',
  kind: 'throughput',
  servers: { redis: redisServer() },
  contenders: redisContenders(0),
  goals: [{ figure: 'opsPerSecond', atLeast: { times: 2.2, of: 'ioredis, auto-pipelined' } }],
});

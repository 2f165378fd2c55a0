import { defineSuite, redisServer } from '../harness/index.ts';
import { ioredisContender, redisContenders } from './contenders.ts';

/** What it is told with only shows while Redis is lost. */
const { 'cacheable, non-blocking': _, ...contenders } = redisContenders(0);

export default defineSuite({
  name: 'l2-hit',
  title: 'A hit in Redis, 170 B of JSON, nothing in memory, 64 callers',
  kind: 'throughput',
  // The goal is for a steady state; until then it is the engine's compiler that is measured.
  warmupMs: 800,
  durationMs: 800,
  servers: { redis: redisServer() },
  // Which of the two is faster depends on what a system call costs: docs/decisions/benchmarks-figures.md.
  contenders: { ioredis: ioredisContender(false), ...contenders },
  goals: [{ figure: 'opsPerSecond', atLeast: { times: 2.2, of: 'ioredis, auto-pipelined' } }],
});

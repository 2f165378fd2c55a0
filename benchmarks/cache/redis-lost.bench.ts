import { defineSuite, redisServer } from '../harness/index.ts';
import { redisContenders } from './contenders.ts';

export default [
  defineSuite({
    name: 'redis-killed',
    title: 'Redis killed for 4 s under 3,200 calls/s, 1,000 keys, 100 of them in memory',
    kind: 'fault',
    server: 'redis',
    script: 'kill',
    callsPerSecond: 3_200,
    servers: { redis: redisServer() },
    contenders: redisContenders(100),
    goals: [
      { figure: 'errors', atMost: 0 },
      { figure: 'longestStallMs', atMost: 250 },
      { figure: 'recoverMs', atMost: 1_000 },
      { figure: 'p99OutageRatio', atMost: 2 },
    ],
  }),
  defineSuite({
    name: 'redis-frozen',
    title: 'Redis frozen for 3 s under 3,200 calls/s, 1,000 keys, 100 of them in memory',
    kind: 'fault',
    server: 'redis',
    script: 'freeze',
    outageMs: 3_000,
    callsPerSecond: 3_200,
    servers: { redis: redisServer() },
    contenders: redisContenders(100),
    goals: [
      { figure: 'errors', atMost: 0 },
      { figure: 'longestStallMs', atMost: 60 },
    ],
  }),
];

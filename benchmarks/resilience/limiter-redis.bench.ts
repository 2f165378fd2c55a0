import { strict as assert } from 'node:assert';
import { defineSuite, redisServer } from '../harness/index.ts';

const LIMIT = 1e8;
/** The excess of one node is 1 % of the limit: what `maxLease` is by default. */
const BURST = 1e7;

export default defineSuite({
  name: 'limiter-redis',
  title: 'One unit of a rate limiter on Redis, one key, one process, 64 callers',
  kind: 'throughput',
  parameters: { limitPerSecond: LIMIT, burst: BURST },
  servers: { redis: redisServer() },
  contenders: {
    'a script a call': {
      role: 'limit',
      library: 'ioredis',
      note: 'EVALSHA of an INCRBY',
      async setup({ servers }) {
        const { Redis } = await import('ioredis');
        const redis = new Redis(servers.redis.url);
        const sha = (await redis.script('LOAD', "return redis.call('INCRBY', KEYS[1], ARGV[1])")) as string;
        return {
          run: () => redis.evalsha(sha, 1, 'raw', 1),
          check: (count: unknown) => assert.ok(Number(count) > 0),
          close: () => redis.disconnect(),
        };
      },
    },
    'rate-limiter-flexible': {
      role: 'peer',
      library: 'rate-limiter-flexible',
      note: 'defaults',
      async setup({ servers }) {
        const { Redis } = await import('ioredis');
        const { RateLimiterRedis } = await import('rate-limiter-flexible');
        const redis = new Redis(servers.redis.url);
        const limiter = new RateLimiterRedis({ storeClient: redis, points: LIMIT, duration: 1 });
        return {
          run: () => limiter.consume('key'),
          check: (result: { remainingPoints: number }) => assert.ok(result.remainingPoints > 0),
          close: () => redis.disconnect(),
        };
      },
    },
    bottleneck: {
      role: 'peer',
      library: 'bottleneck',
      note: 'its Redis mode, over the ioredis it knows',
      async setup({ servers }) {
        const { default: Bottleneck } = await import('bottleneck');
        const { default: Redis } = await import('ioredis5');
        const limiter = new Bottleneck({
          id: 'bench',
          datastore: 'ioredis',
          Redis,
          clientOptions: { host: servers.redis.host, port: servers.redis.port },
          clearDatastore: true,
        } as ConstructorParameters<typeof Bottleneck>[0]);
        await limiter.ready();
        const job = async (): Promise<boolean> => true;
        return {
          run: () => limiter.schedule(job),
          check: (done: boolean) => assert.equal(done, true),
          close: () => limiter.disconnect(false),
        };
      },
    },
    'hotpath, strict': {
      role: 'ours',
      library: '@hotpath/resilience',
      note: 'excess 0',
      async setup({ servers }) {
        const { Redis } = await import('ioredis');
        const { redisRateLimiter } = await import('@hotpath/resilience/redis');
        const redis = new Redis(servers.redis.url);
        const limiter = redisRateLimiter({
          redis,
          limit: LIMIT,
          burst: BURST,
          strict: true,
          timeoutMs: 5_000,
        });
        return {
          run: () => limiter.tryAcquire(1, 'key'),
          check: ({ allowed, decidedBy }: { allowed: boolean; decidedBy: string }) =>
            assert.deepEqual([allowed, decidedBy], [true, 'redis']),
          async close() {
            await limiter.close();
            redis.disconnect();
          },
        };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/resilience',
      note: 'excess at most 1 % of the limit',
      async setup({ servers }) {
        const { Redis } = await import('ioredis');
        const { redisRateLimiter } = await import('@hotpath/resilience/redis');
        const redis = new Redis(servers.redis.url);
        const limiter = redisRateLimiter({ redis, limit: LIMIT, burst: BURST, timeoutMs: 5_000 });
        return {
          run: () => limiter.tryAcquire(1, 'key'),
          check: ({ allowed, decidedBy }: { allowed: boolean; decidedBy: string }) => {
            assert.equal(allowed, true);
            assert.ok(decidedBy === 'lease' || decidedBy === 'redis');
          },
          figures: () => {
            const { localTotal, allowedTotal, scriptsTotal } = limiter.stats();
            return { localRatio: localTotal / allowedTotal, scripts: scriptsTotal };
          },
          async close() {
            await limiter.close();
            redis.disconnect();
          },
        };
      },
    },
  },
  goals: [
    { contender: 'hotpath', figure: 'opsPerSecond', atLeast: 700_000 },
    { contender: 'hotpath, strict', figure: 'opsPerSecond', atLeast: 100_000 },
  ],
});

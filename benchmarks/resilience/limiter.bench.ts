import { strict as assert } from 'node:assert';
import { defineSuite } from '../harness/index.ts';

const PLENTY = 1e9;
const keys = Array.from({ length: 1_000 }, (_, index) => `client-${index}`);

const local = defineSuite({
  name: 'limiter-local',
  title: 'One unit of a local rate limiter',
  kind: 'micro',
  parameters: { keys: keys.length },
  contenders: {
    'hand-written bucket': {
      role: 'limit',
      note: 'one key',
      setup() {
        let tokens = PLENTY;
        let lastMs = performance.now();
        return {
          run() {
            const nowMs = performance.now();
            tokens = Math.min(PLENTY, tokens + (nowMs - lastMs) * 1e6);
            lastMs = nowMs;
            if (tokens < 1) return false;
            tokens--;
            return true;
          },
          check: (allowed: boolean) => assert.equal(allowed, true),
        };
      },
    },
    limiter: {
      role: 'peer',
      library: 'limiter',
      note: 'tryRemoveTokens, one key',
      async setup() {
        const { RateLimiter } = await import('limiter');
        const limiter = new RateLimiter({ tokensPerInterval: PLENTY, interval: 1_000 });
        return {
          run: () => limiter.tryRemoveTokens(1),
          check: (allowed: boolean) => assert.equal(allowed, true),
        };
      },
    },
    'rate-limiter-flexible': {
      role: 'peer',
      library: 'rate-limiter-flexible',
      note: 'memory, 1,000 keys',
      async setup() {
        const { RateLimiterMemory } = await import('rate-limiter-flexible');
        const limiter = new RateLimiterMemory({ points: PLENTY, duration: 1 });
        return {
          run: (index: number) => limiter.consume(keys[index % keys.length] as string),
          check: (result: { remainingPoints: number }) => assert.ok(result.remainingPoints > 0),
        };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/resilience',
      note: 'tryAcquire, 1,000 keys',
      async setup() {
        const { rateLimiter } = await import('@hotpath/resilience');
        const limiter = rateLimiter({ limit: PLENTY, burst: PLENTY });
        return {
          run: (index: number) => limiter.tryAcquire(1, keys[index % keys.length]),
          check: (admission: { allowed: boolean; remaining: number }) =>
            assert.ok(admission.allowed && admission.remaining > 0),
        };
      },
    },
    'hotpath, one key': {
      role: 'ours',
      library: '@hotpath/resilience',
      note: 'tryAcquire, no key',
      async setup() {
        const { rateLimiter } = await import('@hotpath/resilience');
        const limiter = rateLimiter({ limit: PLENTY, burst: PLENTY });
        return {
          run: () => limiter.tryAcquire(),
          check: (admission: { allowed: boolean }) => assert.ok(admission.allowed),
        };
      },
    },
  },
  goals: [
    { contender: 'hotpath', figure: 'timeNs', atMost: 45 },
    { contender: 'hotpath, one key', figure: 'timeNs', atMost: 45 },
  ],
});

const waitingRoom = defineSuite({
  name: 'limiter-acquire',
  title: 'One unit through the waiting room, no wait needed, 64 callers',
  kind: 'throughput',
  contenders: {
    bottleneck: {
      role: 'peer',
      library: 'bottleneck',
      async setup() {
        const { default: Bottleneck } = await import('bottleneck');
        const limiter = new Bottleneck({ maxConcurrent: null });
        const job = async (): Promise<boolean> => true;
        return { run: () => limiter.schedule(job), check: (done: boolean) => assert.equal(done, true) };
      },
    },
    'p-throttle': {
      role: 'peer',
      library: 'p-throttle',
      async setup() {
        const { default: pThrottle } = await import('p-throttle');
        const job = pThrottle({ limit: PLENTY, interval: 1_000 })(async () => true);
        return { run: () => job(), check: (done: boolean) => assert.equal(done, true) };
      },
    },
    'hotpath on bottleneck': {
      role: 'ours',
      library: '@hotpath/resilience',
      note: 'bottleneckSchedule',
      async setup() {
        const { rateLimiter } = await import('@hotpath/resilience');
        const { bottleneckSchedule } = await import('@hotpath/resilience/bottleneck');
        const schedule = bottleneckSchedule(rateLimiter({ limit: PLENTY, burst: PLENTY }));
        const job = async (): Promise<boolean> => true;
        return {
          run: () => schedule.schedule(job),
          check: (done: boolean) => assert.equal(done, true),
          close: () => schedule.close(),
        };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/resilience',
      note: 'acquire',
      async setup() {
        const { rateLimiter } = await import('@hotpath/resilience');
        const limiter = rateLimiter({ limit: PLENTY, burst: PLENTY });
        const request = { key: 'client-7', priority: 1, deadlineMs: 500 };
        return {
          run: () => limiter.acquire(request),
          check: (admission: { allowed: boolean }) => assert.equal(admission.allowed, true),
        };
      },
    },
  },
  goals: [{ contender: 'hotpath', figure: 'opsPerSecond', atLeast: 1_000_000 }],
});

export default [local, waitingRoom];

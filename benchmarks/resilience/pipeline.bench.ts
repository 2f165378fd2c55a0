import { strict as assert } from 'node:assert';
import { defineSuite } from '../harness/index.ts';

const work = async (): Promise<number> => 1;
const check = (value: number): void => assert.equal(value, 1);

export default defineSuite({
  name: 'pipeline-success',
  title: 'A call through retry, circuit breaker and timeout',
  kind: 'micro',
  contenders: {
    'the work alone': { role: 'baseline', setup: () => ({ run: () => work(), check }) },
    cockatiel: {
      role: 'peer',
      library: 'cockatiel',
      async setup() {
        const {
          circuitBreaker,
          ConsecutiveBreaker,
          ExponentialBackoff,
          handleAll,
          retry,
          timeout,
          TimeoutStrategy,
          wrap,
        } = await import('cockatiel');
        const policy = wrap(
          retry(handleAll, { maxAttempts: 3, backoff: new ExponentialBackoff() }),
          circuitBreaker(handleAll, { halfOpenAfter: 30_000, breaker: new ConsecutiveBreaker(5) }),
          timeout(250, TimeoutStrategy.Aggressive),
        );
        return { run: () => policy.execute(work), check };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/resilience',
      async setup() {
        const { circuitBreaker, exponentialBackoff, pipeline, retry, timeout } = await import(
          '@hotpath/resilience'
        );
        const policy = pipeline(
          retry({ attempts: 3, backoff: exponentialBackoff({ baseMs: 50, maxMs: 2_000 }) }),
          circuitBreaker({ failureRatio: 0.5, minimumCalls: 20, windowMs: 10_000 }),
          timeout(250),
        );
        return { run: () => policy.execute(work), check };
      },
    },
    'hotpath, seven policies': {
      role: 'ours',
      library: '@hotpath/resilience',
      note: 'rate limiter, total timeout, fallback, retry with budget, breaker, bulkhead, timeout of a try',
      async setup() {
        const { bulkhead, circuitBreaker, fallback, pipeline, rateLimiter, retry, retryBudget, timeout } =
          await import('@hotpath/resilience');
        const policy = pipeline(
          rateLimiter({ limit: 1e9, burst: 1e8 }),
          timeout(1_000),
          fallback(() => 0),
          retry({ attempts: 3, budget: retryBudget() }),
          circuitBreaker(),
          bulkhead({ limit: 100 }),
          timeout(250),
        );
        return { run: () => policy.execute(work), check };
      },
    },
  },
  goals: [{ contender: 'hotpath', figure: 'timeNs', atMost: 350 }],
});

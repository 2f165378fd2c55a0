import type {
  AbortedError,
  RejectedError,
  TimeoutError,
  UnavailableError,
  UpstreamError,
} from '@hotpath/core';
import type { Cluster, Redis } from 'ioredis';
import { describe, expectTypeOf, it } from 'vitest';
import {
  adaptiveLimit,
  bulkhead,
  chaos,
  circuitBreaker,
  type FallbackPolicy,
  fallback,
  hedge,
  loadShed,
  type Outcome,
  type PolicyError,
  pipeline,
  rateLimiter,
  retry,
  timeout,
} from '../../src/index.ts';
import type { RedisRateLimiter, RedisScriptPort } from '../../src/redis.ts';

describe('types', () => {
  it('a pipeline’s errors are the union of its policies’', () => {
    const policy = pipeline(retry(), circuitBreaker(), bulkhead({ limit: 1 }), timeout(5));
    expectTypeOf<PolicyError<typeof policy>>().toEqualTypeOf<
      | AbortedError<'HOTPATH_CLOSED'>
      | UnavailableError<'HOTPATH_CIRCUIT_OPEN' | 'HOTPATH_CIRCUIT_ISOLATED'>
      | RejectedError<'HOTPATH_BULKHEAD_FULL' | 'HOTPATH_BULKHEAD_WAIT'>
      | TimeoutError<'HOTPATH_TIMEOUT'>
    >();
  });

  it('each policy names how it may end a call, and a pipeline of all has them all', () => {
    type Closed = AbortedError<'HOTPATH_CLOSED'>;
    expectTypeOf<PolicyError<ReturnType<typeof loadShed>>>().toEqualTypeOf<
      RejectedError<'HOTPATH_LOAD_SHED'> | Closed
    >();
    type Limited = RejectedError<'HOTPATH_RATE_LIMITED' | 'HOTPATH_RATE_QUEUE_FULL'> | Closed;
    expectTypeOf<PolicyError<ReturnType<typeof rateLimiter>>>().toEqualTypeOf<Limited>();
    expectTypeOf<PolicyError<RedisRateLimiter>>().toEqualTypeOf<Limited>();
    expectTypeOf<PolicyError<ReturnType<typeof adaptiveLimit>>>().toEqualTypeOf<
      RejectedError<'HOTPATH_CONCURRENCY_LIMITED'> | Closed
    >();
    expectTypeOf<PolicyError<ReturnType<typeof chaos>>>().toEqualTypeOf<
      UpstreamError<'HOTPATH_CHAOS'> | Closed
    >();
    expectTypeOf<PolicyError<ReturnType<typeof retry>>>().toEqualTypeOf<Closed>();
    expectTypeOf<PolicyError<ReturnType<typeof hedge>>>().toEqualTypeOf<Closed>();
    expectTypeOf<PolicyError<FallbackPolicy<string>>>().toEqualTypeOf<Closed>();
    const all = () => pipeline(loadShed(), rateLimiter({ limit: 1 }), hedge(), adaptiveLimit(), chaos());
    expectTypeOf<PolicyError<ReturnType<typeof all>>>().toEqualTypeOf<
      | RejectedError<'HOTPATH_LOAD_SHED'>
      | Limited
      | RejectedError<'HOTPATH_CONCURRENCY_LIMITED'>
      | UpstreamError<'HOTPATH_CHAOS'>
    >();
  });

  it('what is refused has the code of one of the policies, and what failed may be anything', async () => {
    const outcome = await pipeline(circuitBreaker(), timeout(5)).executeOutcome(() => 1);
    if (outcome.status === 'rejected') {
      expectTypeOf(outcome.error.code).toEqualTypeOf<
        'HOTPATH_CIRCUIT_OPEN' | 'HOTPATH_CIRCUIT_ISOLATED' | 'HOTPATH_TIMEOUT' | 'HOTPATH_CLOSED'
      >();
    } else if (outcome.status === 'failed') {
      expectTypeOf(outcome.error).toEqualTypeOf<unknown>();
    } else {
      expectTypeOf(outcome.value).toEqualTypeOf<number>();
    }
  });

  it('an outcome has the value, or a policy’s error, or anything', () => {
    type Result = Awaited<ReturnType<typeof run>>;
    const run = () => timeout(5).executeOutcome(async () => 'text');
    expectTypeOf<Result>().toEqualTypeOf<
      Outcome<string, TimeoutError<'HOTPATH_TIMEOUT'> | AbortedError<'HOTPATH_CLOSED'>>
    >();
  });

  it('the value keeps its type, and a fallback adds its own', () => {
    const plain = () => pipeline(retry(), timeout(5)).execute(() => 5);
    expectTypeOf(plain).returns.toEqualTypeOf<Promise<number>>();
    const withFallback = () =>
      pipeline(
        fallback(() => null),
        timeout(5),
      ).execute(async () => 'text');
    expectTypeOf(withFallback).returns.toEqualTypeOf<Promise<string | null>>();
  });

  it('the signal is always there', () => {
    void (() => circuitBreaker().execute(({ signal }) => expectTypeOf(signal).toEqualTypeOf<AbortSignal>()));
    expectTypeOf(rateLimiter).parameter(0).toHaveProperty('limit');
  });

  it('ioredis clients fit the port as they are', () => {
    expectTypeOf<Redis>().toExtend<RedisScriptPort>();
    expectTypeOf<Cluster>().toExtend<RedisScriptPort>();
  });
});

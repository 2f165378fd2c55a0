import type { AbortedError, RejectedError, TimeoutError, UnavailableError } from '@hotpath/core';
import type { Cluster, Redis } from 'ioredis';
import { describe, expectTypeOf, it } from 'vitest';
import {
  bulkhead,
  circuitBreaker,
  fallback,
  type Outcome,
  type PolicyError,
  pipeline,
  rateLimiter,
  retry,
  timeout,
} from '../../src/index.ts';
import type { RedisScriptPort } from '../../src/redis.ts';

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

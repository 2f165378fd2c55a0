import type { HotpathError } from '@hotpath/core';
import { createVirtualClock } from '@hotpath/core/testing';
import { describe, expect, it } from 'vitest';
import {
  bulkhead,
  circuitBreaker,
  fallback,
  type Policy,
  pipeline,
  rateLimiter,
  retry,
  timeout,
} from '../../src/index.ts';

const failure = new Error('failed');

describe('timeout', () => {
  it('ends a call at once, whether or not its work listens, and tells the work', async () => {
    const clock = createVirtualClock();
    const policy = timeout(250, { clock, tickMs: 1 });
    let seen: unknown;
    const call = policy.execute(({ signal }) => {
      signal.addEventListener('abort', () => {
        seen = signal.reason;
      });
      return new Promise(() => {});
    });
    const rejected = expect(call).rejects.toMatchObject({ code: 'HOTPATH_TIMEOUT', family: 'timeout' });
    await clock.advance(249);
    expect(seen).toBeUndefined();
    await clock.advance(1);
    await rejected;
    expect(seen).toMatchObject({ code: 'HOTPATH_TIMEOUT' });
    expect(policy.stats()).toMatchObject({ timedOutTotal: 1, pending: 0 });
  });

  it('gives a signal that was read late the truth', async () => {
    const clock = createVirtualClock();
    const policy = timeout(10, { clock, tickMs: 1 });
    let aborted: boolean | undefined;
    const call = policy.execute(async (context) => {
      await new Promise<void>((resolve) => clock.setTimeout(resolve, 50));
      aborted = context.signal.aborted;
    });
    const rejected = expect(call).rejects.toMatchObject({ code: 'HOTPATH_TIMEOUT' });
    await clock.advance(100);
    await rejected;
    expect(aborted).toBe(true);
  });

  it('follows the caller, and rejects with the caller’s own reason', async () => {
    const policy = timeout(1_000, { clock: createVirtualClock() });
    const controller = new AbortController();
    const reason = { why: 'left' };
    let inner: AbortSignal | undefined;
    const call = policy.execute(
      ({ signal }) => {
        inner = signal;
        return new Promise(() => {});
      },
      { signal: controller.signal },
    );
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    expect(inner?.reason).toBe(reason);
    expect(policy.stats().pending).toBe(0);
  });

  it('does not run the work for a caller who has left already', async () => {
    let ran = false;
    const call = timeout(1_000).execute(
      () => {
        ran = true;
      },
      { signal: AbortSignal.abort('gone') },
    );
    await expect(call).rejects.toBe('gone');
    expect(ran).toBe(false);
  });

  it('passes an abort from an outer timeout to the innermost work', async () => {
    const clock = createVirtualClock();
    const total = timeout(100, { clock, tickMs: 1, name: 'total' });
    const each = timeout(500, { clock, tickMs: 1, name: 'each' });
    let seen: unknown;
    const call = pipeline(total, retry({ clock }), each).execute(({ signal }) => {
      signal.addEventListener('abort', () => {
        seen = signal.reason;
      });
      return new Promise(() => {});
    });
    const rejected = expect(call).rejects.toThrow("'total'");
    await clock.advance(100);
    await rejected;
    expect(seen).toMatchObject({ message: expect.stringContaining("'total'") });
    expect(each.stats().pending).toBe(0);
  });

  it.each([-1, Number.NaN, '5' as unknown as number])('refuses %s by name', (timeoutMs) => {
    expect(() => timeout(timeoutMs)).toThrow("'timeoutMs'");
  });
});

describe('pipeline', () => {
  it('puts the first policy outermost', async () => {
    const inner = pipeline(
      retry({ attempts: 3, backoff: () => 0 }),
      fallback(() => 'stood in'),
    );
    let tries = 0;
    const work = (): Promise<string> => {
      tries++;
      return Promise.reject(failure);
    };
    expect(await inner.execute(work)).toBe('stood in');
    expect(tries).toBe(1);
    const outer = pipeline(
      fallback(() => 'stood in'),
      retry({ attempts: 3, backoff: () => 0 }),
    );
    expect(await outer.execute(work)).toBe('stood in');
    expect(tries).toBe(4);
  });

  it('is a policy itself, and transparent when empty', async () => {
    expect(await pipeline().execute(() => 5)).toBe(5);
    const nested = pipeline(pipeline(circuitBreaker({ name: 'inner' })), timeout(50));
    expect(await nested.execute(async () => 5)).toBe(5);
    expect(JSON.stringify(nested.stats())).toContain('inner');
  });

  it('takes nothing that is not a policy', () => {
    expect(() => pipeline({} as unknown as Policy)).toThrow('argument 1');
    expect(() => pipeline(retry(), null as unknown as Policy)).toThrow('argument 2');
  });

  it('owns its policies: close() refuses calls and ends waits', async () => {
    const clock = createVirtualClock();
    const policy = pipeline(rateLimiter({ limit: 1, maxWaitMs: 10_000, clock }), retry({ clock }));
    await policy.execute(() => 1);
    const waiting = expect(policy.execute(() => 2)).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
    await policy.close();
    await waiting;
    await expect(policy.execute(() => 3)).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
  });

  it('closes at the end of its scope', async () => {
    let kept: Policy<HotpathError> | undefined;
    {
      await using policy = pipeline(circuitBreaker());
      kept = policy;
    }
    await expect(kept?.execute(() => 1)).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
  });

  it('takes a thenable, a value and a synchronous throw for what they are', async () => {
    const policy = pipeline(retry({ attempts: 2, backoff: () => 0 }), circuitBreaker(), timeout(100));
    // biome-ignore lint/suspicious/noThenProperty: a foreign promise is what is tested
    const thenable = { then: (resolve: (value: number) => void) => resolve(4) };
    expect(await policy.execute(() => thenable as PromiseLike<number>)).toBe(4);
    expect(await policy.execute(() => undefined)).toBeUndefined();
    const throwing = policy.execute(() => {
      throw failure;
    });
    await expect(throwing).rejects.toBe(failure);
  });

  it('leaves no unhandled rejection behind', async () => {
    const seen: unknown[] = [];
    const listen = (reason: unknown): void => void seen.push(reason);
    process.on('unhandledRejection', listen);
    const policy = pipeline(
      timeout(5),
      retry({ attempts: 2, backoff: () => 0 }),
      circuitBreaker(),
      bulkhead({ limit: 1 }),
    );
    await Promise.allSettled(Array.from({ length: 10 }, () => policy.execute(() => Promise.reject(failure))));
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', listen);
    expect(seen).toEqual([]);
  });
});

describe('executeOutcome', () => {
  it('tells a policy’s ending from the work’s own, however much they look alike', async () => {
    const inner = circuitBreaker({ name: 'someone else’s' });
    inner.trip();
    const policy = pipeline(retry({ attempts: 1 }), circuitBreaker(), timeout(50));
    expect(await policy.executeOutcome(() => 5)).toEqual({ status: 'ok', value: 5 });
    expect(await policy.executeOutcome(() => inner.execute(() => 1))).toMatchObject({
      status: 'failed',
      error: { code: 'HOTPATH_CIRCUIT_OPEN' },
    });
    const own = circuitBreaker();
    own.trip();
    expect(await pipeline(own).executeOutcome(() => 1)).toMatchObject({ status: 'rejected' });
  });

  it('never rejects, not even for a caller who has left', async () => {
    const outcome = await circuitBreaker().executeOutcome(() => 1, { signal: AbortSignal.abort('gone') });
    expect(outcome).toEqual({ status: 'failed', error: 'gone' });
  });
});

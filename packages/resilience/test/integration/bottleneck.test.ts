import { createVirtualClock } from '@hotpath/core/testing';
import { describe, expect, it } from 'vitest';
import { bottleneckSchedule } from '../../src/bottleneck.ts';
import { rateLimiter } from '../../src/index.ts';

async function until(condition: () => boolean): Promise<void> {
  const endMs = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > endMs) throw new Error('it did not become true within 10 s');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const failing = () => Promise.reject(new Error('failed'));

describe('bottleneck as the waiting room', () => {
  it('runs at once what has room, without bottleneck', async () => {
    await using schedule = bottleneckSchedule(rateLimiter({ limit: 1_000, burst: 100 }));
    let passed = 0;
    schedule.queue.on('received', () => passed++);
    const values = await Promise.all(
      Array.from({ length: 100 }, (_, index) => schedule.schedule(() => index)),
    );
    expect(values).toHaveLength(100);
    expect(passed).toBe(0);
  });

  it('runs what waits in bottleneck’s order of priority, at the limiter’s pace', async () => {
    const clock = createVirtualClock();
    await using schedule = bottleneckSchedule(rateLimiter({ limit: 100, burst: 1, clock }), { clock });
    const order: number[] = [];
    const jobs = [5, 9, 1, 5, 0].map((priority) =>
      schedule.schedule(() => order.push(priority), { priority }),
    );
    // bottleneck takes its time to queue: turns of the real event loop, while the limiter's clock stands.
    await until(() => schedule.queue.queued() === 4);
    for (let started = 2; started <= 5; started++) {
      await clock.advance(9);
      expect(order).toHaveLength(started - 1);
      await clock.advance(1);
      await until(() => order.length === started);
    }
    await Promise.all(jobs);
    expect(order).toEqual([5, 0, 1, 5, 9]);
    expect(clock.now()).toBe(40);
  });

  it('never lets more run than the limiter allows, whatever has left before', async () => {
    const clock = createVirtualClock();
    const limiter = rateLimiter({ limit: 10, burst: 1, clock });
    await using schedule = bottleneckSchedule(limiter, { clock });
    await schedule.schedule(() => 1);
    const controller = new AbortController();
    const gone = Promise.allSettled(
      Array.from({ length: 50 }, () => schedule.schedule(() => 1, { signal: controller.signal })),
    );
    await until(() => schedule.queue.queued() === 50);
    controller.abort();
    await gone;
    // One unit leads bottleneck past all those that have left; none of theirs may be kept for later.
    await clock.advance(100);
    await until(() => schedule.waiting === 0);
    await clock.advance(10_000);
    let started = 0;
    const later = Array.from({ length: 6 }, () => schedule.schedule(() => started++));
    await until(() => schedule.queue.queued() === 5);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(started).toBe(1);
    await clock.advance(100);
    await until(() => started === 2);
    await clock.advance(400);
    await Promise.all(later);
    expect(limiter.stats().allowedTotal).toBeLessThanOrEqual(1 + 2 + 6);
  });

  it('ends those who wait when the limiter is closed, and does not spin', async () => {
    const limiter = rateLimiter({ limit: 0.001 });
    await using schedule = bottleneckSchedule(limiter);
    await schedule.schedule(() => 1);
    const waiting = expect(schedule.schedule(() => 2)).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
    await new Promise((resolve) => setImmediate(resolve));
    await limiter.close();
    await waiting;
    await expect(schedule.schedule(() => 3)).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
  });

  it('waits while others fill the limiter’s own waiting room', async () => {
    const clock = createVirtualClock();
    const limiter = rateLimiter({ limit: 10, maxWaiting: 1, clock });
    await using schedule = bottleneckSchedule(limiter, { clock });
    limiter.tryAcquire();
    const other = limiter.acquire();
    const job = schedule.schedule(() => 'ran');
    let ran: string | undefined;
    void job.then((value) => {
      ran = value;
    });
    await clock.advance(1_000);
    await other;
    await until(() => ran === 'ran');
  });

  it('closes at once although a job never ends, and again without harm', async () => {
    const clock = createVirtualClock();
    const schedule = bottleneckSchedule(rateLimiter({ limit: 10, clock }), { clock });
    await schedule.schedule(() => 1);
    void schedule.schedule(() => new Promise(() => {}));
    await clock.advance(100);
    await until(() => schedule.waiting === 0);
    await schedule.close();
    await schedule.close();
    await expect(schedule.schedule(() => 1)).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
  });

  it.each([
    [{ priority: 10 }, "'priority'"],
    [{ priority: 0.5 }, "'priority'"],
    [{ weight: 0.5 }, "'weight'"],
    [{ weight: '1' as never }, "'weight'"],
  ])('refuses %o by name', async (options, named) => {
    await using schedule = bottleneckSchedule(rateLimiter({ limit: 1 }));
    await expect(schedule.schedule(() => 1, options)).rejects.toThrow(named);
    await expect(schedule.schedule(undefined as never)).rejects.toThrow('must be a function');
    expect(() => bottleneckSchedule({} as never)).toThrow('rate limiter');
  });

  it('is bounded before bottleneck has even queued a job, which its high-water mark does not see', async () => {
    const schedule = bottleneckSchedule(rateLimiter({ limit: 0.001 }), { maxWaiting: 3 });
    await schedule.schedule(() => 1);
    const calls = Array.from({ length: 10 }, () => schedule.schedule(() => 1));
    const settled = Promise.allSettled(calls);
    await new Promise((resolve) => setImmediate(resolve));
    expect(schedule.waiting).toBe(3);
    await schedule.close();
    const codes = (await settled).map((result) => (result as PromiseRejectedResult).reason.code as string);
    expect(codes.filter((code) => code === 'HOTPATH_RATE_QUEUE_FULL')).toHaveLength(7);
    expect(codes.filter((code) => code === 'HOTPATH_CLOSED')).toHaveLength(3);
  });

  it('lets an aborted job leave at once, and gives its turn to the next one', async () => {
    await using schedule = bottleneckSchedule(rateLimiter({ limit: 50, burst: 1 }));
    await schedule.schedule(() => 1);
    const controller = new AbortController();
    const reason = new Error('left');
    let ran = false;
    const left = schedule.schedule(
      () => {
        ran = true;
      },
      { signal: controller.signal, priority: 0 },
    );
    const next = schedule.schedule(() => 'next');
    controller.abort(reason);
    await expect(left).rejects.toBe(reason);
    expect(await next).toBe('next');
    expect(ran).toBe(false);
  });

  it('keeps its pace when bottleneck’s settings are changed, which stops its own refill', async () => {
    await using schedule = bottleneckSchedule(rateLimiter({ limit: 100, burst: 1 }));
    schedule.queue.updateSettings({ maxConcurrent: 5 });
    const values = await Promise.all(Array.from({ length: 8 }, (_, index) => schedule.schedule(() => index)));
    expect(values).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('passes on what a job throws, and refuses a weight that can never be', async () => {
    await using schedule = bottleneckSchedule(rateLimiter({ limit: 100, burst: 2 }));
    await schedule.schedule(() => 1, { weight: 2 });
    await expect(schedule.schedule(failing)).rejects.toThrow('failed');
    await new Promise((resolve) => setTimeout(resolve, 5));
    await expect(schedule.schedule(() => 1, { weight: 3 })).rejects.toMatchObject({
      code: 'HOTPATH_RATE_LIMITED',
    });
    await expect(schedule.schedule(() => 1, { weight: 0 })).rejects.toThrow("'weight'");
  });
});

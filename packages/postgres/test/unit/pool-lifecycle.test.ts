import { channel } from 'node:diagnostics_channel';
import { EventEmitter } from 'node:events';
import { createVirtualClock, type VirtualClock } from '@hotpath/core/testing';
import { afterEach, describe, expect, it } from 'vitest';
import type { ConnectionEvent, GenerationEvent, LeakEvent } from '../../src/index.ts';
import { ConnectionPool } from '../../src/pool/connection-pool.ts';
import { type PoolOptions, resolvePoolOptions } from '../../src/pool/pool-options.ts';
import { acquireConnection } from '../../src/query/acquire.ts';

/** A client that connects at once, answers as long as it is alive, and ends at once. */
class FakeClient extends EventEmitter {
  static all: FakeClient[] = [];
  readonly connection = { stream: { destroy: () => this.emit('end'), destroyed: false } };
  answers = true;
  connects = true;
  constructor() {
    super();
    FakeClient.all.push(this);
  }
  connect(done: (error?: Error) => void): void {
    queueMicrotask(() =>
      done(this.connects ? undefined : Object.assign(new Error('no'), { code: 'ECONNREFUSED' })),
    );
  }
  query(_text: unknown, done: (error?: Error) => void): void {
    if (this.answers) queueMicrotask(() => done());
  }
  end(done?: () => void): void {
    queueMicrotask(() => done?.());
  }
}

const heard: { connection: ConnectionEvent[]; generation: GenerationEvent[]; leak: LeakEvent[] } = {
  connection: [],
  generation: [],
  leak: [],
};
const stops: (() => void)[] = [];

function setUp(options: PoolOptions, nextRandom = () => 0.5): { pool: ConnectionPool; clock: VirtualClock } {
  FakeClient.all = [];
  const clock = createVirtualClock();
  for (const name of ['connection', 'generation', 'leak'] as const) {
    heard[name] = [];
    const onEvent = (event: unknown): void => void heard[name].push(event as never);
    channel(`hotpath:postgres:${name}`).subscribe(onEvent);
    stops.push(() => channel(`hotpath:postgres:${name}`).unsubscribe(onEvent));
  }
  const resolved = resolvePoolOptions('test', { clock, random: nextRandom, ...options }, true);
  return { pool: new ConnectionPool(resolved, { createClient: () => new FakeClient() as never }), clock };
}

afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

const settled = async (clock: VirtualClock): Promise<void> => {
  for (let i = 0; i < 5; i++) await clock.settle();
};

describe('connections', () => {
  it('are reported when they open, when they close with the reason, and when they can not be made', async () => {
    const { pool, clock } = setUp({ max: 2, idleTimeoutMs: 1_000, maxLifetimeMs: 0 });
    const first = await acquireConnection(pool);
    pool.release(first);
    expect(heard.connection).toEqual([{ kind: 'open', total: 1 }]);
    await clock.advance(1_500);
    expect(heard.connection.at(-1)).toEqual({ kind: 'close', total: 0, reason: 'idle' });
    const second = await acquireConnection(pool);
    pool.release(second, new Error('broken'));
    expect(heard.connection.at(-1)).toEqual({ kind: 'close', total: 0, reason: 'released with an error' });
    const waiting = acquireConnection(pool).catch((error) => error);
    FakeClient.all.at(-1)!.connects = false;
    expect(await waiting).toMatchObject({ code: 'HOTPATH_PG_DOWN' });
    expect(heard.connection.at(-1)).toMatchObject({
      kind: 'connect-failed',
      total: 0,
      error: { code: 'ECONNREFUSED' },
    });
  });

  it('are replaced ahead of their end, one by one, so that nobody waits for a new one', async () => {
    const { pool, clock } = setUp({ max: 3, maxLifetimeMs: 100_000, idleTimeoutMs: 0, validateAfterMs: 1e9 });
    pool.release(await acquireConnection(pool));
    expect(FakeClient.all).toHaveLength(1);
    // With a jitter of a half of 10 % it ends at 95,000.
    await clock.advance(84_000);
    expect(FakeClient.all).toHaveLength(1);
    await clock.advance(10_000);
    expect(FakeClient.all).toHaveLength(2);
    expect([pool.total, pool.idle]).toEqual([1, 1]);
    expect(heard.connection.map(({ kind, reason }) => reason ?? kind)).toEqual(['open', 'open', 'replaced']);
    const asked = acquireConnection(pool);
    const connection = await asked;
    expect(connection.client).toBe(FakeClient.all[1]);
    pool.release(connection);
  });

  it('live up to a tenth less long than they may, each by its own chance', async () => {
    for (const [random, endsMs] of [
      [0, 100_000],
      [0.999, 90_010],
    ] as const) {
      const { pool, clock } = setUp({ max: 1, maxLifetimeMs: 100_000, idleTimeoutMs: 0 }, () => random);
      pool.release(await acquireConnection(pool));
      await clock.advance(endsMs - 20);
      const before = await acquireConnection(pool);
      expect(before.client).toBe(FakeClient.all[0]);
      pool.release(before);
      await clock.advance(30);
      await settled(clock);
      const after = await acquireConnection(pool);
      expect(after.client).not.toBe(FakeClient.all[0]);
      pool.release(after);
    }
  });

  it('all go after one of them has failed its check, also those that were out, and a new one serves', async () => {
    const { pool, clock } = setUp({
      max: 3,
      validateAfterMs: 1_000,
      validationTimeoutMs: 200,
      idleTimeoutMs: 0,
    });
    const [a, b, c] = await Promise.all([1, 2, 3].map(() => acquireConnection(pool)));
    pool.release(a!);
    pool.release(b!);
    for (const client of FakeClient.all) client.answers = false;
    await clock.advance(2_000);
    const asked = acquireConnection(pool);
    await clock.advance(210);
    await settled(clock);
    expect((await asked).client).toBe(FakeClient.all[3]);
    expect(heard.generation).toEqual([{ generation: 1, reason: 'a connection failed validation' }]);
    pool.release(c!);
    expect(heard.connection.filter(({ kind }) => kind === 'close').map(({ reason }) => reason)).toEqual([
      'a connection failed validation',
      'failed validation',
      'older generation',
    ]);
    expect(pool.stats()).toMatchObject({ validations: 1, failedValidations: 1, generation: 1, total: 1 });
  });

  it('that can not even be made are refused with the reason, and tried again until they can', async () => {
    let problem: Error | undefined = new Error("ENOENT: no such file or directory, open 'client.key'");
    const clock = createVirtualClock();
    const options = { clock, minConnections: 1, maxReconnectDelayMs: 100, acquireTimeoutMs: 0 };
    const pool = new ConnectionPool(resolvePoolOptions('test', options, true), {
      createClient: () => {
        if (problem !== undefined) throw problem;
        return new FakeClient() as never;
      },
    });
    const down = { code: 'HOTPATH_PG_DOWN', cause: problem, retryAfterMs: expect.any(Number) };
    const asked = Array.from({ length: 3 }, () => acquireConnection(pool));
    const refused = Promise.allSettled(asked);
    await clock.advance(1_000);
    for (const result of await refused) expect(result).toMatchObject({ status: 'rejected', reason: down });
    expect(pool.stats()).toMatchObject({ waiting: 0, total: 0, connecting: 0 });
    expect(pool.stats().connectFailures).toBeGreaterThan(5);
    problem = undefined;
    await clock.advance(100);
    expect(pool.stats()).toMatchObject({ idle: 1, total: 1 });
    pool.release(await acquireConnection(pool));
    await new Promise<void>((resolve) => pool.close(resolve));
    await clock.advance(3_000);
    expect(clock.pendingTimers).toBe(0);
  });

  it('idle for less than the limit are handed out unchecked, the last used one first', async () => {
    const { pool, clock } = setUp({ max: 3, validateAfterMs: 1_000 });
    const held = await Promise.all([1, 2, 3].map(() => acquireConnection(pool)));
    for (const connection of held) {
      await clock.advance(10);
      pool.release(connection);
    }
    expect(await acquireConnection(pool)).toBe(held[2]);
    expect(await acquireConnection(pool)).toBe(held[1]);
    expect(pool.stats().validations).toBe(0);
    await clock.advance(1_001);
    await acquireConnection(pool);
    expect(pool.stats().validations).toBe(1);
  });
});

describe('a leak', () => {
  it('is reported once, without a place while it is outside the sample, with it from then on', async () => {
    const { pool, clock } = setUp({ max: 3, leakThresholdMs: 1_000, leakSampleRatio: 0.01 }, () => 0.5);
    await acquireConnection(pool);
    await clock.advance(3_000);
    expect(heard.leak).toMatchObject([{ site: undefined }]);
    await acquireConnection(pool);
    await clock.advance(3_000);
    expect(heard.leak).toHaveLength(2);
    expect(heard.leak[1]!.site).toContain('pool-lifecycle.test.ts');
    expect(heard.leak[1]!.heldMs).toBeGreaterThan(1_000);
    expect(pool.stats().leaks).toBe(2);
  });

  it('in the sample is reported with its place at once', async () => {
    const { pool, clock } = setUp({ max: 3, leakThresholdMs: 1_000, leakSampleRatio: 0.01 }, () => 0.001);
    await acquireConnection(pool);
    await clock.advance(3_000);
    expect(heard.leak[0]!.site).toContain('pool-lifecycle.test.ts');
  });
});

describe('ten thousand waiters', () => {
  it('are served in order, and those that abort or time out in between cost the others nothing', async () => {
    const { pool, clock } = setUp({ max: 2, acquireTimeoutMs: 0, maxWaiting: 20_000 });
    const held = await Promise.all([acquireConnection(pool), acquireConnection(pool)]);
    const order: number[] = [];
    const stop = new AbortController();
    const asked = Array.from({ length: 10_000 }, (_, i) => {
      const signal = i % 3 === 1 ? stop.signal : undefined;
      const timeoutMs = i % 3 === 2 ? 50 : 0;
      return acquireConnection(pool, { signal, timeoutMs }).then(
        (connection) => {
          order.push(i);
          queueMicrotask(() => pool.release(connection));
        },
        () => undefined,
      );
    });
    stop.abort(new Error('gone'));
    await clock.advance(60);
    expect(pool.waiting).toBe(3_334);
    for (const connection of held) pool.release(connection);
    await Promise.all(asked);
    expect(order).toEqual(Array.from({ length: 3_334 }, (_, i) => i * 3));
    expect([pool.waiting, pool.total, pool.idle]).toEqual([0, 2, 2]);
  });

  it('are served before a pool that drains ends, and refused by one that closes', async () => {
    for (const drain of [true, false]) {
      const { pool } = setUp({ max: 1, acquireTimeoutMs: 0 });
      const held = await acquireConnection(pool);
      let served = 0;
      const asked = Array.from({ length: 100 }, () =>
        acquireConnection(pool).then(
          (connection) => {
            served++;
            pool.release(connection);
          },
          (error) => error.code,
        ),
      );
      let isClosed = false;
      const closed = new Promise<void>((resolve) => pool.close(resolve, drain)).then(() => {
        isClosed = true;
      });
      await expect(acquireConnection(pool)).rejects.toMatchObject({ code: 'HOTPATH_PG_CLOSED' });
      expect(isClosed).toBe(false);
      pool.release(held);
      const codes = await Promise.all(asked);
      await closed;
      expect(served).toBe(drain ? 100 : 0);
      expect(codes.filter((code) => code === 'HOTPATH_PG_CLOSED')).toHaveLength(drain ? 0 : 100);
      expect(pool.total).toBe(0);
    }
  });
});

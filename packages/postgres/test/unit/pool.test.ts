import { EventEmitter } from 'node:events';
import { seededRandom } from '@hotpath/core';
import { createVirtualClock, type VirtualClock } from '@hotpath/core/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Histogram } from '../../src/histogram.ts';
import { createPostgres, governanceIndexes } from '../../src/index.ts';
import { ConnectionPool } from '../../src/pool/connection-pool.ts';
import { type PoolOptions, resolvePoolOptions } from '../../src/pool/pool-options.ts';
import { Waiter, WaiterQueue } from '../../src/pool/waiter-queue.ts';
import { acquireConnection } from '../../src/query/acquire.ts';
import { QueryShapes } from '../../src/query/query-shape.ts';
import { PreparedStatement, StatementCache } from '../../src/wire/statement-cache.ts';

/** What becomes of a connection; `throws`: not even its client can be made. */
interface Script {
  mode: 'connects' | 'refuses' | 'hangs' | 'throws';
}

/** A client that connects as it is told to, and ends at once. */
class ScriptedClient extends EventEmitter {
  readonly connection = { stream: { destroy: () => this.emit('end'), destroyed: false } };
  readonly script: Script;
  constructor(script: Script) {
    super();
    this.script = script;
  }
  connect(done: (error?: Error) => void): void {
    if (this.script.mode === 'connects') queueMicrotask(() => done());
    if (this.script.mode === 'refuses')
      queueMicrotask(() => done(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })));
  }
  query(_text: unknown, done: (error?: Error) => void): void {
    queueMicrotask(() => done());
  }
  end(done?: () => void): void {
    queueMicrotask(() => done?.());
  }
}

function scripted(options: PoolOptions = {}): {
  pool: ConnectionPool;
  clock: VirtualClock;
  script: Script;
  made: () => number;
} {
  const clock = createVirtualClock();
  const script: Script = { mode: 'connects' };
  let made = 0;
  const pool = new ConnectionPool(
    resolvePoolOptions('test', { clock, random: seededRandom(1), ...options }, true),
    {
      createClient: () => {
        made++;
        if (script.mode === 'throws') throw new Error('no certificate');
        return new ScriptedClient(script) as never;
      },
    },
  );
  return { pool, clock, script, made: () => made };
}

const STEPS = ['acquire', 'release', 'fail', 'abort', 'time', 'connects', 'refuses', 'throws'] as const;

describe('the pool', () => {
  it('tries one connection at a time while the server refuses, with growing pauses up to the longest', async () => {
    const { pool, clock, script, made } = scripted({ maxReconnectDelayMs: 400, acquireTimeoutMs: 0 });
    script.mode = 'refuses';
    const attempts: number[] = [];
    for (let i = 0; i < 12; i++) {
      const before = made();
      const refused = acquireConnection(pool).catch((error) => error);
      let waitedMs = 0;
      while (made() === before) {
        await clock.advance(1);
        waitedMs++;
      }
      await clock.settle();
      expect(await refused).toMatchObject({ code: 'HOTPATH_PG_DOWN' });
      attempts.push(waitedMs);
    }
    expect(Math.max(...attempts)).toBeLessThanOrEqual(400);
    expect(attempts.at(-1)).toBeGreaterThanOrEqual(199);
    expect(made()).toBe(12);
    script.mode = 'connects';
    const served = Promise.all(
      Array.from({ length: 30 }, () =>
        acquireConnection(pool).then((connection) => pool.release(connection)),
      ),
    );
    await clock.advance(401);
    await served;
    expect(pool.total).toBeLessThanOrEqual(20);
  });

  it('times a waiter out while a connection hangs, and drops the connection when its own time is over', async () => {
    const { pool, clock, script } = scripted({ acquireTimeoutMs: 100, connectTimeoutMs: 1_000, max: 1 });
    script.mode = 'hangs';
    const waiting = acquireConnection(pool).catch((error) => error);
    await clock.advance(110);
    expect(await waiting).toMatchObject({ code: 'HOTPATH_PG_ACQUIRE_TIMEOUT' });
    expect(pool.total).toBe(1);
    await clock.advance(1_000);
    expect(pool.total).toBe(0);
    expect(pool.stats().connectFailures).toBe(1);
  });

  it('lets no more wait than may, also while a server that is away keeps it from opening more', async () => {
    const { pool, clock, script } = scripted({ maxWaiting: 50, max: 4, acquireTimeoutMs: 0 });
    script.mode = 'refuses';
    const first = acquireConnection(pool).catch((error) => error);
    await clock.settle();
    expect(await first).toMatchObject({ code: 'HOTPATH_PG_DOWN' });
    // One is tried at a time from now on, and it gets no answer.
    script.mode = 'hangs';
    const asked = Array.from({ length: 1_000 }, () => acquireConnection(pool).catch((error) => error));
    expect(pool.waiting).toBeLessThanOrEqual(50 + 4);
    expect(pool.stats().queueRejections).toBe(1_000 - pool.waiting);
    expect(await asked.at(-1)).toMatchObject({ code: 'HOTPATH_PG_QUEUE_FULL' });
    await clock.advance(10_000);
    await Promise.all(asked);
    expect(pool.waiting).toBe(0);
  });

  it('never has more connections than allowed nor serves out of turn, whatever its callers do', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...STEPS), { maxLength: 60 }), async (steps) => {
        const { pool, clock, script } = scripted({
          max: 3,
          validateAfterMs: 50,
          maxLifetimeMs: 400,
          acquireTimeoutMs: 0,
        });
        const held: Parameters<typeof pool.release>[0][] = [];
        const served: number[] = [];
        const aborts: AbortController[] = [];
        let asked = 0;
        let refused = 0;
        for (const step of steps) {
          if (step === 'connects' || step === 'refuses' || step === 'throws') script.mode = step;
          else if (step === 'acquire') {
            const turn = asked++;
            const abort = new AbortController();
            aborts.push(abort);
            acquireConnection(pool, { signal: abort.signal }).then(
              (connection) => {
                served.push(turn);
                held.push(connection);
              },
              () => refused++,
            );
          } else if (step === 'abort') aborts.pop()?.abort(new Error('gone'));
          else if (step === 'time') await clock.advance(60);
          else {
            const connection = held.shift();
            if (connection !== undefined)
              pool.release(connection, step === 'fail' ? new Error('broken') : undefined);
          }
          await clock.settle();
          expect(pool.total).toBeLessThanOrEqual(3);
          expect(held.length).toBeLessThanOrEqual(3);
        }
        expect(served).toEqual([...served].sort((a, b) => a - b));
        for (const abort of aborts) abort.abort(new Error('end'));
        for (const connection of held) pool.release(connection);
        await new Promise<void>((resolve) => pool.close(resolve));
        expect([pool.total, pool.waiting]).toEqual([0, 0]);
        expect(served.length + refused).toBe(asked);
      }),
      { numRuns: 500 },
    );
  });

  it('refuses wrong options by name', () => {
    expect(() => createPostgres({ pool: { max: 0 } })).toThrow(
      "option 'max' must be a whole number of at least 1, got 0",
    );
    expect(() => createPostgres({ pool: { max: 2, minConnections: 3 } })).toThrow(RangeError);
    expect(() => createPostgres({ statementTimeout: 5 } as never)).toThrow(
      "unknown option 'statementTimeout'",
    );
    expect(() => createPostgres({ pooler: 'session' as never })).toThrow(TypeError);
    expect(() => createPostgres({ connectionString: 5 as never })).toThrow(TypeError);
    expect(() => createPostgres({ replicas: [5 as never] })).toThrow(
      "option 'replicas', at 0, must be a string",
    );
    expect(() => governanceIndexes("x' or 1=1")).toThrow(TypeError);
  });

  it.each([
    ['localhost:5432', 'must begin with a scheme'],
    ['localhost', 'must begin with a scheme'],
    ['ann:secret@localhost:5432/shop', 'must begin with a scheme'],
    ['127.0.0.1:5432/shop', 'must begin with a scheme'],
    ['postgres://ann:secret@h:99999/shop', "can't be read: Invalid URL"],
    ['postgres://ann:secret@h/x?sslrootcert=/no/such', "can't be read: ENOENT"],
  ])('refuses the connection string %s by name, and tells nothing of it', (text, why) => {
    for (const [name, options] of Object.entries({
      connectionString: { connectionString: text },
      directConnectionString: { directConnectionString: text },
      replicas: { replicas: ['postgres://localhost/x', text] },
    })) {
      const make = (): unknown => createPostgres(options);
      expect(make).toThrow(TypeError);
      expect(make).toThrow(new RegExp(`option '${name}'.* ${why}`));
      expect(make).not.toThrow('secret');
    }
  });

  it('takes every form of a connection string that pg does', async () => {
    for (const text of [
      'postgres://localhost/x',
      'postgresql://ann:a%40b@[::1]:5432/x?sslmode=require',
      'POSTGRES:///x?host=/tmp',
      'postgres://%2Fvar%2Frun/x',
      '/var/run/postgresql shop',
      'socket:/var/run/postgresql?db=shop',
    ]) {
      await createPostgres({ connectionString: text }).close();
    }
  });
});

describe('WaiterQueue', () => {
  class Number1 extends Waiter {
    onConnection(): void {}
    onRefused(): void {}
    override onDue(): void {}
  }
  it('keeps the order of those who stay', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constant('push'), fc.constant('shift'), fc.nat(30))), (steps) => {
        const queue = new WaiterQueue();
        const model: Waiter[] = [];
        const all: Waiter[] = [];
        for (const step of steps) {
          if (step === 'push') {
            const waiter = new Number1();
            all.push(waiter);
            model.push(waiter);
            queue.push(waiter);
          } else if (step === 'shift') expect(queue.shift()).toBe(model.shift());
          else {
            const waiter = all[step as number];
            if (waiter === undefined) continue;
            const at = model.indexOf(waiter);
            expect(queue.remove(waiter)).toBe(at !== -1);
            if (at !== -1) model.splice(at, 1);
          }
          expect(queue.size).toBe(model.length);
        }
      }),
    );
  });
});

describe('Histogram', () => {
  it('gives quantiles within 7 % of the true ones', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.01, max: 100_000, noNaN: true }), { minLength: 1, maxLength: 300 }),
        (values) => {
          const histogram = new Histogram();
          for (const value of values) histogram.record(value);
          const sorted = [...values].sort((a, b) => a - b);
          const { p50Ms, p99Ms, maxMs, count } = histogram.summary();
          expect(count).toBe(values.length);
          expect(maxMs).toBe(sorted.at(-1));
          for (const [ratio, found] of [
            [0.5, p50Ms],
            [0.99, p99Ms],
          ] as const) {
            const exact = sorted[Math.ceil(ratio * sorted.length) - 1]!;
            expect(found).toBeGreaterThanOrEqual(exact * 0.999 - 0.001);
            expect(found).toBeLessThanOrEqual(exact * 1.07 + 0.002);
          }
        },
      ),
    );
  });
});

describe('QueryShapes', () => {
  it('keeps what is used, and never more than it may', () => {
    const shapes = new QueryShapes(10);
    const kept = shapes.get('kept');
    for (let i = 0; i < 100; i++) {
      shapes.get(`text ${i}`);
      expect(shapes.get('kept')).toBe(kept);
      expect(shapes.stats().length).toBeLessThanOrEqual(10);
    }
    expect(kept.name).toMatch(/^hp_[0-9a-f]{24}$/);
  });

  it('tells texts that may hold several statements', () => {
    const shapes = new QueryShapes(10);
    expect(
      ['select 1', 'select 1;', 'select 1 ; ', 'select 1; select 2'].map((text) => shapes.get(text).multiple),
    ).toEqual([false, false, false, true]);
  });
});

describe('StatementCache', () => {
  it('has the server close what was used longest ago', () => {
    const cache = new StatementCache(2);
    for (const name of ['a', 'b']) cache.add(new PreparedStatement(name, ''));
    cache.get('a');
    cache.add(new PreparedStatement('c', ''));
    expect([cache.size, ...cache.takeClosed()]).toEqual([2, 'b']);
    expect(cache.takeClosed()).toEqual([]);
  });
});

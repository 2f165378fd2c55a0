import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { createTimerWheel, systemClock, WheelTimer } from '../../src/index.ts';

const source = new URL('../../src/index.ts', import.meta.url).href;
const run = promisify(execFile);

/** Runs a module in a process of its own until that ends by itself; `core` is this package. */
async function runModule(code: string, flags: readonly string[] = []): Promise<{ out: string; err: string }> {
  const module = `import * as core from ${JSON.stringify(source)};\n${code}`;
  const { stdout, stderr } = await run(
    process.execPath,
    [...flags, '--unhandled-rejections=strict', '--input-type=module', '--eval', module],
    { timeout: 50_000 },
  );
  return { out: stdout.trim(), err: stderr.trim() };
}

/** Ends a module: prints how long the process lived, in seconds, once it ends by itself. */
const PRINT_LIFE = `process.on('exit', () => console.log(process.uptime()));`;

describe('real time', () => {
  test('a timer of the system’s clock is never early, also for fractions of a millisecond', async () => {
    const earlyMs: number[] = [];
    const timers = Array.from({ length: 500 }, async (_, index) => {
      // Armed at odd moments, not all in one turn.
      await new Promise((resolve) => setTimeout(resolve, index / 5));
      const delayMs = (index % 40) / 3;
      const armedMs = performance.now();
      await new Promise<void>((resolve) => void systemClock.setTimeout(resolve, delayMs));
      const waitedMs = performance.now() - armedMs;
      if (waitedMs < delayMs) earlyMs.push(delayMs - waitedMs);
    });
    await Promise.all(timers);
    expect(earlyMs).toEqual([]);
  });

  test('a timer of a wheel is never early either', async () => {
    const wheel = createTimerWheel({ tickMs: 1 });
    const earlyMs: number[] = [];
    class Probe extends WheelTimer {
      readonly #dueMs: number;
      readonly #fired: () => void;
      constructor(dueMs: number, fired: () => void) {
        super();
        this.#dueMs = dueMs;
        this.#fired = fired;
      }
      override onDue(): void {
        if (performance.now() < this.#dueMs) earlyMs.push(this.#dueMs - performance.now());
        this.#fired();
      }
    }
    await Promise.all(
      Array.from({ length: 500 }, (_, index) => {
        const delayMs = (index % 100) / 3;
        return new Promise<void>((resolve) =>
          wheel.arm(new Probe(performance.now() + delayMs, resolve), delayMs),
        );
      }),
    );
    expect(earlyMs).toEqual([]);
    expect(wheel.armedCount).toBe(0);
  });
});

describe('the life of the process', () => {
  const wheel = `
    class Probe extends core.WheelTimer { onDue() { console.log('due'); } }
    const wheel = core.createTimerWheel();
    const probe = new Probe();
  `;

  test('an armed timer of a wheel keeps it alive until it is due', async () => {
    expect((await runModule(`${wheel} wheel.arm(probe, 100);`)).out).toBe('due');
  });

  test('a wheel whose timers are all disarmed, or that was never used, lets it end', async () => {
    const { out } = await runModule(`${PRINT_LIFE} ${wheel}
      wheel.arm(probe, 45_000); wheel.disarm(probe);
      core.createTimerWheel();`);
    expect(Number(out)).toBeLessThan(20);
  });

  test('a wheel that is armed again after it was empty keeps it alive again', async () => {
    const { out } = await runModule(`${wheel}
      wheel.arm(probe, 45_000); wheel.disarm(probe);
      setTimeout(() => wheel.arm(probe, 100), 20);`);
    expect(out).toBe('due');
  });

  test('a delay above 2^31 ms keeps it alive, without a warning, until it is cleared', async () => {
    const { out, err } = await runModule(`
      const timer = core.systemClock.setTimeout(() => console.log('fired'), 2 ** 31 + 5_000);
      setTimeout(() => { console.log('still here'); core.systemClock.clearTimeout(timer); }, 100).unref();`);
    expect([out, err]).toEqual(['still here', '']);
  });

  test('a delay above 2^31 ms that is unref’d lets it end', async () => {
    const { out, err } = await runModule(`${PRINT_LIFE}
      core.systemClock.setTimeout(() => console.log('fired'), 2 ** 40).unref();`);
    expect(Number(out)).toBeLessThan(20);
    expect(err).toBe('');
  });

  test('delays that are no delays warn of nothing', async () => {
    const { out, err } = await runModule(`
      for (const delayMs of [-1, NaN, 0]) core.systemClock.setTimeout(() => console.log(delayMs), delayMs);`);
    expect(out.split('\n').sort()).toEqual(['-1', '0', 'NaN']);
    expect(err).toBe('');
  });

  test('nothing that has settled keeps it alive, and nothing given up becomes an unhandled rejection', async () => {
    const { out, err } = await runModule(`${PRINT_LIFE}
      const never = () => new Promise(() => {});
      const late = (ms) => new Promise((_, reject) => setTimeout(reject, ms, new Error('late')));
      const aborting = new AbortController();
      const options = { signal: aborting.signal, timeoutMs: 45_000, itemTimeoutMs: 45_000 };
      const gathering = core.gather([1, 2], () => late(50), options);
      const failing = core.gather([1, 2], (item) => (item === 1 ? late(1) : late(60)), { ...options, mode: 'failFast', abortGraceMs: 10 });
      const stream = core.gatherStream([1, 2], () => late(50), options).next();
      const flight = core.singleFlight().run('a', () => late(50), { signal: aborting.signal });
      const batch = core.batcher(() => late(50));
      const load = batch.load(1, { signal: aborting.signal });
      const sleeping = core.sleep(45_000, { signal: aborting.signal });
      const linked = core.linkSignals({ signals: [aborting.signal], timeoutMs: 45_000 });
      const waiting = core.abortable(late(50), linked.signal);
      setTimeout(() => aborting.abort('enough'), 20);
      const ends = await Promise.allSettled([gathering, failing, stream, flight, load, sleeping, waiting]);
      await batch.close();
      console.log(ends.map(({ status }) => status).join(' '));`);
    const [ends, life] = out.split('\n');
    expect(ends).toBe('fulfilled rejected fulfilled rejected rejected rejected rejected');
    expect(Number(life)).toBeLessThan(20);
    expect(err).toBe('');
  });
});

describe('memory over 1,000,000 items', () => {
  const input = `
    const worker = async (item) => item & 1023;
    function* items() { for (let item = 0; item < 1_000_000; item++) yield item; }
    async function* slowly() { yield* items(); }
  `;

  test('gather holds the values and little more', async () => {
    for (const source of ['items()', 'slowly()']) {
      const { out } = await runModule(
        `${input} const values = await core.gather(${source}, worker, { mode: 'failFast' });
         console.log(values.length, values.every((value, item) => value === (item & 1023)));`,
        ['--max-old-space-size=40'],
      );
      expect(out).toBe('1000000 true');
    }
  });

  test('gather in mode settled holds a result an item', async () => {
    const { out } = await runModule(
      `${input} const results = await core.gather(items(), worker);
       console.log(results.length, results.every(({ status, index }, item) => status === 'ok' && index === item));`,
      ['--max-old-space-size=180'],
    );
    expect(out).toBe('1000000 true');
  });

  test('gatherStream holds nothing that was read', async () => {
    const { out } = await runModule(
      `${input} let count = 0;
       for await (const { status } of core.gatherStream(items(), worker)) if (status === 'ok') count++;
       console.log(count);`,
      ['--max-old-space-size=24'],
    );
    expect(out).toBe('1000000');
  });

  test('singleFlight, a batcher and an abortable wait hold nothing that has ended', async () => {
    const { out } = await runModule(
      `const { signal } = new AbortController();
       const flights = core.singleFlight();
       const batch = core.batcher((items) => items, { maxBatchSize: 100 });
       for (let round = 0; round < 3_000; round++) {
         await Promise.all(Array.from({ length: 100 }, (_, n) => [
           flights.run(n % 10, async () => n, { signal }),
           batch.load(n, { signal }),
           core.abortable(Promise.resolve(n), signal),
         ]).flat());
       }
       console.log(flights.size, batch.stats().loads);`,
      ['--max-old-space-size=24'],
    );
    expect(out).toBe('0 300000');
  });
});

import { createVirtualClock } from '@hotpath/core/testing';
import { type FaultProxy, startFaultProxy } from '@hotpath/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ListenGap, Postgres, PostgresOptions } from '../../src/index.ts';
import { codeOf, startDatabase, type TestDatabase } from './database.ts';

let test: TestDatabase;
let proxy: FaultProxy;

beforeAll(async () => {
  test = await startDatabase();
});
afterAll(() => test[Symbol.asyncDispose]());
beforeEach(async () => {
  proxy = await startFaultProxy({ port: test.server.port });
});
afterEach(() => proxy.close());

const HEARTBEAT_MS = 200;
/** What a busy machine needs on top. */
const SLACK_MS = 1_000;

const connect = (options: PostgresOptions = {}): Postgres =>
  test.connect({
    connectionString: test.server.connectionString.replace(String(test.server.port), String(proxy.port)),
    listenHeartbeatMs: HEARTBEAT_MS,
    ...options,
  });
const notify = (payload: string) => test.db.query("select pg_notify('news', $1)", [payload]);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Heard {
  readonly payloads: string[];
  readonly gaps: ListenGap[];
}

async function hear(db: Postgres, channel = 'news'): Promise<Heard> {
  const heard: Heard = { payloads: [], gaps: [] };
  await db.listen(channel, {
    onNotification: ({ payload }) => heard.payloads.push(payload),
    onGap: (gap) => heard.gaps.push(gap),
  });
  return heard;
}

describe('a connection that listens and vanishes without a word', () => {
  it.each([
    ['in both directions', undefined],
    ['towards the server', 'toServer'],
    ['towards the client', 'toClient'],
  ] as const)('%s is noticed, made anew and told of', async (_how, direction) => {
    const db = connect();
    const [news, other] = [await hear(db), await hear(db, 'other')];
    await notify('before');
    await expect.poll(() => news.payloads).toEqual(['before']);
    const accepted = proxy.accepted;
    const vanishedAt = performance.now();
    await proxy.setFault({ kind: 'blackHole', ...(direction === undefined ? {} : { direction }) });
    // Nothing tells that it is gone: neither FIN nor RST. New ones get no answer either.
    await expect.poll(() => proxy.accepted, { interval: 5 }).toBeGreaterThan(accepted);
    expect(performance.now() - vanishedAt).toBeLessThan(2 * HEARTBEAT_MS + SLACK_MS);
    expect(news.gaps).toEqual([]);
    await notify('missed');
    await proxy.setFault();
    await expect.poll(() => news.gaps.length, { timeout: 10_000 }).toBe(1);
    const lostForMs = performance.now() - vanishedAt;
    expect(other.gaps).toEqual(news.gaps);
    expect(news.gaps[0]!.channels).toEqual(['news', 'other']);
    // From the last sign of life on, so that who reads anew knows from when.
    expect(news.gaps[0]!.lostMs).toBeGreaterThan(lostForMs - SLACK_MS);
    expect(news.gaps[0]!.lostMs).toBeLessThan(lostForMs + 2 * HEARTBEAT_MS);
    await notify('after');
    await expect.poll(() => news.payloads.at(-1)).toBe('after');
    expect(news.payloads.filter((payload) => payload === 'after')).toHaveLength(1);
    await db.close();
    await expect
      .poll(() => test.db.query("select pid from pg_stat_activity where query like 'listen %'"))
      .toEqual([]);
  });

  it('again and again comes back each time', async () => {
    // Enough for a busy machine to connect in, and short enough for one that is lost to be tried again.
    const db = connect({ pool: { connectTimeoutMs: SLACK_MS } });
    const news = await hear(db);
    for (let round = 1; round <= 5; round++) {
      await proxy.setFault({ kind: 'blackHole' });
      await pause(HEARTBEAT_MS * round);
      await proxy.setFault();
      await expect
        .poll(
          async () => {
            await notify(`round ${round}`);
            return news.payloads;
          },
          { timeout: 10_000 },
        )
        .toContain(`round ${round}`);
    }
    expect(news.payloads).toEqual([...news.payloads].sort());
    await db.close();
  });

  it('while it stays away keeps neither a subscriber nor close waiting', async () => {
    const db = connect();
    const news = await hear(db);
    await proxy.setFault({ kind: 'blackHole' });
    const late = codeOf(db.listen('late', { onNotification: () => {} }));
    expect(await late).toMatch(/^HOTPATH_PG_(?:CONNECTION_LOST|QUERY_TIMEOUT|DOWN)$/);
    const startedAt = performance.now();
    await db.close();
    expect(performance.now() - startedAt).toBeLessThan(SLACK_MS + 1_000);
    expect(news).toEqual({ payloads: [], gaps: [] });
  });

  it('is noticed within ten seconds where nothing else was said, and a living one is left alone', async () => {
    const clock = createVirtualClock();
    const db = connect({ pool: { clock }, listenHeartbeatMs: undefined });
    const news = await hear(db);
    const { accepted } = proxy;
    // The answer takes real time, which the clock does not count; when it is there, it needs no limit any more.
    const answered = vi.spyOn(clock, 'clearTimeout');
    for (let elapsedMs = 0; elapsedMs < 60_000; elapsedMs += 5_000) {
      answered.mockClear();
      await clock.advance(5_000);
      await expect.poll(() => answered.mock.calls.length, { interval: 5, timeout: 10_000 }).toBe(1);
    }
    expect(proxy.accepted).toBe(accepted);
    await proxy.setFault({ kind: 'blackHole' });
    await clock.advance(9_999);
    expect(proxy.accepted).toBe(accepted);
    await clock.advance(1);
    await expect.poll(() => proxy.accepted, { timeout: 10_000 }).toBe(accepted + 1);
    await proxy.setFault();
    await expect
      .poll(
        async () => {
          await clock.advance(100);
          return news.gaps.length;
        },
        { timeout: 10_000 },
      )
      .toBe(1);
    const closed = db.close();
    await clock.advance(5_000);
    await closed;
  });
});

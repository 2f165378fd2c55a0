import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { type RedisServer, startRedis } from '@hotpath/testkit';
import { Redis } from 'ioredis';
import { Packr } from 'msgpackr';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  type Cache,
  type CacheOptions,
  constitutionalDataCache,
  createCache,
  type ValueCodec,
} from '../../src/index.ts';
import { HEAD_BYTES } from '../../src/internal/scripts.ts';
import { until } from '../fixtures/fleet.ts';

let server: RedisServer;
let raw: Redis;
const opened: { close(): unknown }[] = [];
let names = 0;

beforeAll(async () => {
  server = await startRedis();
  raw = new Redis({ port: server.port });
});
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
  await raw.flushall();
});
afterAll(async () => {
  raw.disconnect();
  await server[Symbol.asyncDispose]();
});

async function use(make: (redis: Redis) => Cache): Promise<Cache> {
  const redis = new Redis({ port: server.port, lazyConnect: true });
  redis.on('error', () => {});
  opened.push({ close: () => redis.disconnect() });
  const cache = make(redis);
  opened.push(cache);
  await until(() => cache.state === 'up');
  return cache;
}

/** A busy machine may not make Redis seem away: what it answers is looked at here, not how soon. */
const patient = { softDeadlineMs: 5_000, hardDeadlineMs: 10_000 };

function open(options: Partial<CacheOptions> & { namespace: string }): Promise<Cache> {
  return use((redis) => createCache({ redis, jitterRatio: 0, earlyRefreshBeta: 0, ...patient, ...options }));
}

const namespace = (): string => `values${++names}`;
const valueKeys = async (): Promise<string[]> =>
  (await raw.keys('*')).filter((key) => !/!(state|marks)$/.test(key)).sort();

const msgpack: ValueCodec = (() => {
  const packr = new Packr({ structuredClone: true });
  return { encode: (value) => packr.pack(value), decode: (bytes) => packr.unpack(Buffer.from(bytes)) };
})();

const value = {
  text: 'ä€😀\0',
  list: [1, null, 1.5],
  at: new Date(1_234),
  map: new Map<unknown, unknown>([['a', new Set([1n, 2n])]]),
  bytes: Uint8Array.of(0, 255),
  large: 'repeated '.repeat(2_000),
};

for (const [name, codec] of [
  ['json', 'json'],
  ['v8', 'v8'],
  ['msgpackr', msgpack],
] as const) {
  test(`${name}: another process reads from Redis what was loaded, and counts it as Redis's hit alone`, async () => {
    const shared = namespace();
    const [writer, reader] = await Promise.all([
      open({ namespace: shared, codec }),
      open({ namespace: shared, codec }),
    ]);
    await writer.getOrSet('a', () => value);
    await until(async () => (await valueKeys()).length === 1);
    expect(
      await reader.getOrSet('a', () => {
        throw new Error('loaded again');
      }),
    ).toEqual(value);
    const first = reader.stats();
    expect([first.l1.hits, first.l1.misses, first.l2.hits, first.l2.misses, first.loads]).toEqual([
      0, 1, 1, 0, 0,
    ]);
    await reader.getOrSet('a', () => value);
    await reader.get('a');
    const second = reader.stats();
    expect([second.l1.hits, second.l2.hits]).toEqual([2, 1]);
    expect(second.hitRate).toBe(1);
    // 18 kB of the same words: they lie there compressed.
    expect(await raw.strlen((await valueKeys())[0] as string)).toBeLessThan(1_000);
  });
}

test('values above compressFromBytes are compressed, smaller ones and incompressible ones are not', async () => {
  const cache = await open({ namespace: namespace(), compressFromBytes: 100 });
  const sizeOf = async (stored: unknown): Promise<number> => {
    await cache.set('a', stored);
    return raw.strlen((await valueKeys())[0] as string);
  };
  const small = await sizeOf('x'.repeat(90));
  expect(small).toBeGreaterThan(90);
  expect(await sizeOf('x'.repeat(10_000))).toBeLessThan(small + 50);
  expect(await sizeOf(Array.from({ length: 60 }, (_, index) => Math.sin(index)))).toBeLessThan(1_400);
});

test('what can not be read is a miss, is counted, is told, and is replaced', async () => {
  const shared = namespace();
  const seen: unknown[] = [];
  const listen = (event: unknown): void => void seen.push(event);
  subscribe('hotpath:cache:corrupt-entry', listen);
  try {
    const writer = await open({ namespace: shared });
    await writer.getOrSet('a', () => 'good');
    await until(async () => (await valueKeys()).length === 1);
    const key = (await valueKeys())[0] as string;
    const whole = (await raw.getBuffer(key)) as Buffer;
    const damaged = Buffer.from(whole);
    damaged[whole.length - 1] = (damaged[whole.length - 1] as number) ^ 1;
    const wrong = [
      damaged,
      whole.subarray(0, 60),
      Buffer.from('what another program put there, and quite long'.repeat(2)),
    ];
    for (const [index, bytes] of wrong.entries()) {
      const cache = await open({ namespace: shared });
      await raw.set(key, bytes);
      expect(await cache.get('a')).toBeUndefined();
      expect(await cache.getOrSet('a', () => `new ${index}`)).toBe(`new ${index}`);
      expect(cache.stats().l2).toMatchObject({ corrupt: 2, hits: 0 });
      await until(async () => (await raw.strlen(key)) > 60 && !(await raw.getBuffer(key))?.equals(bytes));
      const after = await open({ namespace: shared });
      expect(await after.get('a')).toBe(`new ${index}`);
    }
    expect(seen).toHaveLength(6);
    expect(seen[0]).toEqual({ namespace: shared, key: 'a', reason: 'checksum' });
  } finally {
    unsubscribe('hotpath:cache:corrupt-entry', listen);
  }
});

for (const [way, reads] of [
  ['the script that gives leases', 2],
  ['an MGET', 40],
] as const) {
  test(`whole values that lie under each other's keys are misses for ${way}, and never handed out`, async () => {
    const shared = namespace();
    const writer = await open({ namespace: shared });
    const ids = Array.from({ length: reads }, (_, id) => `id ${id}`);
    await writer.setMany(ids.map((id) => [id, { id }]));
    const keys = await valueKeys();
    expect(keys).toHaveLength(reads);
    const values = (await raw.mgetBuffer(keys)) as Buffer[];
    // Each goes one key further, as the replies on a connection would that had lost one.
    for (const [index, key] of keys.entries()) await raw.set(key, values.at(index - 1) as Buffer);
    const reader = await open({ namespace: shared });
    expect(await reader.getMany(ids)).toEqual(ids.map(() => undefined));
    expect(reader.stats().l2).toMatchObject({ corrupt: reads, hits: 0 });
    const loaded = await Promise.all(ids.map((id) => reader.getOrSet(id, () => ({ id }))));
    expect(loaded).toEqual(ids.map((id) => ({ id })));
    expect(reader.stats()).toMatchObject({ state: 'up', loads: reads });
  });
}

test('an entry of another version is a miss, is counted, and is replaced', async () => {
  const shared = namespace();
  const writer = await open({ namespace: shared });
  await writer.set('a', 'new');
  const [key] = (await valueKeys()) as [string];
  const entry = (await raw.getBuffer(key)) as Buffer;
  const former = Buffer.from(entry);
  former[HEAD_BYTES] = (entry[HEAD_BYTES] as number) - 16;
  await raw.set(key, former);
  const reader = await open({ namespace: shared });
  expect(await reader.get('a')).toBeUndefined();
  expect(await reader.getOrSet('a', () => 'loaded')).toBe('loaded');
  expect(reader.stats().l2).toMatchObject({ corrupt: 2, hits: 0 });
  await until(async () => (await raw.getBuffer(key))?.[HEAD_BYTES] === entry[HEAD_BYTES]);
});

test('what a codec makes that can not be frozen or copied is a miss, and holds up none that was read with it', async () => {
  const shared = namespace();
  const broken = {
    made: {
      get field(): never {
        throw new Error('broken');
      },
    },
  };
  const codec: ValueCodec = {
    encode: (given) => Buffer.from(JSON.stringify(given)),
    decode: (bytes) => {
      const decoded: unknown = JSON.parse(Buffer.from(bytes).toString());
      return decoded === 'broken' ? broken : decoded;
    },
  };
  const writer = await open({ namespace: shared, codec });
  await writer.setMany([
    ['broken', 'broken'],
    ['whole', 'whole'],
  ]);
  for (const copy of ['freeze', 'clone'] as const) {
    const reader = await open({ namespace: shared, codec, l1: { copy } });
    expect(await reader.getMany(['broken', 'whole'])).toEqual([undefined, 'whole']);
    expect(reader.stats().l2).toMatchObject({ corrupt: 1, hits: 1, misses: 1 });
    const load = (key: string) => reader.getOrSet(key, () => 'loaded', { ttlMs: 0 });
    expect(await Promise.all([load('broken'), load('whole')])).toEqual(['loaded', 'whole']);
    expect(reader.stats().l2.corrupt).toBe(2);
    await writer.set('broken', 'broken');
  }
});

test('of a key that is set twice in one call the last value counts, whether it is kept or not', async () => {
  const shared = namespace();
  const [writer, reader] = [await open({ namespace: shared }), await open({ namespace: shared })];
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  await writer.setMany(
    [
      ['kept', null],
      ['kept', 1],
      ['gone', 1],
      ['gone', null],
      ['encoded', cycle],
      ['encoded', 1],
      ['unencoded', 1],
      ['unencoded', cycle],
    ],
    { negativeTtlMs: 0 },
  );
  expect(await reader.getMany(['kept', 'gone', 'encoded', 'unencoded'])).toEqual([
    1,
    undefined,
    1,
    undefined,
  ]);
  expect(await writer.getMany(['kept', 'gone', 'encoded'])).toEqual([1, undefined, 1]);
});

test("another codec's entry is a miss, not an error", async () => {
  const shared = namespace();
  const writer = await open({ namespace: shared, codec: msgpack });
  await writer.set('a', 1);
  const reader = await open({ namespace: shared });
  expect(await reader.get('a')).toBeUndefined();
  expect(reader.stats().l2.corrupt).toBe(1);
});

test('a value that can not be encoded is given to its callers, kept here, counted and told, and kept out of Redis', async () => {
  const shared = namespace();
  const [cache, other] = [await open({ namespace: shared }), await open({ namespace: shared })];
  const seen: unknown[] = [];
  const listen = (event: unknown): void => void seen.push(event);
  subscribe('hotpath:cache:unencodable-value', listen);
  try {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    await cache.set('set', 'old');
    expect(await other.get('set')).toBe('old');
    const load = cache.wrap(async (_id: number) => ({ run: () => 1 }), { name: 'load' });
    expect((await load(1)).run()).toBe(1);
    expect((await load(1)).run()).toBe(1);
    expect(await cache.set('set', cycle)).toEqual({ confirmed: true });
    expect(await cache.get('set')).toMatchObject({ self: expect.anything() });
    await cache.getOrSet('tags', () => 1, { tags: ['x'.repeat(70_000)] });
    // Nobody has the old one, and nobody waits for a lease.
    await until(async () => (await other.get('set')) === undefined);
    const startedMs = performance.now();
    expect(await other.wrap(async (_id: number) => 'own', { name: 'load' })(1)).toBe('own');
    expect(performance.now() - startedMs).toBeLessThan(400);
    expect(seen).toEqual([
      {
        namespace: shared,
        key: 'load:1',
        operation: 'load',
        error: new TypeError("a function can't be stored"),
      },
      { namespace: shared, key: 'set', operation: 'set', error: new TypeError("a cycle can't be stored") },
      {
        namespace: shared,
        key: 'tags',
        operation: 'load',
        error: new RangeError('the tags of a value take 70001 bytes'),
      },
    ]);
    expect(cache.stats()).toMatchObject({ loads: 2, l2: { unencodable: 3, errors: 0, fills: 0 } });
    await until(async () => (await valueKeys()).length === 1);
  } finally {
    unsubscribe('hotpath:cache:unencodable-value', listen);
  }
});

test('a value read from Redis lives no longer here than it does there', async () => {
  const shared = namespace();
  const writer = await open({ namespace: shared });
  await writer.set('a', 'old', { ttlMs: 600 });
  await new Promise((resolve) => setTimeout(resolve, 300));
  const reader = await open({ namespace: shared, ttlMs: 60_000 });
  const storedMs = performance.now();
  expect(await reader.get('a')).toBe('old');
  await until(async () => (await reader.get('a')) === undefined, 2_000);
  // It had at most 300 ms left; kept for a life of its own it would have been there for 600 or 60,000.
  expect(performance.now() - storedMs).toBeLessThan(550);
});

test('the constitutional hash is in every key in Redis, and a new one starts cold', async () => {
  const make = (constitutionalHash: string): Promise<Cache> =>
    use((redis) => constitutionalDataCache({ constitutionalHash, redis }));
  const [first, again, second] = await Promise.all([
    make('cdd01ef066bc6cf2'),
    make('cdd01ef066bc6cf2'),
    make('0123456789abcdef'),
  ]);
  await first.set('rule', 'of the first');
  expect((await raw.keys('*')).filter((key) => !/cdd01ef066bc6cf2|0123456789abcdef/.test(key))).toEqual([]);
  expect(await again.get('rule')).toBe('of the first');
  expect(await second.get('rule')).toBeUndefined();
  expect(await second.getOrSet('rule', () => 'of the second')).toBe('of the second');
  await second.clear();
  expect(await again.get('rule')).toBe('of the first');
});

test('many keys are read with two commands sent together, and loaded ones are warm', async () => {
  const shared = namespace();
  const writer = await open({ namespace: shared });
  const keys = Array.from({ length: 100 }, (_, index) => `key ${index}`);
  expect(await writer.warm(keys, async (key) => key.length)).toEqual({ succeeded: 100, failed: 0 });
  const reader = await open({ namespace: shared });
  await raw.config('RESETSTAT');
  expect(await reader.getMany(keys)).toEqual(keys.map((key) => key.length));
  expect(await raw.info('commandstats')).toMatch(/cmdstat_mget:calls=2,/);
  expect(reader.stats().l2.hits).toBe(100);
});

test('coming and going of Redis, and what was repeated, are told', async () => {
  const seen: string[] = [];
  const onState = (event: unknown): void => void seen.push((event as { state: string }).state);
  const replayed: unknown[] = [];
  const onReplay = (event: unknown): void => void replayed.push(event);
  subscribe('hotpath:cache:state-change', onState);
  subscribe('hotpath:cache:replay', onReplay);
  try {
    const shared = namespace();
    const cache = await open({ namespace: shared, softDeadlineMs: 50, hardDeadlineMs: 200 });
    server.freeze();
    expect(await cache.delete('a', 'b')).toEqual({ confirmed: false });
    await until(() => cache.state === 'degraded');
    expect(cache.stats().queuedInvalidations).toBe(2);
    server.thaw();
    await until(() => cache.state === 'up');
    expect(seen).toEqual(['up', 'degraded', 'up']);
    expect(replayed).toEqual([{ namespace: shared, invalidations: 2, isClear: false }]);
    expect(cache.stats()).toMatchObject({ queuedInvalidations: 0, replayedInvalidations: 2, unconfirmed: 1 });
  } finally {
    server.thaw();
    unsubscribe('hotpath:cache:state-change', onState);
    unsubscribe('hotpath:cache:replay', onReplay);
  }
});

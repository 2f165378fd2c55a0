import { fileURLToPath } from 'node:url';
import {
  type NodeProcess,
  type RedisServer,
  spawnNode,
  startRedis,
  startRedisCluster,
} from '@hotpath/testkit';
import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RedisRateLimiterOptions, redisRateLimiter } from '../../src/redis.ts';

const spender = fileURLToPath(new URL('./fixtures/spender.ts', import.meta.url));

/** When a call that was allowed was made and answered; somewhere in between its unit was spent. */
type Spent = readonly [madeMs: number, answeredMs: number];

interface Report {
  readonly allowed: Spent[];
  readonly decided: Record<string, number>;
  readonly done: boolean;
}

let server: RedisServer;
let redis: Redis;

function connect(url = server.url): Redis {
  const client = new Redis(url, { retryStrategy: () => 50 });
  client.on('error', () => {});
  return client;
}

beforeAll(async () => {
  server = await startRedis();
  redis = connect();
});

afterAll(async () => {
  redis.disconnect();
  await server[Symbol.asyncDispose]();
});

beforeEach(async () => {
  await redis.flushall();
});

const fleet = {
  limit: 1_000,
  burst: 1_000,
  maxLease: 10,
  strict: false,
  callsPerSecond: 500,
  forMs: 10_000,
  // The machine may be busy; most of these tests are not about how soon a server counts as lost.
  timeoutMs: 5_000,
};

async function startFleet(
  nodes: number,
  settings: Partial<typeof fleet> & { readonly mostCalls?: number } = {},
): Promise<NodeProcess[]> {
  const env = { SPENDER: JSON.stringify({ ...fleet, ...settings, url: server.url }) };
  const processes = Array.from({ length: nodes }, () => spawnNode(spender, [], { env }));
  for (const node of processes) await node.receive();
  for (const node of processes) node.send('go');
  return processes;
}

async function spentBy(node: NodeProcess): Promise<Spent[]> {
  const spent: Spent[] = [];
  for (;;) {
    const report = await node.receive<Report>({ timeoutMs: 30_000 });
    spent.push(...report.allowed);
    if (report.done) return spent;
  }
}

const answeredAt = ([, answeredMs]: Spent): number => answeredMs;

/**
 * The most by which any interval exceeded `burst + rate * T`, counting what was surely spent in it: made
 * after its begin and answered before its end, both to the clock's whole milliseconds.
 */
function excessOf(spent: Spent[], { limit, burst }: { limit: number; burst: number }): number {
  const byAnswer = spent.toSorted((a, b) => a[1] - b[1]);
  const perMs = limit / 1_000;
  let excess = Number.NEGATIVE_INFINITY;
  for (const beginMs of new Set(spent.map(([madeMs]) => madeMs))) {
    let count = 0;
    for (const [madeMs, answeredMs] of byAnswer) {
      if (madeMs < beginMs) continue;
      count++;
      excess = Math.max(excess, count - burst - perMs * (answeredMs - beginMs + 1));
    }
  }
  return excess;
}

describe('a fleet of four processes', () => {
  it('spends at most burst + rate * T + nodes * maxLease in any interval, at twice the limit for 10 s', async () => {
    const nodes = await startFleet(4);
    const times = (await Promise.all(nodes.map(spentBy))).flat();
    expect(excessOf(times, fleet)).toBeLessThanOrEqual(4 * fleet.maxLease);
    expect(times.length).toBeGreaterThan(9_500);
  });

  it('strictly exceeds nothing', async () => {
    const settings = { ...fleet, strict: true, forMs: 3_000 };
    const nodes = await startFleet(4, settings);
    const times = (await Promise.all(nodes.map(spentBy))).flat();
    expect(excessOf(times, settings)).toBeLessThanOrEqual(0);
    expect(times.length).toBeGreaterThan(2_800);
  });

  it('keeps the bound and the rate when one of them is killed', async () => {
    const settings = { ...fleet, forMs: 4_000 };
    const nodes = await startFleet(4, settings);
    const victim = nodes[0] as NodeProcess;
    const killed: Spent[] = [];
    const first = await victim.receive<Report>();
    killed.push(...first.allowed);
    await victim.kill('SIGKILL');
    const survivors = (await Promise.all(nodes.slice(1).map(spentBy))).flat();
    expect(excessOf([...killed, ...survivors], settings)).toBeLessThanOrEqual(4 * fleet.maxLease);
    const lastMs = Math.max(...survivors.map(answeredAt));
    const late = survivors.filter((spent) => answeredAt(spent) > lastMs - 2_000);
    expect(late.length).toBeGreaterThan(1_000);
  });

  it('loses at most a lease with a process that is killed', async () => {
    const settings = {
      limit: 0.001,
      burst: 1_000,
      maxLease: 50,
      callsPerSecond: 1_000,
      forMs: 20_000,
      mostCalls: 300,
    };
    const [victim] = await startFleet(1, settings);
    let spentByVictim = 0;
    while (spentByVictim < settings.mostCalls) {
      spentByVictim += (await (victim as NodeProcess).receive<Report>()).allowed.length;
    }
    await victim?.kill('SIGKILL');
    const rest = redisRateLimiter({
      redis,
      limit: 0.001,
      burst: 1_000,
      strict: true,
      name: 'fleet',
      timeoutMs: 5_000,
    });
    let spent = 0;
    while ((await rest.tryAcquire(1, 'shared')).allowed) spent++;
    const lost = 1_000 - spent - spentByVictim;
    expect(lost).toBeGreaterThan(0);
    expect(lost).toBeLessThanOrEqual(settings.maxLease);
    await rest.close();
  });

  it('keeps the bound through a Redis that is frozen, killed and restarted, and spends again afterwards', async () => {
    const settings = { ...fleet, forMs: 7_000, timeoutMs: 100 };
    const nodes = await startFleet(4, settings);
    const reading = nodes.map(spentBy);
    const pause = (forMs: number) => new Promise((resolve) => setTimeout(resolve, forMs));
    await pause(1_000);
    server.freeze();
    await pause(1_000);
    const thawedMs = Date.now();
    server.thaw();
    await pause(1_500);
    await server.kill();
    await pause(500);
    await server.start();
    const backMs = Date.now();
    const times = (await Promise.all(reading)).flat();
    // A restart without persistence forgives one burst.
    const bound = 4 * fleet.maxLease + fleet.burst;
    expect(excessOf(times, settings)).toBeLessThanOrEqual(bound);
    expect(
      excessOf(
        times.filter((spent) => answeredAt(spent) < backMs - 1_000),
        settings,
      ),
    ).toBeLessThanOrEqual(bound - fleet.burst);
    expect(
      times.filter((spent) => answeredAt(spent) > thawedMs && answeredAt(spent) < thawedMs + 1_500).length,
    ).toBeGreaterThan(100);
    expect(times.filter((spent) => answeredAt(spent) > backMs).length).toBeGreaterThan(300);
  });

  it('goes on with the bound when one of them is frozen and thawed', async () => {
    const settings = { ...fleet, forMs: 4_000 };
    const nodes = await startFleet(4, settings);
    const reading = nodes.map(spentBy);
    const frozen = nodes[3] as NodeProcess;
    await frozen.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await frozen.kill('SIGCONT');
    const times = (await Promise.all(reading)).flat();
    expect(excessOf(times, settings)).toBeLessThanOrEqual(4 * fleet.maxLease);
  });
});

function localLimiter(options: Partial<RedisRateLimiterOptions> = {}) {
  return redisRateLimiter({ redis, limit: 100, burst: 20, timeoutMs: 5_000, retryLostMs: 100, ...options });
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > endMs) throw new Error('it did not become true within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('a lost Redis', () => {
  for (const fault of ['killed', 'frozen'] as const) {
    const lose = async (): Promise<void> => (fault === 'killed' ? await server.kill() : server.freeze());
    const bring = async (): Promise<void> => (fault === 'killed' ? await server.start() : server.thaw());

    it.each([
      ['closed', 0, 0],
      ['open', 200, 200],
      // A quarter of the burst at once; of the rate, 25 a second meanwhile.
      ['share', 5, 5],
    ] as const)(
      `that is ${fault} is answered for by the rule "%s", and asked again when it is back`,
      async (onLost, least, most) => {
        const limiter = localLimiter({
          onLost,
          nodes: 4,
          name: `lost-${fault}-${onLost}`,
          timeoutMs: 50,
          maxLease: 0,
        });
        await until(async () => (await limiter.tryAcquire()).decidedBy === 'redis');
        await lose();
        try {
          await until(async () => (await limiter.tryAcquire(1, 'other')).decidedBy === onLost);
          await until(async () => {
            await limiter.tryAcquire(1, 'other');
            return limiter.stats().scriptFailuresTotal >= 3;
          });
          let allowed = 0;
          let slowestMs = 0;
          const beganMs = performance.now();
          for (let call = 0; call < 200; call++) {
            const startMs = performance.now();
            const admission = await limiter.tryAcquire(1, 'key');
            slowestMs = Math.max(slowestMs, performance.now() - startMs);
            expect(admission.decidedBy).toBe(onLost);
            if (admission.allowed) allowed++;
          }
          expect(allowed).toBeGreaterThanOrEqual(least);
          const refilled = onLost === 'share' ? 1 + ((performance.now() - beganMs) / 1_000) * 25 : 0;
          expect(allowed).toBeLessThanOrEqual(most + refilled);
          // Only a probe waits, and never longer than its deadline.
          expect(slowestMs).toBeLessThan(1_000);
          expect(limiter.stats().lost).toBe(true);
        } finally {
          await bring();
        }
        await until(async () => (await limiter.tryAcquire(1, 'back')).decidedBy === 'redis');
        expect(limiter.stats().lost).toBe(false);
        await limiter.close();
      },
    );
  }

  it('forgives at most one burst when it forgets', async () => {
    const limiter = localLimiter({ limit: 1, burst: 10, strict: true, name: 'forgets' });
    let before = 0;
    for (let call = 0; call < 20; call++) if ((await limiter.tryAcquire()).allowed) before++;
    expect(before).toBe(10);
    await server.restart();
    let after = 0;
    await until(async () => {
      if ((await limiter.tryAcquire()).allowed) after++;
      return after >= 10;
    });
    for (let call = 0; call < 20; call++) if ((await limiter.tryAcquire()).allowed) after++;
    expect(after).toBeLessThanOrEqual(11);
    await limiter.close();
  });
});

describe('one node', () => {
  it('gives back at close what it has leased and not spent', async () => {
    const options = { limit: 0.001, burst: 1_000, name: 'returns' };
    const limiter = localLimiter({ ...options, maxLease: 100 });
    for (let call = 0; call < 100; call++) await limiter.tryAcquire();
    expect(limiter.stats().leasedTotal).toBeGreaterThan(0);
    await limiter.close();
    const rest = localLimiter({ ...options, strict: true });
    let spent = 0;
    while ((await rest.tryAcquire()).allowed) spent++;
    expect(spent).toBe(900);
    await rest.close();
  });

  it('gives back what it has not used for a while', async () => {
    const limiter = localLimiter({ limit: 0.001, burst: 1_000, name: 'idle', maxLease: 100, idleMs: 50 });
    for (let call = 0; call < 100; call++) await limiter.tryAcquire();
    await until(async () => limiter.stats().returnedTotal > 0);
    const { leasedTotal, returnedTotal, localTotal } = limiter.stats();
    expect(returnedTotal).toBe(leasedTotal - localTotal);
    await limiter.close();
  });

  it('answers most calls without the network', async () => {
    const limiter = localLimiter({ limit: 100_000, burst: 10_000, name: 'local' });
    for (let call = 0; call < 5_000; call++) expect((await limiter.tryAcquire()).allowed).toBe(true);
    const { localTotal, scriptsTotal } = limiter.stats();
    expect(localTotal).toBeGreaterThan(4_000);
    expect(scriptsTotal).toBeLessThan(500);
    await limiter.close();
  });

  it('uses one key a bucket, on the server clock, and lets it expire', async () => {
    const limiter = localLimiter({ limit: 10, burst: 10, strict: true, name: 'one-key' });
    await limiter.tryAcquire(5, 'tenant');
    expect(await redis.keys('*')).toEqual(['hotpath:rl:one-key:tenant']);
    const [, at] = (await redis.get('hotpath:rl:one-key:tenant'))?.split(' ') ?? [];
    const [seconds] = await redis.time();
    expect(Math.abs(Number(at) / 1e6 - Number(seconds))).toBeLessThan(2);
    expect(await redis.pttl('hotpath:rl:one-key:tenant')).toBeLessThanOrEqual(1_500);
    await limiter.close();
  });

  it('goes on when the server has forgotten the script', async () => {
    const limiter = localLimiter({ strict: true, name: 'flushed' });
    await limiter.tryAcquire();
    await redis.script('FLUSH');
    expect(await limiter.tryAcquire()).toMatchObject({ allowed: true, decidedBy: 'redis' });
    expect(limiter.stats().scriptFailuresTotal).toBe(0);
    await limiter.close();
  });

  it('serves who waits in the order of priority', async () => {
    const limiter = localLimiter({ limit: 50, burst: 1, strict: true, name: 'order' });
    await limiter.tryAcquire();
    const order: string[] = [];
    const first = limiter.acquire({ priority: 9 }).then(() => order.push('first'));
    await until(async () => limiter.stats().waiting > 0);
    const rest = [
      limiter.acquire({ priority: 7 }).then(() => order.push('seven')),
      limiter.acquire({ priority: 1 }).then(() => order.push('one')),
      limiter.acquire({ priority: 4 }).then(() => order.push('four')),
    ];
    await Promise.all([first, ...rest]);
    expect(order).toEqual(['first', 'one', 'four', 'seven']);
    await limiter.close();
  });

  it('lets a waiter leave by signal, by deadline and by close', async () => {
    const limiter = localLimiter({ limit: 0.1, burst: 1, strict: true, name: 'leaving' });
    await limiter.tryAcquire();
    const controller = new AbortController();
    const reason = new Error('gone');
    const aborted = expect(limiter.acquire({ signal: controller.signal })).rejects.toBe(reason);
    const late = expect(limiter.acquire({ deadlineMs: 30 })).rejects.toMatchObject({
      code: 'HOTPATH_RATE_LIMITED',
    });
    const closed = expect(limiter.acquire()).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
    setTimeout(() => controller.abort(reason), 20);
    await Promise.all([aborted, late]);
    await limiter.close();
    await closed;
    await expect(limiter.tryAcquire()).rejects.toMatchObject({ code: 'HOTPATH_CLOSED' });
    expect(limiter.stats().waiting).toBe(0);
  });

  it('guards work as a policy', async () => {
    const limiter = localLimiter({ limit: 1, burst: 1, strict: true, name: 'policy' });
    expect(await limiter.execute(() => 7)).toBe(7);
    const outcome = await limiter.executeOutcome(() => 7);
    expect(outcome).toMatchObject({ status: 'rejected', error: { code: 'HOTPATH_RATE_LIMITED' } });
    await limiter.close();
  });
});

describe('a Redis Cluster of three nodes', () => {
  it('bounds each key, wherever it lives, and survives the loss of a node', {
    timeout: 120_000,
  }, async () => {
    await using cluster = await startRedisCluster();
    const hosts = cluster.nodes.map(({ host, port }) => ({ host, port }));
    const clients = Array.from({ length: 4 }, () => {
      const client = new Cluster(hosts, { clusterRetryStrategy: () => 50 });
      client.on('error', () => {});
      return client;
    });
    const limiters = clients.map((client) =>
      redisRateLimiter({
        redis: client,
        limit: 200,
        burst: 20,
        maxLease: 2,
        timeoutMs: 200,
        onLost: 'closed',
      }),
    );
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
    const times = new Map(keys.map((key) => [key, [] as Spent[]]));
    // Until each key has been spent from for more than a second's worth, however busy the machine is.
    const endMs = Date.now() + 60_000;
    const goOn = () => Date.now() < endMs && [...times.values()].some((spent) => spent.length <= 300);
    await Promise.all(
      limiters.map(async (limiter) => {
        while (goOn()) {
          for (const key of keys) {
            const madeMs = Date.now();
            if ((await limiter.tryAcquire(1, key)).allowed) times.get(key)?.push([madeMs, Date.now()]);
          }
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }),
    );
    for (const spent of times.values()) {
      expect(excessOf(spent, { limit: 200, burst: 20 })).toBeLessThanOrEqual(4 * 2);
      expect(spent.length).toBeGreaterThan(300);
    }
    const [dead] = cluster.nodes;
    await dead?.kill();
    const answers = await Promise.all(
      keys.map((key) => (limiters[0] as (typeof limiters)[0]).tryAcquire(1, key)),
    );
    expect(answers).toHaveLength(keys.length);
    await dead?.start();
    const all = keys.map((key) => async () => {
      const { decidedBy } = await (limiters[0] as (typeof limiters)[0]).tryAcquire(1, key);
      return decidedBy === 'redis' || decidedBy === 'lease' || decidedBy === 'refusal';
    });
    for (const answered of all) await until(answered);
    await Promise.all(limiters.map((limiter) => limiter.close()));
    for (const client of clients) client.disconnect();
  });
});

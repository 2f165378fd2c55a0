import { startPostgres, startRedis } from '@hotpath/testkit';
import { describe, expect, it } from 'vitest';
import { ask, eventually, startServiceProcess } from '../service-process.ts';

describe('without Redis', () => {
  it('starts, answers and says that it is degraded; picks Redis up when it comes', async () => {
    await using postgres = await startPostgres();
    const redis = await startRedis();
    await redis.stop();
    await using service = await startServiceProcess({
      DATABASE_URL: postgres.connectionString,
      REDIS_URL: redis.url,
    });
    try {
      await service.printed('Ready');
      const health = (): ReturnType<typeof ask> => ask(`${service.url}/health`, { headers: {} });
      expect((await ask(`${service.url}/v1/policies/7`)).status).toBe(200);
      expect((await health()).body).toMatchObject({ status: 'degraded', degraded: true });

      await redis.start();
      await eventually(health, ({ body }) => body.degraded === false, 15_000);
      expect((await ask(`${service.url}/v1/policies/8`)).status).toBe(200);

      await redis.kill();
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, index) => ask(`${service.url}/v1/policies/${100 + index}`)),
      );
      expect(answers.map((answer) => answer.status)).toEqual(Array(50).fill(200));
      await eventually(health, ({ body }) => body.degraded === true, 15_000);
      await redis.restart();
      await eventually(health, ({ body }) => body.degraded === false, 15_000);
    } finally {
      await redis[Symbol.asyncDispose]();
    }
  });
});

describe('a Redis that can not be used', () => {
  it('is told of with the reason, without its password, and when it can be used after all', async () => {
    await using postgres = await startPostgres();
    await using guarded = await startRedis({ args: ['--requirepass', 'right'] });
    const redis = await startRedis();
    await redis.stop();
    const env = { DATABASE_URL: postgres.connectionString, SEED_POLICIES: '10' };
    try {
      for (const [url, reason] of [
        [redis.url, /Redis can't be used yet: .*ECONNREFUSED/],
        [guarded.url.replace('//', '//:not-this@'), /Redis can't be used yet: WRONGPASS/],
        [postgres.connectionString.replace(/.*@/, 'redis://'), /Redis can't be used yet: /],
      ] as const) {
        await using service = await startServiceProcess({ ...env, REDIS_URL: url });
        await service.printed('is REDIS_URL right?');
        expect(service.output()).toMatch(reason);
        expect(service.output()).not.toContain('not-this');
        await service.printed('Ready');
        const health = await ask(`${service.url}/health`, { headers: {} });
        expect([health.status, health.body.degraded]).toEqual([200, true]);
        if (url !== redis.url) continue;
        await redis.start();
        await service.printed('Redis is in use');
        await redis.kill();
        await service.printed('Redis is away');
      }
    } finally {
      await redis[Symbol.asyncDispose]();
    }
  });
});

describe('without Postgres', () => {
  it('says 503 while it is away, and recovers alone', async () => {
    await using postgres = await startPostgres();
    await using redis = await startRedis();
    await using service = await startServiceProcess({
      DATABASE_URL: postgres.connectionString,
      REDIS_URL: redis.url,
    });
    await service.printed('Ready');
    const health = (): ReturnType<typeof ask> => ask(`${service.url}/health`, { headers: {} });
    expect((await ask(`${service.url}/v1/policies/1`)).status).toBe(200);

    await postgres.kill();
    const uncached = await ask(`${service.url}/v1/policies/4321`);
    expect(uncached.status).toBe(503);
    expect(uncached.body.error.code).toMatch(/^HOTPATH_/);
    expect(Number(uncached.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    const decision = await ask(`${service.url}/v1/decisions`, {
      method: 'POST',
      body: { policyId: 1, action: 'read', subject: 's' },
    });
    expect(decision.status).toBe(503);
    const down = await health();
    expect(down.status).toBe(503);
    expect(down.body).toMatchObject({ status: 'unavailable', postgres: { status: 'down' } });

    await postgres.restart();
    await eventually(health, ({ status }) => status === 200, 15_000);
    expect((await ask(`${service.url}/v1/policies/4321`)).status).toBe(200);
  });

  it('starts before Postgres does, and prepares the database when it is there', async () => {
    await using postgres = await startPostgres();
    await postgres.stop();
    await using service = await startServiceProcess({ DATABASE_URL: postgres.connectionString });
    const early = await ask(`${service.url}/v1/policies/1`);
    expect(early.status).toBe(503);
    expect(early.body.error.code).toBe('NOT_READY');
    await postgres.restart();
    await service.printed('Ready');
    expect((await ask(`${service.url}/v1/policies/1`)).status).toBe(200);
  });
});

describe('several instances', () => {
  it('start at once on one empty database, and share it', async () => {
    await using postgres = await startPostgres();
    await using redis = await startRedis();
    const env = { DATABASE_URL: postgres.connectionString, REDIS_URL: redis.url };
    await using a = await startServiceProcess(env);
    await using b = await startServiceProcess(env);
    await using c = await startServiceProcess(env);
    await Promise.all([a, b, c].map((service) => service.printed('Ready')));
    for (const service of [a, b, c]) {
      expect((await ask(`${service.url}/v1/policies/10000`)).status).toBe(200);
      expect(service.output()).not.toMatch(/error/i);
    }
  });
});

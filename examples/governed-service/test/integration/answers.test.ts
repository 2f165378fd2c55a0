import { type PostgresServer, type RedisServer, startPostgres, startRedis } from '@hotpath/testkit';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, HASH, type ServiceProcess, startServiceProcess } from '../service-process.ts';

let postgres: PostgresServer;
let redis: RedisServer;
let service: ServiceProcess;

beforeAll(async () => {
  [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
  service = await startServiceProcess({ DATABASE_URL: postgres.connectionString, REDIS_URL: redis.url });
  await service.printed('Ready');
});

afterAll(async () => {
  await service?.[Symbol.asyncDispose]();
  await Promise.all([postgres?.[Symbol.asyncDispose](), redis?.[Symbol.asyncDispose]()]);
});

async function rowsOf(text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: postgres.connectionString });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

const policy = (id: number, overrides: object = {}): object => ({
  id,
  name: `made-${id}`,
  version: 1,
  status: 'active',
  description: 'Made by a test.',
  metadata: { constitutional_hash: HASH },
  ...overrides,
});

describe('policies', () => {
  it('begins with 10,000 rows and the seven indexes, all valid', async () => {
    expect(await rowsOf('select count(*)::int as n from policies')).toEqual([{ n: 10_000 }]);
    const indexes = await rowsOf(`
      select count(*)::int as n from pg_index i join pg_class c on c.oid = i.indexrelid
      join pg_class t on t.oid = i.indrelid join pg_namespace s on s.oid = c.relnamespace
      where s.nspname = 'public' and not i.indisprimary and i.indisvalid and i.indisready`);
    expect(indexes).toEqual([{ n: 7 }]);
  });

  it('answers one policy, the second time from the cache', async () => {
    const first = await ask(`${service.url}/v1/policies/42`);
    expect(first.status).toBe(200);
    expect(first.body).toMatchObject({ id: 42, metadata: { constitutional_hash: HASH } });
    await rowsOf("update policies set description = 'behind the cache' where id = 42");
    const second = await ask(`${service.url}/v1/policies/42`);
    expect(second.body).toEqual(first.body);
  });

  it('stamps what it answers with the hash, errors included', async () => {
    for (const [path, status] of [
      ['1', 200],
      ['999999', 404],
      ['abc', 400],
    ] as const) {
      const answer = await ask(`${service.url}/v1/policies/${path}`);
      expect([answer.status, answer.headers.get('x-constitutional-hash')]).toEqual([status, HASH]);
    }
  });

  it('says 404 for a policy that does not exist', async () => {
    const answer = await ask(`${service.url}/v1/policies/999999`);
    expect(answer.status).toBe(404);
    expect(answer.body.error.code).toBe('POLICY_NOT_FOUND');
  });

  it('finds by words, status and page, and by nothing else', async () => {
    const page1 = await ask(`${service.url}/v1/policies?q=retention&status=active`);
    const page2 = await ask(`${service.url}/v1/policies?q=retention&status=active&page=2`);
    expect(page1.status).toBe(200);
    expect(page1.body.policies).toHaveLength(20);
    const all = [...page1.body.policies, ...page2.body.policies];
    expect(all.every((found) => found.status === 'active' && /retention/.test(found.name))).toBe(true);
    expect(new Set(all.map((found) => found.id)).size).toBe(40);
    const [counted] = await rowsOf(
      "select count(*)::int as n from policies where status = 'active' and name like '%retention%'",
    );
    expect(page1.body.total).toBe(counted?.n);
  });

  it('writes in bulk, and nobody reads the old value afterwards', async () => {
    const before = await ask(`${service.url}/v1/policies/77`);
    const body = { policies: [policy(77, { name: 'renamed' }), policy(20_001)] };
    const written = await ask(`${service.url}/v1/policies`, { method: 'POST', body });
    expect(written.status).toBe(200);
    expect(written.body).toMatchObject({ inserted: 1, updated: 1, unchanged: 0 });
    const after = await ask(`${service.url}/v1/policies/77`);
    expect(before.body.name).not.toBe('renamed');
    expect(after.body.name).toBe('renamed');
    expect((await ask(`${service.url}/v1/policies/20001`)).body.name).toBe('made-20001');
    const again = await ask(`${service.url}/v1/policies`, { method: 'POST', body });
    expect(again.body).toMatchObject({ inserted: 0, updated: 0, unchanged: 2 });
  });

  it('shows a new policy to a search that was cached before it', async () => {
    const search = `${service.url}/v1/policies?q=zyzzyva`;
    expect((await ask(search)).body.total).toBe(0);
    const body = { policies: [policy(20_002, { description: 'A zyzzyva is a weevil.' })] };
    await ask(`${service.url}/v1/policies`, { method: 'POST', body });
    expect((await ask(search)).body.total).toBe(1);
  });
});

describe('decisions', () => {
  it('decides from three pieces of evidence and leaves an audit row', async () => {
    const body = { policyId: 1, action: 'read', subject: 'client-7' };
    const answer = await ask(`${service.url}/v1/decisions`, { method: 'POST', body });
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({ policyId: 1, action: 'read', subject: 'client-7', degraded: false });
    expect(['allow', 'deny', 'review']).toContain(answer.body.outcome);
    for (const kind of ['risk', 'history', 'ownership']) expect(answer.body.evidence[kind].status).toBe('ok');
    const rows = await rowsOf(
      `select action, details from audit_logs where details->>'id' = '${answer.body.id}'`,
    );
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({
      action: `decision:${answer.body.outcome}`,
      details: { subject: 'client-7', constitutionalHash: HASH },
    });
  });

  it('carries the hash to the evidence endpoints and in the database session', async () => {
    const sessions = await rowsOf(
      "select distinct application_name as name from pg_stat_activity where application_name like 'governed-service%'",
    );
    expect(sessions).toEqual([{ name: `governed-service ${HASH}` }]);
  });

  it('keeps nothing in Redis under a key without the hash', async () => {
    await ask(`${service.url}/v1/policies/3`);
    await ask(`${service.url}/v1/policies?status=active&limit=2`);
    const client = new Redis(redis.url);
    try {
      const keys = (await client.keys('*')).filter((key) => key.includes('policy'));
      expect(keys.length).toBeGreaterThanOrEqual(2);
      expect(keys.filter((key) => !key.includes(HASH))).toEqual([]);
    } finally {
      client.disconnect();
    }
  });
});

describe('refusals', () => {
  const refused: [string, Parameters<typeof ask>[1]][] = [
    ['a missing hash', { headers: {} }],
    ['a wrong hash', { headers: { 'x-constitutional-hash': '0123456789abcdef' } }],
    ['upper case', { headers: { 'x-constitutional-hash': HASH.toUpperCase() } }],
    ['the hash inside other text', { headers: { 'x-constitutional-hash': `${HASH}, ${HASH}` } }],
    ['the hash in another header', { headers: { 'x-hash': HASH } }],
  ];
  for (const [what, options] of refused) {
    it(`refuses ${what} with 403, and does not tell the expected one`, async () => {
      const answer = await ask(`${service.url}/v1/policies/1`, options);
      expect(answer.status).toBe(403);
      expect(answer.body).toEqual({
        error: {
          code: expect.stringMatching(/^HOTPATH_CONSTITUTION_[A-Z_]+$/),
          result: expect.stringMatching(/^(missing|malformed|unknown)$/),
          message: expect.stringContaining('the constitutional hash'),
        },
      });
      expect(answer.text + JSON.stringify([...answer.headers])).not.toContain(HASH);
    });
  }

  it('accepts the hash in the body instead of the header, and refuses a wrong one there', async () => {
    const body = { policyId: 1, action: 'read', subject: 'x' };
    const send = (constitutional_hash: unknown): ReturnType<typeof ask> =>
      ask(`${service.url}/v1/decisions`, {
        method: 'POST',
        headers: {},
        body: { ...body, constitutional_hash },
      });
    expect((await send(HASH)).status).toBe(201);
    for (const wrong of ['0123456789abcdef', [HASH], { toString: HASH }, HASH.toUpperCase(), null, 1]) {
      expect((await send(wrong)).status, JSON.stringify(wrong)).toBe(403);
    }
    const nested = { ...body, subject: HASH };
    expect(
      (await ask(`${service.url}/v1/decisions`, { method: 'POST', headers: {}, body: nested })).status,
    ).toBe(403);
  });

  const invalid: [field: string, path: string, body?: unknown][] = [
    ['id', '/v1/policies/abc'],
    ['id', '/v1/policies/0'],
    ['id', '/v1/policies/99999999999'],
    ['id', '/v1/policies/1e3'],
    ['page', '/v1/policies?page=0'],
    ['status', '/v1/policies?status=open'],
    ['state', '/v1/policies?state=active'],
    ['q', '/v1/policies?q=%00'],
    ['q', '/v1/policies?q=a&q=b'],
    ['body', '/v1/policies', '{"policies": ['],
    ['body', '/v1/policies', '[]'],
    ['policies', '/v1/policies', {}],
    ['policies', '/v1/policies', { policies: [] }],
    ['policies[1].version', '/v1/policies', { policies: [policy(1), policy(2, { version: 0 })] }],
    ['policies[0].colour', '/v1/policies', { policies: [policy(1, { colour: 'red' })] }],
    ['policies[0].metadata', '/v1/policies', { policies: [policy(1, { metadata: 1 })] }],
    ['policyId', '/v1/decisions', { policyId: '1', action: 'a', subject: 's' }],
    ['subject', '/v1/decisions', { policyId: 1, action: 'a' }],
  ];
  for (const [field, path, body] of invalid) {
    it(`answers 400 that names ${field} for ${path} ${body === undefined ? '' : JSON.stringify(body).slice(0, 60)}`, async () => {
      const options =
        body === undefined ? {} : { method: 'POST', body, headers: { 'x-constitutional-hash': HASH } };
      const answer = await ask(`${service.url}${path}`, options);
      expect(answer.status).toBe(400);
      expect(answer.body.error.field).toBe(field);
      expect(answer.body.error.message.length).toBeGreaterThan(10);
    });
  }

  it('writes nothing when one policy of many is wrong', async () => {
    const body = { policies: [policy(30_001), policy(30_002, { status: 'open' })] };
    expect((await ask(`${service.url}/v1/policies`, { method: 'POST', body })).status).toBe(400);
    expect(await rowsOf('select id from policies where id in (30001, 30002)')).toEqual([]);
  });
});

describe('operations', () => {
  it('reports health and statistics without a hash', async () => {
    const health = await ask(`${service.url}/health`, { headers: {} });
    expect(health.status).toBe(200);
    expect(health.body).toMatchObject({
      status: 'ok',
      degraded: false,
      postgres: { status: 'up' },
      cache: { hot: 'up', queries: 'up' },
    });
    const stats = await ask(`${service.url}/stats`, { headers: {} });
    expect(Object.keys(stats.body)).toEqual(
      expect.arrayContaining(['cache', 'postgres', 'http', 'limiter', 'constitution']),
    );
  });

  it('limits each client, and says when to come back', async () => {
    await using limited = await startServiceProcess({
      DATABASE_URL: postgres.connectionString,
      REDIS_URL: redis.url,
      RATE_LIMIT_PER_SECOND: '10',
    });
    await limited.printed('Ready');
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask(`${limited.url}/v1/policies/1`)));
    const refused = answers.filter((answer) => answer.status === 429);
    expect(answers.filter((answer) => answer.status === 200).length).toBeGreaterThanOrEqual(10);
    expect(refused.length).toBeGreaterThanOrEqual(20);
    for (const answer of refused) {
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(answer.body.error.code).toBe('HOTPATH_RATE_LIMITED');
    }
    expect((await ask(`${limited.url}/health`, { headers: {} })).status).toBe(200);
  });
});

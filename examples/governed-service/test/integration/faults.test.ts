import { execFileSync } from 'node:child_process';
import { connect } from 'node:net';
import { startPostgres } from '@hotpath/testkit';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { OpenedResources } from '../../src/opened.ts';
import { descendantsOf, isRunning } from '../processes.ts';
import {
  type Answer,
  ask,
  eventually,
  HASH,
  type ServiceProcess,
  startServiceProcess,
} from '../service-process.ts';
import { shareServers } from '../shared-servers.ts';

const servers = shareServers();

async function rowsOf(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: servers.postgres.connectionString });
  await client.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    await client.end();
  }
}

const find = (service: ServiceProcess, id: number): Promise<Answer> =>
  ask(`${service.url}/v1/policies/${id}`);
const health = (service: ServiceProcess): Promise<Answer> => ask(`${service.url}/health`, { headers: {} });
const decide = (service: ServiceProcess, policyId: number, subject = 's'): Promise<Answer> =>
  ask(`${service.url}/v1/decisions`, { method: 'POST', body: { policyId, action: 'read', subject } });

function write(service: ServiceProcess, firstId: number, count: number, name: string): Promise<Answer> {
  const policies = Array.from({ length: count }, (_, index) => ({
    ...{ id: firstId + index, name, version: 1, status: 'active', description: 'Made by a test.' },
    metadata: { constitutional_hash: HASH },
  }));
  return ask(`${service.url}/v1/policies`, { method: 'POST', body: { policies } });
}

function expectUnavailable(answer: Answer): void {
  expect(answer.status, answer.text).toBe(503);
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  expect(answer.body).toEqual({
    error: { code: expect.stringMatching(/^[A-Z_]+$/), message: expect.stringMatching(/try again/) },
  });
}

describe('servers that are silent or gone', () => {
  it('Redis, Postgres and both: reads that are cached go on, writes are refused, and all comes back', async () => {
    await using service = await startServiceProcess(servers.env);
    await service.printed('Ready');
    expect((await find(service, 1)).status).toBe(200);

    servers.redis.freeze();
    expect((await write(service, 1, 50, 'while Redis is silent')).status).toBe(200);
    expect((await find(service, 1)).body.name).toBe('while Redis is silent');
    expect((await find(service, 100)).status).toBe(200);

    servers.postgres.freeze();
    const [cached, uncached, decision, written, state] = await Promise.all([
      find(service, 100),
      find(service, 200),
      decide(service, 1),
      write(service, 1, 5, 'never'),
      health(service),
    ]);
    expect(cached.status).toBe(200);
    for (const answer of [uncached, decision, written]) expectUnavailable(answer);
    expect([state.status, state.body.status]).toEqual([503, 'unavailable']);
    servers.redis.thaw();
    servers.postgres.thaw();
    await eventually(
      () => health(service),
      ({ body }) => body.status === 'ok',
      20_000,
    );
    expect((await find(service, 200)).status).toBe(200);

    await Promise.all([servers.postgres.kill(), servers.redis.kill()]);
    expect((await find(service, 200)).status).toBe(200);
    expectUnavailable(await find(service, 300));
    expectUnavailable(await write(service, 1, 5, 'never'));
    expect((await health(service)).status).toBe(503);
    await Promise.all([servers.postgres.restart(), servers.redis.restart()]);
    await eventually(
      () => health(service),
      ({ body }) => body.status === 'ok',
      20_000,
    );
    expect((await decide(service, 300)).status).toBe(201);
    expect(service.output()).not.toMatch(/failed/);
  });

  it('Postgres is silent at the start: the service waits, and is prepared when it speaks', async () => {
    servers.postgres.freeze();
    await using service = await startServiceProcess(servers.env);
    const early = await health(service);
    expect([early.status, early.body.postgres]).toEqual([503, { status: 'down', prepared: false }]);
    expectUnavailable(await find(service, 1));
    servers.postgres.thaw();
    await service.printed('Ready');
    expect((await health(service)).status).toBe(200);
  });

  it('Postgres is killed under load: every answer is a 503 or a decision with exactly one durable audit row', async () => {
    await using service = await startServiceProcess(servers.env);
    await service.printed('Ready');
    let isOver = false;
    const answers: Answer[] = [];
    const load = Array.from({ length: 10 }, async (_, client) => {
      for (let id = 1 + client; !isOver; id = 1 + ((id + 10) % 500)) answers.push(await decide(service, id));
    });
    await eventually(
      () => decide(service, 1),
      () => answers.length > 50,
      20_000,
    );
    await servers.postgres.kill();
    await eventually(
      () => health(service),
      ({ status }) => status === 503,
      20_000,
    );
    await servers.postgres.restart();
    await eventually(
      () => decide(service, 1),
      ({ status }) => status === 201,
      20_000,
    );
    isOver = true;
    await Promise.all(load);
    expect([...new Set(answers.map(({ status }) => status))].sort()).toEqual([201, 503]);
    for (const answer of answers) if (answer.status === 503) expectUnavailable(answer);
    const told = answers.filter(({ status }) => status === 201).map(({ body }) => body.id as string);
    // Once more, so that only what is on the disk counts.
    await servers.postgres.kill();
    await servers.postgres.restart();
    const recorded = await rowsOf("select details->>'id' as id from audit_logs");
    const times = new Map<unknown, number>();
    for (const { id } of recorded) times.set(id, (times.get(id) ?? 0) + 1);
    expect(told.filter((id) => times.get(id) !== 1)).toEqual([]);
    expect([...times.values()].every((count) => count === 1)).toBe(true);
  });
});

describe('databases that refuse', () => {
  const wrong = (part: 'password' | 'pathname', value: string): string => {
    const url = new URL(servers.postgres.connectionString);
    url[part] = value;
    return url.href;
  };
  it('a wrong password, or no such database: says so, without the password, and tries again', async () => {
    for (const [url, reason] of [
      [wrong('password', 'not-this'), /password authentication failed.*DATABASE_URL right\?; trying again/],
      [wrong('pathname', '/nowhere'), /"nowhere" does not exist.*DATABASE_URL right\?; trying again/],
    ] as const) {
      await using service = await startServiceProcess({ ...servers.env, DATABASE_URL: url });
      await service.printed('trying again');
      expect(service.output()).toMatch(reason);
      expect(service.output()).not.toContain('not-this');
      expectUnavailable(await find(service, 1));
      expect((await health(service)).body.postgres.prepared).toBe(false);
    }
  });

  it('one that became read-only: reads go on, writes and decisions are told to come back', async () => {
    await using readOnly = await startPostgres();
    await using service = await startServiceProcess({
      ...servers.env,
      DATABASE_URL: readOnly.connectionString,
    });
    await service.printed('Ready');
    await ask(`${service.url}/v1/policies?q=retention`);
    execFileSync('sh', [
      '-c',
      `echo "default_transaction_read_only = on" >> '${readOnly.directory}/postgresql.auto.conf'`,
    ]);
    process.kill(readOnly.pid, 'SIGHUP');
    await eventually(
      () => write(service, 1, 1, String(performance.now())),
      ({ status }) => status === 503,
      10_000,
    );
    expectUnavailable(await write(service, 1, 1, 'never'));
    expectUnavailable(await decide(service, 2));
    expect((await find(service, 3)).status).toBe(200);
  });
});

describe('the end', () => {
  const end = async (service: ServiceProcess): Promise<{ code: unknown; tookMs: number }> => {
    const startedMs = performance.now();
    const exited = new Promise((resolve) => service.child.once('exit', resolve));
    service.child.kill('SIGTERM');
    return { code: await exited, tookMs: performance.now() - startedMs };
  };

  it('SIGTERM under load: what was asked is answered, a request that never arrives whole is cut', async () => {
    await using service = await startServiceProcess(servers.env);
    await service.printed('Ready');
    const half = connect(Number(new URL(service.url).port), '127.0.0.1');
    half.on('error', () => {});
    await new Promise<void>((resolve) =>
      half.write('POST /v1/decisions HTTP/1.1\r\nHost: x\r\nContent-', () => resolve()),
    );
    const subject = `at the end ${performance.now()}`;
    const sent = Array.from({ length: 100 }, (_, index) => decide(service, 1 + index, subject));
    const settled = Promise.allSettled(sent);
    await sent[0];
    const { code, tookMs } = await end(service);
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(10_000);
    const answered = (await settled).filter(({ status }) => status === 'fulfilled');
    expect(answered.every((one) => (one as PromiseFulfilledResult<Answer>).value.status === 201)).toBe(true);
    // What had not arrived yet is refused with its connection; what was decided has been told.
    const [counted] = await rowsOf(
      "select count(*)::int as n from audit_logs where details->>'subject' = $1",
      [subject],
    );
    expect(answered.length).toBe(counted?.n);
    half.destroy();
  });

  it('SIGTERM while both servers are silent: the waiting request is answered, then it ends', async () => {
    await using service = await startServiceProcess(servers.env);
    await service.printed('Ready');
    expect((await find(service, 1)).status).toBe(200);
    servers.postgres.freeze();
    servers.redis.freeze();
    try {
      const waiting = find(service, 450);
      // The service answers the second request when it has begun the first.
      await find(service, 1);
      const { code, tookMs } = await end(service);
      expect(code).toBe(0);
      expect(tookMs).toBeLessThan(10_000);
      expectUnavailable(await waiting);
    } finally {
      servers.postgres.thaw();
      servers.redis.thaw();
    }
  });

  it('kill -9 leaves no embedded server behind', async () => {
    await using service = await startServiceProcess({ DATABASE_URL: '', REDIS_URL: '', SEED_POLICIES: '10' });
    await service.printed('Ready');
    const family = descendantsOf(service.child.pid as number);
    expect(family.length).toBeGreaterThan(2);
    service.child.kill('SIGKILL');
    const endMs = performance.now() + 10_000;
    while (family.some(isRunning) && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(family.filter(isRunning)).toEqual([]);
  });
});

it('ten instances start at once on one empty database, write the same policies, and agree', async () => {
  await using empty = await startPostgres();
  const shared = { ...servers.env, DATABASE_URL: empty.connectionString };
  await using stack = new OpenedResources();
  const services = await Promise.all(
    Array.from({ length: 10 }, async () => stack.use(await startServiceProcess(shared))),
  );
  await Promise.all(services.map((service) => service.printed('Ready')));
  await Promise.all(services.map((service) => find(service, 60)));
  const written = await Promise.all(
    Array.from({ length: 30 }, (_, n) =>
      write(services[n % 10] as ServiceProcess, 1 + 25 * (n % 3), 100, `by-${n}`),
    ),
  );
  expect(written.map(({ status }) => status)).toEqual(Array(30).fill(200));
  for (const service of services) expect(service.output()).not.toMatch(/can't|failed/);

  const last = `last-${performance.now()}`;
  expect((await write(services[0] as ServiceProcess, 60, 1, last)).status).toBe(200);
  expect((await find(services[0] as ServiceProcess, 60)).body.name).toBe(last);
  for (const service of services) {
    // The cache's maxStalenessMs, and what a busy machine adds to it.
    await eventually(
      () => find(service, 60),
      ({ body }) => body.name === last,
      2_000,
    );
  }
});

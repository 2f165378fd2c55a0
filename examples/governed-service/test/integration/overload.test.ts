import { Agent, request } from 'node:http';
import { expect, it } from 'vitest';
import { ask, eventually, HASH, startServiceProcess } from '../service-process.ts';
import { shareServers } from '../shared-servers.ts';

const servers = shareServers();

interface Seen {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly text: string;
  readonly tookMs: number;
}

/** A client with an address of its own on loopback. */
function clientAt(baseUrl: string, localAddress: string, maxSockets: number) {
  const agent = new Agent({ keepAlive: true, maxSockets });
  const find = (id: number): Promise<Seen> =>
    new Promise((resolve, reject) => {
      const startedMs = performance.now();
      const headers = { 'x-constitutional-hash': HASH };
      request(`${baseUrl}/v1/policies/${id}`, { agent, localAddress, headers }, (response) => {
        let text = '';
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => {
          const { statusCode = 0, headers } = response;
          const tookMs = performance.now() - startedMs;
          resolve({ status: statusCode, retryAfter: headers['retry-after'], text, tookMs });
        });
      })
        .setTimeout(15_000, () => reject(new Error('not answered within 15 s')))
        .on('error', reject)
        .end();
    });
  return { find, close: () => agent.destroy() };
}

const statuses = (seen: readonly Seen[]): number[] => [...new Set(seen.map(({ status }) => status))].sort();
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

it('a client far over its limit is told when to come back, costs the others nothing, and is served when it does', async () => {
  const limit = 100;
  await using service = await startServiceProcess({ ...servers.env, RATE_LIMIT_PER_SECOND: String(limit) });
  await service.printed('Ready');
  const greedy = clientAt(service.url, '127.0.0.1', 32);
  const modest = clientAt(service.url, '127.0.0.2', 4);
  const heapUsed = async (): Promise<number> =>
    (await ask(`${service.url}/stats`, { headers: {} })).body.memory.heapUsed;
  const hammer = async (forMs: number) => {
    const startedMs = performance.now();
    const [toGreedy, toModest]: [Seen[], Seen[]] = [[], []];
    const isOver = (): boolean => performance.now() - startedMs > forMs;
    await Promise.all([
      ...Array.from({ length: 32 }, async () => {
        while (!isOver()) toGreedy.push(await greedy.find(1 + (toGreedy.length % 400)));
      }),
      (async () => {
        for (; !isOver(); await pause(30)) toModest.push(await modest.find(1 + toModest.length));
      })(),
    ]);
    return { toGreedy, toModest, tookMs: performance.now() - startedMs };
  };
  try {
    await hammer(1_000);
    const atFirst = await heapUsed();
    const { toGreedy, toModest, tookMs } = await hammer(5_000);
    expect(statuses(toGreedy)).toEqual([200, 429]);
    expect(toGreedy.length).toBeGreaterThan(10 * limit);
    const served = toGreedy.filter(({ status }) => status === 200).length;
    expect(served).toBeLessThanOrEqual(limit * (1 + tookMs / 1_000));
    for (const { status, retryAfter } of toGreedy) if (status === 429) expect(retryAfter).toBe('1');
    expect(statuses(toModest)).toEqual([200]);
    expect(toModest.length).toBeGreaterThan(10);
    // Far from a queue behind the greedy one's thousands, with room for a busy machine.
    expect(Math.max(...toModest.map(({ tookMs }) => tookMs))).toBeLessThan(1_000);
    expect((await heapUsed()) - atFirst).toBeLessThan(64 * 1024 * 1024);
    // What it was told to wait, and then its whole burst.
    await pause(1_050);
    expect(statuses(await Promise.all(Array.from({ length: 90 }, (_, n) => greedy.find(1 + n))))).toEqual([
      200,
    ]);
  } finally {
    greedy.close();
    modest.close();
  }
});

it('a service that was frozen gives nothing stale when it goes on, and is well at once', async () => {
  await using frozen = await startServiceProcess(servers.env);
  await using other = await startServiceProcess(servers.env);
  await Promise.all([frozen.printed('Ready'), other.printed('Ready')]);
  const pid = frozen.child.pid as number;
  const ids = Array.from({ length: 50 }, (_, index) => 1 + index);
  const client = clientAt(frozen.url, '127.0.0.1', 100);
  try {
    expect(statuses(await Promise.all(ids.map(client.find)))).toEqual([200]);
    process.kill(pid, 'SIGSTOP');
    const policies = ids.map((id) => ({
      ...{ id, name: 'while frozen', version: 1, status: 'active', description: 'Made by a test.' },
      metadata: { constitutional_hash: HASH },
    }));
    const written = await ask(`${other.url}/v1/policies`, { method: 'POST', body: { policies } });
    expect(written.status).toBe(200);
    // Longer than the service waits for the database, and than the cache may be stale.
    await pause(5_500);
    const asked = Promise.all(ids.map(client.find));
    await pause(100);
    process.kill(pid, 'SIGCONT');
    const seen = await asked;
    expect(statuses(seen)).toEqual([200]);
    expect(new Set(seen.map(({ text }) => JSON.parse(text).name))).toEqual(new Set(['while frozen']));
    await eventually(
      () => ask(`${frozen.url}/health`, { headers: {} }),
      ({ body }) => body.status === 'ok',
      5_000,
    );
    const decided = await Promise.all(
      ids.map((policyId) =>
        ask(`${frozen.url}/v1/decisions`, {
          method: 'POST',
          body: { policyId, action: 'read', subject: 's' },
        }),
      ),
    );
    expect(decided.map(({ status, body }) => [status, body.degraded])).toEqual(Array(50).fill([201, false]));
  } finally {
    process.kill(pid, 'SIGCONT');
    client.close();
  }
});

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { type NodeProcess, type RedisServer, spawnNode, startRedis } from '@hotpath/testkit';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

const folder = join(import.meta.dirname, '..', '..');
let redis: RedisServer;
let service: NodeProcess;
let url: string;

const get = async (path: string): Promise<unknown> => (await fetch(url + path)).json();

beforeAll(async () => {
  // Decorators with metadata are no JavaScript: the service is compiled first, as a team would.
  execFileSync(
    join(folder, '..', '..', 'node_modules', '.bin', 'tsc'),
    ['--project', 'tsconfig.build.json'],
    {
      cwd: folder,
      stdio: 'pipe',
    },
  );
  redis = await startRedis();
  service = spawnNode(join(folder, 'dist', 'main.js'), [], { env: { REDIS_URL: redis.url, PORT: '0' } });
  await vi.waitFor(() => expect(service.stdout + service.stderr).toContain('listening on'), {
    timeout: 20_000,
  });
  url = /listening on (\S+)/.exec(service.stdout)?.[1] as string;
  await vi.waitFor(async () => expect(await get('/health')).toEqual({ cache: 'up', loads: 0 }));
});

afterAll(async () => {
  await service?.[Symbol.asyncDispose]();
  await redis?.[Symbol.asyncDispose]();
});

test('a decorated method is run once for many requests', async () => {
  for (let request = 0; request < 5; request++) {
    expect(await get('/policies/7')).toEqual({ id: '7', title: 'Policy 7', revision: 1 });
  }
  expect(await get('/health')).toEqual({ cache: 'up', loads: 1 });
});

test('what is revised is not served from the cache', async () => {
  const response = await fetch(`${url}/policies/7/revisions`, { method: 'POST' });
  expect(await response.json()).toMatchObject({ revision: 2 });
  expect(await get('/policies/7')).toMatchObject({ revision: 2 });
});

test('it goes on without Redis and ends by itself when asked to', async () => {
  await redis.kill();
  expect(await get('/policies/8')).toMatchObject({ id: '8' });
  await service.kill('SIGTERM');
  expect((await service.exited).code ?? 0).toBe(0);
});

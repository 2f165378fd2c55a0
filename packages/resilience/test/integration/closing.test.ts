import { fileURLToPath } from 'node:url';
import { spawnNode, startRedis } from '@hotpath/testkit';
import { expect, it } from 'vitest';

const leaver = fileURLToPath(new URL('./fixtures/leaver.ts', import.meta.url));

it('a process ends by itself once every policy is closed, and nobody is left waiting', async () => {
  await using server = await startRedis();
  await using node = spawnNode(leaver, [], { env: { REDIS: server.url } });
  const report = await node.receive<{ rejected: number; of: number }>({ timeoutMs: 30_000 });
  expect(report).toEqual({ rejected: 10, of: 10 });
  expect(await node.exited).toEqual({ code: 0, signal: null });
  expect(node.stderr).toBe('');
});

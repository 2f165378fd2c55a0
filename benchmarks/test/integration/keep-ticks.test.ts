import { fileURLToPath } from 'node:url';
import { spawnNode } from '@hotpath/testkit';
import { expect, test } from 'vitest';
import { SERVER_FLAGS } from '../../harness/servers.ts';

const fixture = fileURLToPath(new URL('../fixtures/tick-cost.ts', import.meta.url));

async function tickNs(collections: number): Promise<number> {
  await using child = spawnNode(fixture, [`${collections}`], { nodeArgs: ['--expose-gc', ...SERVER_FLAGS] });
  return await child.receive<number>({ timeoutMs: 30_000 });
}

test('a collection while a process starts does not make its ticks slow for good', async () => {
  const uncollected = await tickNs(0);
  for (const collections of [1, 8]) expect(await tickNs(collections)).toBeLessThan(3 * uncollected);
});

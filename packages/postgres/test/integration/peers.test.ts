import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { spawnNode } from '@hotpath/testkit';
import { expect, it } from 'vitest';
import { startDatabase } from './database.ts';

it('works with the lowest versions of pg and kysely that it says it works with', async () => {
  await using test = await startDatabase();
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const lowest = (name: string): string => manifest.peerDependencies[name].replace('>=', '');
  expect(manifest.devDependencies).toMatchObject({
    'pg-lowest': `npm:pg@${lowest('pg')}`,
    'kysely-lowest': `npm:kysely@${lowest('kysely')}`,
  });
  const main = fileURLToPath(new URL('lowest-peers-main.ts', import.meta.url));
  const child = spawnNode(main, [test.server.connectionString]);
  expect(await child.receive({ timeoutMs: 30_000 })).toMatchObject({ version: lowest('pg') });
  expect(await child.exited).toMatchObject({ code: 0 });
});

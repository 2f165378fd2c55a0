import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { startHttp } from '../support/servers.ts';

const root = new URL('../../', import.meta.url);

/** The examples of all doc comments, with the name of what they are for. */
const examples = globSync('src/**/*.ts', { cwd: root }).flatMap((file) =>
  [
    ...readFileSync(new URL(file, root), 'utf8').matchAll(
      /^ *\* @example\n((?: *\* (?!@).*\n)+)(?: *\*\n(?: *\* .*\n)*)? *\*\/\n *(?:export function |readonly )?(\w+)/gm,
    ),
  ].map(([, lines, name]) => [name as string, (lines as string).replaceAll(/^ *\* ?/gm, '')] as const),
);

describe('the examples of the doc comments', () => {
  it('are there for the function that makes a client, and for what is not just a request', () => {
    expect(examples.map(([name]) => name)).toEqual([
      'gather',
      'gatherStream',
      'batcher',
      'events',
      'stream',
      'dispatcher',
      'createHttpClient',
    ]);
  });

  it('run, and use what they say', async () => {
    await using server = await startHttp((request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost');
      if (pathname === '/v1/changes') {
        // The second connection, after which the reader is told to leave.
        if (request.headers['last-event-id'] === '1') response.writeHead(204).end();
        else {
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          response.end('retry: 1\nevent: change\nid: 1\ndata: first\n\n');
        }
      } else if (pathname === '/v1/export') response.end('exported');
      else if (searchParams.has('id')) {
        response.end(JSON.stringify(searchParams.getAll('id').map((id) => `policy ${id}`)));
      } else response.end(JSON.stringify(pathname.replace('/v1/policies/', 'policy ')));
    });
    const program = `
      import { createHttpClient } from ${JSON.stringify(new URL('src/index.ts', root).href)};
      type Policy = string;
      const ids = [1, 2];
      for (const [name, example] of [
        ${examples.map(([name, code]) => `['${name}', async (client, use) => {{ ${code} }}],`).join('\n')}
      ] as [string, (client: any, use: (...values: unknown[]) => void) => Promise<void>][]) {
        const client = createHttpClient({ baseUrl: 'https://api.example.com/v1' });
        const used: string[] = [];
        await example(client, (...values) => used.push(values.join(' ')));
        await client.close();
        console.log(name, '-', used.sort().join(', '));
      }
    `.replaceAll('https://api.example.com', server.url);
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module-typescript', '--eval', program],
      { cwd: root, timeout: 30_000 },
    );
    expect(stdout.trim().split('\n')).toEqual([
      'gather - policy 1, policy 2',
      'gatherStream - 0 ok, 1 ok',
      'batcher - policy 7',
      'events - change first',
      'stream - exported',
      'dispatcher - policy 7',
      'createHttpClient - policy 7',
    ]);
  });
});

import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { type RedisServer, startRedis } from '@hotpath/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as bottleneck from '../../src/bottleneck.ts';
import * as main from '../../src/index.ts';
import * as opossum from '../../src/opossum.ts';
import * as redis from '../../src/redis.ts';

const root = new URL('../../', import.meta.url);
const source = (file: string): string => JSON.stringify(new URL(`src/${file}`, root).href);
const namesOf = (entry: object): string[] =>
  Object.entries(entry).flatMap(([name, value]) => (typeof value === 'function' ? [name] : []));

const examples = globSync('src/**/*.ts', { cwd: root }).flatMap((file) =>
  [
    ...readFileSync(new URL(file, root), 'utf8').matchAll(
      / \* @example\n((?: \* (?!@).*\n| \*\n)+)(?: \* @.*\n(?: \* .*\n)*)* \*\/\nexport (?:async )?function (\w+)/g,
    ),
  ].map(([, lines, name]) => [name as string, (lines as string).replaceAll(/^ \* ?/gm, '')] as const),
);

// What an example takes for granted.
const prelude = (redisPort: number): string => `
  import { Redis as Client } from 'ioredis';
  ${[
    [main, 'index.ts'],
    [redis, 'redis.ts'],
    [opossum, 'opossum.ts'],
    [bottleneck, 'bottleneck.ts'],
  ]
    .map(
      ([entry, file]) => `import { ${namesOf(entry as object).join(', ')} } from ${source(file as string)};`,
    )
    .join('\n')}
  const clients = [];
  class Redis extends Client {
    constructor() {
      super(${redisPort});
      clients.push(this);
    }
  }
  class InvalidRequest extends Error {}
  const id = '42', key = 'key', url = 'data:,text';
  const { signal } = new AbortController();
  const fetchUser = async () => ({ id });
  const fetchNames = async () => ['a'];
  const query = async () => [];
  const read = async () => 'value';
  const render = async () => 'report';
  const report = async () => 'report';
  const crawl = async () => 'page';
  const page = () => {};
`;

describe('the examples of the doc comments', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('are there for each exported function', () => {
    const exported = [main, redis, opossum, bottleneck].flatMap(namesOf);
    expect(examples.map(([name]) => name).sort()).toEqual([...exported].sort());
  });

  it('run, and give what they say', async () => {
    const runs = examples.map(([name, code]) => {
      const checked = code.replaceAll(
        /^(\w.*); \/\/ ('[^\n]*'|\d+|true)$/gm,
        (_line, expression: string, value: string) =>
          `if ((${expression}) !== ${value}) throw new Error(\`${expression} is \${${expression}}\`);`,
      );
      return `await run('${name}', async () => { ${checked} });`;
    });
    const program = `${prelude(server.port)}
      const failed = [];
      const run = (name, example) => example().catch((error) => failed.push(name + ': ' + error.stack));
      ${runs.join('\n')}
      for (const client of clients) client.disconnect();
      console.log(JSON.stringify(failed));`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module-typescript', '--eval', program],
      { timeout: 30_000, cwd: root },
    );
    expect(JSON.parse(stdout)).toEqual([]);
  });
});

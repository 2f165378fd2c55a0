import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

const root = new URL('../../', import.meta.url);
const source = (file: string): string => JSON.stringify(new URL(`src/${file}`, root).href);
const read = (file: string): string => readFileSync(new URL(file, root), 'utf8');

async function runTypeScript(code: string): Promise<string> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module-typescript', '--eval', code],
    { timeout: 30_000 },
  );
  return stdout;
}

test('the example of the README runs and says what it should', async () => {
  const example = /```ts\n([\s\S]+?)```/.exec(read('README.md'))?.[1] as string;
  const stdout = await runTypeScript(example.replace("'@hotpath/core'", source('index.ts')));
  expect(stdout.split('\n')).toEqual(['user 1', 'user 2', 'user 3', 'user 2', '1 the report', '']);
});

describe('the examples of the doc comments', () => {
  // What an example takes for granted.
  const prelude = `
    import * as core from ${source('index.ts')};
    import * as testing from ${source('testing.ts')};
    const { ${[
      ...['gather', 'gatherStream', 'batcher', 'singleFlight', 'linkSignals', 'abortable', 'sleep'],
      ...['createTimerWheel', 'WheelTimer', 'eventChannel', 'optionReader', 'seededRandom'],
      ...['isHotpathError', 'deadlineError'],
    ].join(', ')} } = core;
    const { createVirtualClock } = testing;
    type User = { id: number };
    const ids = [1, 2, 3];
    const request = { signal: new AbortController().signal };
    const load = async (id: number, options?: object) => ({ id });
    const loadUsers = async (given: readonly number[]) => given.map((id) => ({ id }));
    const use = (value: unknown) => {};
  `;
  const examples = globSync('src/**/*.ts', { cwd: root }).flatMap((file) =>
    [
      ...read(file).matchAll(
        / \* @example\n((?: \* (?!@).*\n)+)[\s\S]*?\*\/\nexport (?:async )?function (\w+)/g,
      ),
    ].map(([, lines, name]) => [name as string, (lines as string).replaceAll(/^ \* /gm, '')] as const),
  );

  test('there is one for each function that makes or does something', () => {
    expect(examples.map(([name]) => name).sort()).toEqual([
      'abortable',
      'batcher',
      'createTimerWheel',
      'createVirtualClock',
      'eventChannel',
      'gather',
      'gatherStream',
      'isHotpathError',
      'linkSignals',
      'optionReader',
      'seededRandom',
      'singleFlight',
      'sleep',
    ]);
  });

  test('they run', async () => {
    const blocks = examples.map(
      ([name, code]) => `await (async () => {\n${code}})();\nconsole.log('${name}');`,
    );
    const stdout = await runTypeScript(`${prelude}\n${blocks.join('\n')}`);
    expect(stdout.trim().split('\n')).toEqual(examples.map(([name]) => name));
  });
});

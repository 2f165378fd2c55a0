import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

test('the example of the README runs and says what it should', async () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const example = /```ts\n([\s\S]+?)```/.exec(readme)?.[1] as string;
  const source = new URL('../../src/index.ts', import.meta.url).href;
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module-typescript',
    '--eval',
    example.replace("'@hotpath/core'", JSON.stringify(source)),
  ]);
  expect(stdout.split('\n')).toEqual(['user 1', 'user 2', 'user 3', 'user 2', '1 the report', '']);
});

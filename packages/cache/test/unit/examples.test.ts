import { globSync, readFileSync } from 'node:fs';
import ts from 'typescript';
import { expect, test } from 'vitest';
import * as main from '../../src/index.ts';
import * as keyv from '../../src/keyv.ts';

const root = new URL('../../src/', import.meta.url);
const exported: Record<string, unknown> = { ...main, ...keyv };

/** Each `@example` of a function that is exported, by the function's name. */
const examples = globSync('*.ts', { cwd: root }).flatMap((file) =>
  [
    ...readFileSync(new URL(file, root), 'utf8').matchAll(
      / \* @example\n((?: \* (?!@).*\n| \*\n)+)(?: \* @.*\n(?: \* .*\n)*)* \*\/\nexport (?:async )?function (\w+)/g,
    ),
  ].map(([, lines, name]) => [name as string, (lines as string).replaceAll(/^ \* ?/gm, '')] as const),
);

test.each(examples)('the example of %s runs', async (_name, code) => {
  // What the decorators' examples take for granted.
  await using cache = main.createCache({ namespace: 'examples' });
  const { outputText } = ts.transpileModule(`return (async () => {\n${code}\n})();`, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  const names = Object.keys(exported).filter((name) => typeof exported[name] === 'function');
  // An example's own cache hides the given one.
  const run = new Function('cache', ...names, `{${outputText}}`);
  await run(cache, ...names.map((name) => exported[name]));
});

test('every function that makes something has an example', () => {
  const without = Object.keys(exported).filter((name) => {
    return typeof exported[name] === 'function' && !examples.some(([shown]) => shown === name);
  });
  expect(without).toEqual([]);
});

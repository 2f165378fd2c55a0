import { expect, test } from 'vitest';
import { installedBy, programsOf, serversOf } from '../../docs/blocks.ts';

const fence = (code: string, language = 'ts'): string => `\`\`\`${language}\n${code}\n\`\`\`\n`;
const codes = (text: string): string[] => programsOf('page.md', text).map(({ code }) => code);

test('every ts or js block is a program, with the line that it begins at', () => {
  const programs = programsOf('page.md', `# Title\n\n${fence('one();')}\ntext\n\n${fence('two();', 'js')}`);
  expect(programs).toEqual([
    { language: 'ts', page: 'page.md', line: 3, code: 'one();\n' },
    { language: 'js', page: 'page.md', line: 9, code: 'two();\n' },
  ]);
});

test('blocks in other languages are none', () => {
  expect(codes(fence('npm install', 'sh') + fence('plain', '') + fence('{}', 'json'))).toEqual([]);
});

test('hidden comments add what comes before and after', () => {
  const text = `<!-- before\nopen();\n-->\n\n${fence('use();')}\n<!-- after\nclose();\n-->\n`;
  expect(codes(text)).toEqual(['open();\nuse();\n\nclose();\n']);
});

test('a block that continues is joined to the one above, and what comes after stays last', () => {
  const text = `${fence('one();')}\n<!-- after\nclose();\n-->\n\ntext\n\n<!-- continues -->\n\n${fence('two();')}`;
  expect(codes(text)).toEqual(['one();\n\ntwo();\n\nclose();\n']);
});

test('a comment that stands apart from a block belongs to none', () => {
  expect(codes(`<!-- before\nopen();\n-->\n\ntext\n\n${fence('use();')}`)).toEqual(['use();\n']);
});

test('a block in a list loses the indentation of the list only', () => {
  expect(codes('1. first\n\n   ```ts\n   if (a) {\n     b();\n   }\n   ```\n')).toEqual([
    'if (a) {\n  b();\n}\n',
  ]);
});

test('the packages of the first installation line are found, options are not', () => {
  expect(installedBy('page.md', fence('npm install --save @hotpath/cache ioredis', 'sh'))).toEqual([
    '@hotpath/cache',
    'ioredis',
  ]);
  expect(installedBy('page.md', 'nothing')).toEqual([]);
});

test('a program is given the servers that it names', () => {
  expect(serversOf({ code: 'new Redis(process.env.REDIS_URL)' })).toEqual({ redis: true, postgres: false });
  expect(serversOf({ code: 'new Redis()' })).toEqual({ redis: true, postgres: false });
  expect(serversOf({ code: 'process.env.DATABASE_URL' })).toEqual({ redis: false, postgres: true });
});

// Makes docs/errors.md from the "Errors" table of each package's README, and holds those tables
// against the code: every code that a package's sources name is listed by one package, and no other.
// With --write the page is written; without, it is only compared.
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packages, root } from './steps.ts';

const problems: string[] = [];
const listed = new Map<string, string>();
const sections: string[] = [];

for (const name of packages) {
  const readme = join(root, 'packages', name, 'README.md');
  const text = existsSync(readme) ? readFileSync(readme, 'utf8') : '';
  const rows = text
    .split('\n')
    .filter((line) => /^\| `HOTPATH_[A-Z0-9_]+` +\|/.test(line))
    .map((line) => line.replace(/ +\|/g, ' |'));
  for (const row of rows) {
    const code = /`(HOTPATH_[A-Z0-9_]+)`/.exec(row)?.[1] as string;
    if (row.split(' | ').length !== 4)
      problems.push(`packages/${name}/README.md: ${code} needs code, class, cause and cure`);
    if (listed.has(code)) problems.push(`${code} is listed by ${listed.get(code)} and by ${name}`);
    listed.set(code, name);
  }
  if (rows.length === 0) continue;
  sections.push(
    `## @hotpath/${name}\n\n| Code | Class | When | What to do |\n|---|---|---|---|\n${rows.sort().join('\n')}\n`,
  );
}

const inCode = new Map<string, string>();
for (const file of globSync('packages/*/src/**/*.ts', { cwd: root }).sort()) {
  for (const match of readFileSync(join(root, file), 'utf8').matchAll(/'(HOTPATH_[A-Z0-9_]+)'/g)) {
    inCode.set(match[1] as string, file);
  }
}
for (const [code, file] of inCode) if (!listed.has(code)) problems.push(`no README lists ${code} (${file})`);
for (const [code, name] of listed) {
  if (!inCode.has(code)) problems.push(`packages/${name}/README.md lists ${code}, which no source names`);
}

const page = `# Errors

Every error that hotpath throws on purpose has a stable \`code\`; recognise one with
\`isHotpathError(error, code)\`, which also works across copies and versions of the packages. A caller's
own \`signal.reason\` is rethrown untouched; a wrong option is a plain \`TypeError\` or \`RangeError\` that
names the option. This page is made from the tables in the packages' READMEs.

${sections.join('\n')}`;
const path = join(root, 'docs', 'errors.md');
if (process.argv.includes('--write')) writeFileSync(path, page);
else if (!existsSync(path) || readFileSync(path, 'utf8') !== page) {
  problems.push('docs/errors.md is not what the READMEs say: run node scripts/errors-page.ts --write');
}
for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;

// Holds the direction of imports between packages, and forbids cycles between files and syntax that Node 22 can't read.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { root } from './steps.ts';

const allowed: Record<string, readonly string[]> = {
  core: [],
  constitution: ['core'],
  resilience: ['core'],
  cache: ['core', 'resilience'],
  http: ['core', 'resilience'],
  postgres: ['core', 'resilience'],
};

const problems: string[] = [];
const importsOf = new Map<string, string[]>();
const specifiers =
  /^\s*(?:import|export)\b[^'"`;]*?from\s*['"]([^'"]+)['"]|^\s*import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm;

for (const file of globSync('packages/*/src/**/*.ts', { cwd: root }).sort()) {
  const owner = file.split('/')[1] as string;
  const targets: string[] = [];
  const text = readFileSync(join(root, file), 'utf8');
  // Tests run the sources as they are, in processes of their own.
  if (/^\s*(?:await )?using \w+ =/m.test(text)) problems.push(`${file}: Node 22 does not know 'using' yet`);
  for (const match of text.matchAll(specifiers)) {
    const specifier = (match[1] ?? match[2] ?? match[3]) as string;
    const statement = match[0];
    const ours = /^@hotpath\/([^/]+)/.exec(specifier);
    if (ours !== null && !(allowed[owner] ?? []).includes(ours[1] as string)) {
      problems.push(`${file}: @hotpath/${owner} must not import ${specifier}`);
    }
    if (!specifier.startsWith('.')) continue;
    const target = relative(root, resolve(root, dirname(file), specifier));
    if (!existsSync(join(root, target))) problems.push(`${file}: ${specifier} does not exist`);
    if (!target.startsWith(`packages/${owner}/src/`))
      problems.push(`${file}: ${specifier} leaves the package's sources`);
    if (!/^\s*(import|export)\s+type\b/.test(statement)) targets.push(target);
  }
  importsOf.set(file, targets);
}

const state = new Map<string, 'open' | 'done'>();
function visit(file: string, path: readonly string[]): void {
  if (state.get(file) === 'done') return;
  if (state.get(file) === 'open') {
    problems.push(`import cycle: ${[...path.slice(path.indexOf(file)), file].join(' -> ')}`);
    return;
  }
  state.set(file, 'open');
  for (const target of importsOf.get(file) ?? []) visit(target, [...path, file]);
  state.set(file, 'done');
}
for (const file of importsOf.keys()) visit(file, []);

for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;

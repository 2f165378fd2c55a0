import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installedBy, NODE_ARGUMENTS, programsOf } from '../docs/blocks.ts';
import { exec } from './step.ts';
import { compilers, node as defaultNode, npm, pnpm } from './tools.ts';
import type { Manifest } from './tree.ts';

/** Which tool installs, and for npm the Node that it runs on; pnpm brings its own. */
export type Installer = { readonly tool: 'npm'; readonly node: string } | { readonly tool: 'pnpm' };

/** A project outside of the workspace that has installed some of our packages. */
export interface Consumer {
  readonly folder: string;
  readonly manifests: readonly Manifest[];
}

/** Everything that the user of one package installs according to its README. */
export function installLine(tree: string, manifest: Manifest): string[] {
  const page = readme(tree, manifest);
  const names = installedBy(page);
  if (!names.includes(manifest.name)) throw new Error(`${page} has no line "npm install ${manifest.name}"`);
  return names;
}

function readme(tree: string, manifest: Manifest): string {
  return join(tree, 'packages', manifest.name.slice('@hotpath/'.length), 'README.md');
}

/** Makes an empty project and installs the named packages in it from the rehearsal's registry. */
export async function createConsumer(
  folder: string,
  options: {
    readonly manifests: readonly Manifest[];
    readonly install: readonly string[];
    readonly installer: Installer;
    readonly npmrc: string;
    readonly caches: string;
  },
): Promise<Consumer> {
  const { manifests, install, installer, npmrc, caches } = options;
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, '.npmrc'),
    `${npmrc}cache=${caches}/npm\naudit=false\nfund=false\nupdate-notifier=false\n`,
  );
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'consumer', private: true, type: 'module' }),
  );
  const names = [...install, TYPES];
  // No setting of the machine may decide what is installed.
  const env = {
    npm_config_userconfig: join(folder, '.npmrc'),
    npm_config_globalconfig: join(folder, 'none'),
    CI: 'true',
  };
  if (installer.tool === 'npm') {
    await exec(installer.node, [npm, 'install', '--no-progress', '--engine-strict', ...names], {
      cwd: folder,
      timeoutMs: 180_000,
      node: installer.node,
      env,
    });
  } else {
    // What was published a moment ago is wanted here, and no package needs a script of its own to be built.
    writeFileSync(
      join(folder, 'pnpm-workspace.yaml'),
      `storeDir: ${caches}/pnpm-store\ncacheDir: ${caches}/pnpm-cache\nminimumReleaseAge: 0\nstrictDepBuilds: false\n`,
    );
    await exec(pnpm, ['add', ...names], { cwd: folder, timeoutMs: 180_000, node: defaultNode, env });
  }
  return { folder, manifests };
}

const TYPES = '@types/node@24.19.2';

/** Every entry of a package that a program can import. */
function entriesOf(manifest: Manifest): string[] {
  return Object.keys(manifest.exports)
    .filter((entry) => entry !== './package.json')
    .map((entry) => manifest.name + entry.slice(1));
}

/** Imports and requires each entry, and compares what the two give. */
export async function smoke({ folder, manifests }: Consumer, node: string): Promise<void> {
  const entries = manifests.flatMap(entriesOf);
  const args = [JSON.stringify({ entries, packages: manifests.map(({ name }) => name) })];
  for (const file of ['import-first.mjs', 'require-first.cjs']) {
    const path = join(folder, file);
    writeFileSync(path, file.endsWith('.mjs') ? IMPORT_FIRST : REQUIRE_FIRST);
    await exec(node, [path, ...args], { cwd: folder, timeoutMs: 60_000, node });
  }
}

const CHECKS = `
  const fail = (what) => { console.error(what); process.exitCode = 1; };
  const compare = (entry, imported, required) => {
    const names = Object.keys(imported);
    if (names.length === 0) fail(entry + ' exports nothing');
    for (const name of names) {
      if (imported[name] !== required[name]) fail(entry + ': import and require give two ' + name);
    }
  };`;

const IMPORT_FIRST = `import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
const { entries, packages } = JSON.parse(process.argv[2]);
${CHECKS}
const seen = [];
for (const entry of entries) {
  const imported = await import(entry);
  compare(entry, imported, require(entry));
  seen.push([entry, imported]);
}
// pnpm shows a project only what it asked for itself.
const core = await import('@hotpath/core').catch((error) => {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
});
for (const [entry, imported] of seen) {
  for (const [name, value] of Object.entries(imported)) {
    if (typeof value !== 'function' || !(value.prototype instanceof Error) || core === undefined) continue;
    if (value.name !== name) fail(entry + ': ' + name + ' is called ' + value.name + ' in stack traces');
    if (value.prototype[Symbol.for('hotpath.error')] !== true) fail(entry + ': ' + name + ' is no error of ours');
    for (let base = value; base !== Function.prototype; base = Object.getPrototypeOf(base)) {
      if (base.name === 'HotpathError' && base !== core.HotpathError) fail(entry + ': ' + name + ' comes from a second copy of @hotpath/core');
    }
  }
}
for (const name of packages) {
  if (require(name + '/package.json').name !== name) fail(name + '/package.json is not its manifest');
  const inner = await import(name + '/dist/index.js').then(() => 'no error', (error) => error.code);
  if (inner !== 'ERR_PACKAGE_PATH_NOT_EXPORTED') fail(name + ': internals can be reached (' + inner + ')');
}
`;

const REQUIRE_FIRST = `const { entries } = JSON.parse(process.argv[2]);
${CHECKS}
(async () => {
  for (const entry of entries) {
    const required = require(entry);
    compare(entry, await import(entry), required);
  }
})();
`;

/**
 * Compiles a program that uses the given entries, as ESM and as CommonJS, with each compiler and resolution.
 *
 * Our declarations are checked as well; those of drivers and frameworks are not ours to check.
 */
export async function compile(
  { folder, manifests }: Consumer,
  isWanted: (entry: string) => boolean,
): Promise<void> {
  const entries = manifests.flatMap(entriesOf).filter(isWanted);
  const types = entries.map((entry, index) => `import * as entry${index} from '${entry}';\n`).join('');
  const all = `[${entries.map((_, index) => `entry${index}`).join(', ')}]`;
  writeFileSync(join(folder, 'use.ts'), `${types}export const entries: readonly object[] = ${all};\n`);
  const requires = entries.map((entry, index) => `import entry${index} = require('${entry}');\n`).join('');
  writeFileSync(join(folder, 'use.cts'), `${requires}export const entries: readonly object[] = ${all};\n`);
  for (const { major, path } of compilers) {
    for (const resolution of ['nodenext', 'bundler']) {
      const config = join(folder, `tsconfig.${major}.${resolution}.json`);
      const isNode = resolution === 'nodenext';
      writeFileSync(
        config,
        JSON.stringify({
          compilerOptions: {
            target: 'es2023',
            lib: ['es2023', 'esnext.disposable'],
            module: isNode ? 'nodenext' : 'esnext',
            moduleResolution: resolution,
            strict: true,
            exactOptionalPropertyTypes: true,
            noEmit: true,
            types: ['node'],
            skipLibCheck: false,
          },
          files: isNode ? ['use.ts', 'use.cts'] : ['use.ts'],
        }),
      );
      const output = await exec(defaultNode, [path, '--pretty', 'false', '--project', config], {
        cwd: folder,
        timeoutMs: 120_000,
        codes: [0, 1, 2],
      });
      const problems = output.split('\n').filter((line) => /error TS/.test(line) && isOurs(line));
      if (problems.length > 0) {
        throw new Error(`TypeScript ${major}, ${resolution}:\n${problems.slice(0, 20).join('\n')}`);
      }
    }
  }
}

/** Whether a diagnostic is about the program or our declarations, not about those of drivers and frameworks. */
function isOurs(diagnostic: string): boolean {
  const file = diagnostic.split('(')[0] as string;
  return !file.includes('node_modules/') || file.includes('node_modules/@hotpath/');
}

/** Runs the first example of a package's README as it stands, against real servers. */
export async function runFirstExample(
  { folder }: Consumer,
  options: {
    readonly tree: string;
    readonly manifest: Manifest;
    readonly node: string;
    readonly env: Record<string, string>;
  },
): Promise<void> {
  const { tree, manifest, node, env } = options;
  const page = readme(tree, manifest);
  const [first] = programsOf(page);
  if (first === undefined) throw new Error(`${page} has no example`);
  const path = join(folder, `${manifest.name.replace(/\W+/g, '-').slice(1)}.${first.language}`);
  writeFileSync(path, first.code);
  await exec(node, [...NODE_ARGUMENTS, path], { cwd: folder, timeoutMs: 60_000, node, env });
}

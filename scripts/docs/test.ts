import { existsSync, globSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startPostgres, startRedis } from '../../testkit/src/index.ts';
import { exec, killRunning } from '../release/step.ts';
import { root } from '../steps.ts';
import { NODE_ARGUMENTS, type Program, programsOf, serversOf } from './blocks.ts';

const TIMEOUT_MS = 60_000;

/** Where the programs find the packages: an example that depends on all of them, and on every driver. */
const MODULES = join(root, 'examples', 'basics', 'node_modules');

const COMPILER_OPTIONS = {
  target: 'es2023',
  lib: ['es2023', 'esnext.disposable', 'dom.asynciterable'],
  module: 'nodenext',
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: true,
  erasableSyntaxOnly: true,
  allowImportingTsExtensions: true,
  allowJs: true,
  checkJs: false,
  skipLibCheck: true,
  noEmit: true,
};

/** Pages whose blocks are promises to readers. */
function pages(): string[] {
  return globSync(['README.md', 'packages/*/README.md', 'docs/**/*.md'], {
    cwd: root,
    exclude: (path) => /(^|\/)(node_modules|\.vitepress)$|^docs\/(reference|packages)$/.test(path),
  }).sort();
}

/**
 * Compiles and runs every `ts` and `js` block of the pages that match one of the words, or of all pages.
 *
 * Each block is a program of its own that has to end by itself, with exit code 0, within a minute. Blocks that use a
 * server share a real Redis, which is emptied before each, and a real Postgres, where each has a database of its own.
 */
export async function testDocs(
  words: readonly string[],
): Promise<{ readonly passed: number; readonly failed: number }> {
  const programs = pages()
    .filter((page) => words.length === 0 || words.some((word) => page.includes(word)))
    .flatMap((page) => programsOf(page));
  const folder = join(root, '.hotpath', 'docs');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  if (!existsSync(MODULES)) throw new Error(`${MODULES} is missing`);
  symlinkSync(MODULES, join(folder, 'node_modules'), 'dir');
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n');
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: COMPILER_OPTIONS, include: ['*.ts', '*.js'] }),
  );
  const files = new Map<string, Program>();
  for (const program of programs) {
    const name = `${program.page.replace(/\.md$/, '').replaceAll(/\W+/g, '-')}-${program.line}.${program.language}`;
    writeFileSync(join(folder, name), program.code);
    files.set(name, program);
  }
  const complaints = await compile(folder, files);
  for (const [name, complaint] of await runAll(folder, files)) {
    complaints.set(name, [...(complaints.get(name) ?? []), complaint]);
  }
  for (const [name, { page, line }] of files) {
    const found = complaints.get(name);
    console.error(`${found === undefined ? 'ok    ' : 'FAILED'} ${page}:${line}`);
    for (const complaint of found ?? []) console.error(complaint.replaceAll(/^/gm, '       '));
  }
  console.error(`${files.size} code blocks, ${complaints.size} failed`);
  return { passed: files.size - complaints.size, failed: complaints.size };
}

async function compile(folder: string, files: ReadonlyMap<string, Program>): Promise<Map<string, string[]>> {
  const complaints = new Map<string, string[]>();
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const output = await exec(process.execPath, [tsc, '--pretty', 'false', '--project', folder], {
    cwd: folder,
    timeoutMs: 180_000,
    codes: [0, 1, 2],
  });
  for (const line of output.split('\n')) {
    const name = /^([^(]+)\(\d+,\d+\): error TS/.exec(line)?.[1];
    if (name === undefined) continue;
    if (!files.has(name)) throw new Error(line);
    complaints.set(name, [...(complaints.get(name) ?? []), line]);
  }
  return complaints;
}

async function runAll(
  folder: string,
  files: ReadonlyMap<string, Program>,
): Promise<[name: string, complaint: string][]> {
  const wanted = [...files.values()].map(serversOf);
  await using stack = new AsyncDisposableStack();
  const redis = wanted.some((servers) => servers.redis) ? stack.use(await startRedis()) : undefined;
  const postgres = wanted.some((servers) => servers.postgres) ? stack.use(await startPostgres()) : undefined;
  const failures: [string, string][] = [];
  try {
    let database = 0;
    for (const [name, program] of files) {
      const servers = serversOf(program);
      const env: Record<string, string> = {};

      if (redis !== undefined && servers.redis) {
        await redis.restart();
        env.REDIS_URL = redis.url;
      }
      if (postgres !== undefined && servers.postgres) {
        env.DATABASE_URL = await freshDatabase(postgres.connectionString, `docs_${database++}`);
      }
      const options = { cwd: folder, timeoutMs: TIMEOUT_MS, env };
      await exec(process.execPath, [...NODE_ARGUMENTS, join(folder, name)], options).catch((error: Error) => {
        failures.push([name, error.message]);
      });
    }
  } finally {
    killRunning();
  }
  return failures;
}

async function freshDatabase(connectionString: string, name: string): Promise<string> {
  const { default: pg } = await import(join(MODULES, 'pg', 'esm', 'index.mjs'));
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await client.query(`create database ${name}`);
  } finally {
    await client.end();
  }
  const url = new URL(connectionString);
  url.pathname = `/${name}`;
  return url.href;
}

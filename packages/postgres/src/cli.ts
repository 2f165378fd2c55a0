import { readFile } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { isHotpathError } from '@hotpath/core';
import type { IndexDefinition } from './indexes/definition.ts';
import { governanceIndexes } from './indexes/governance.ts';
import type { Indexes } from './indexes/indexes.ts';
import type { PlannedIndex } from './indexes/plan.ts';
import { drawProgress } from './indexes/progress-bar.ts';
import { createPostgres } from './postgres.ts';

const USAGE = `hotpath-indexes plan|apply|report [options]

  plan     shows what apply would do; changes nothing
  apply    brings the indexes to what is declared
  report   lists unused, duplicate, invalid, bloated and missing indexes

  --url <connection string>     default: DATABASE_URL
  --definitions <file>          a module whose default export is a list of definitions, or JSON
  --governance <hash>           the seven indexes of a governed service, for this hash
  --lock-timeout <seconds>      how long to wait for another runner (default 600)
  --build-timeout <seconds>     how long one build may take (default 3600)
  --json                        writes JSON

Exit codes: 0 all is as declared; 1 it failed; 2 wrong usage; 3 plan: there is something to do, or
report: something is invalid or missing; 4 apply: something is blocked.
`;

/** What the process ends with. */
const EXIT = { settled: 0, failed: 1, usage: 2, pending: 3, blocked: 4 } as const;

/** Where a command writes to. */
export interface CliOutput {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean };
}

class UsageError extends Error {}

/** Runs the command line; returns the exit code. */
export async function runCli(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  output: CliOutput,
): Promise<number> {
  try {
    return await run(args, env, output);
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS')) {
      output.stderr.write(`hotpath-indexes: ${message}\n\n${USAGE}`);
      return EXIT.usage;
    }
    const code = isHotpathError(error) ? `${error.code}: ` : '';
    output.stderr.write(`hotpath-indexes: ${code}${message}\n`);
    return EXIT.failed;
  }
}

async function run(args: readonly string[], env: NodeJS.ProcessEnv, output: CliOutput): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      url: { type: 'string' },
      definitions: { type: 'string' },
      governance: { type: 'string' },
      'lock-timeout': { type: 'string' },
      'build-timeout': { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    output.stdout.write(USAGE);
    return EXIT.settled;
  }
  const [command, ...others] = positionals;
  if (others.length > 0 || (command !== 'plan' && command !== 'apply' && command !== 'report')) {
    throw new UsageError(`say one of plan, apply and report, got ${positionals.join(' ') || 'nothing'}`);
  }
  const connectionString = values.url ?? env.DATABASE_URL;
  if (!connectionString) throw new UsageError('give --url, or set DATABASE_URL');
  const definitions = [
    ...(values.definitions === undefined ? [] : await readDefinitions(values.definitions)),
    ...(values.governance === undefined ? [] : governanceIndexes(values.governance)),
  ];
  if (definitions.length === 0 && command !== 'report')
    throw new UsageError('give --definitions or --governance');
  const seconds = (name: 'lock-timeout' | 'build-timeout'): { [key: string]: number } => {
    const given = values[name];
    if (given === undefined) return {};
    const number = Number(given);
    if (!(number >= 0)) throw new UsageError(`--${name} must be a number of seconds, got ${given}`);
    return { [name === 'lock-timeout' ? 'lockTimeoutMs' : 'buildTimeoutMs']: number * 1000 };
  };
  const limits = { ...seconds('lock-timeout'), ...seconds('build-timeout') };
  const db = createPostgres({ connectionString });
  try {
    if (command === 'plan') return await plan(db.indexes, definitions, values.json, output);
    if (command === 'report') return await report(db.indexes, definitions, values.json, output);
    return await apply(db.indexes, definitions, limits, values.json, output);
  } finally {
    await db.close();
  }
}

async function readDefinitions(file: string): Promise<readonly IndexDefinition[]> {
  const path = resolve(file);
  const content: unknown =
    extname(path) === '.json'
      ? JSON.parse(await readFile(path, 'utf8'))
      : ((await import(pathToFileURL(path).href)) as { default: unknown }).default;
  if (!Array.isArray(content)) throw new UsageError(`${file} must give a list of definitions`);
  return content as readonly IndexDefinition[];
}

async function plan(
  indexes: Indexes,
  definitions: readonly IndexDefinition[],
  json: boolean,
  { stdout }: CliOutput,
): Promise<number> {
  const found = await indexes.plan(definitions);
  if (json) stdout.write(`${JSON.stringify(found, undefined, 2)}\n`);
  else {
    for (const item of found.items) stdout.write(lineOf(item, true));
    for (const name of found.orphans) stdout.write(`orphan         ${name}: was declared once, is not now\n`);
    for (const { pid, state, ageMs } of found.oldTransactions) {
      stdout.write(
        `old            session ${pid} (${state}) has a transaction open for ${Math.round(ageMs / 1000)} s\n`,
      );
    }
  }
  return found.isSettled ? EXIT.settled : EXIT.pending;
}

async function apply(
  indexes: Indexes,
  definitions: readonly IndexDefinition[],
  limits: object,
  json: boolean,
  { stdout, stderr }: CliOutput,
): Promise<number> {
  const bar = drawProgress(stderr);
  const applied = await indexes.apply(definitions, { ...limits, onProgress: bar.draw }).finally(bar.end);
  if (json) stdout.write(`${JSON.stringify(applied, undefined, 2)}\n`);
  else {
    for (const item of [...applied.done, ...applied.blocked]) stdout.write(lineOf(item, false));
    for (const name of applied.orphans)
      stdout.write(`orphan         ${name}: was declared once, is not now\n`);
    if (applied.done.length + applied.blocked.length === 0) stdout.write('nothing to do\n');
  }
  return applied.blocked.length > 0 ? EXIT.blocked : EXIT.settled;
}

async function report(
  indexes: Indexes,
  definitions: readonly IndexDefinition[],
  json: boolean,
  { stdout }: CliOutput,
): Promise<number> {
  const found = await indexes.report(definitions);
  if (json) stdout.write(`${JSON.stringify(found, undefined, 2)}\n`);
  else {
    for (const [kind, list] of Object.entries(found)) {
      for (const { name, table, bytes, detail } of list) {
        stdout.write(
          `${kind.padEnd(10)} ${name} on ${table}: ${detail}${bytes > 0 ? ` (${Math.ceil(bytes / 1024)} KB)` : ''}\n`,
        );
      }
    }
  }
  return found.invalid.length + found.missing.length > 0 ? EXIT.pending : EXIT.settled;
}

function lineOf({ action, name, table, reason, sql }: PlannedIndex, withSql: boolean): string {
  const statements = withSql ? sql.map((statement) => `               ${statement};\n`).join('') : '';
  return `${action.padEnd(14)} ${name} on ${table}: ${reason}\n${statements}`;
}

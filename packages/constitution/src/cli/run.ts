import { parseArgs } from 'node:util';
import { isHotpathError } from '@hotpath/core';
import { auditCommand } from './audit.ts';
import { type CommandResult, type ExitCode, type Output, UsageError } from './output.ts';
import { checkCommand, computeCommand, diffCommand, rotateCommand } from './pin.ts';

const USAGE = `hotpath-constitution <command> [options]

  compute <document>       print a document's fingerprint
      --profile raw|text-v1|jcs-v1   default raw
      --write                        pin it: make the pin file, with version 1
  check                    recompute the pinned document; fails on drift, and when its time is over
  diff                     show the lines that differ from the accepted text
  rotate                   pin the document as it is now as the next version
      --lead <time>                  between accepted and stamped, default 0s
      --grace <time>                 how long the version before is accepted then, default 24h
      --until <moment>               when the new version is retired, default never
      --force                        allow an earlier version again
  audit verify <folder>    name every entry that was altered, removed or moved
      --public-key <file>            PEM; every checkpoint must be signed by it
      --checkpoint <file>            a checkpoint that was kept elsewhere; may be repeated
  audit prove <folder> <index>       print an inclusion proof
  audit export <folder>              print the entries, one a line

  --pin <file>             default constitution.lock.json
  --json                   print one JSON object

Times: 90s, 15m, 24h, 7d. Moments: ISO 8601 with a zone.
Exit codes: 0 as it must be; 1 drift, difference or damage; 2 wrong usage; 3 could not tell.`;

const OPTIONS = {
  profile: { type: 'string' },
  write: { type: 'boolean' },
  lead: { type: 'string' },
  grace: { type: 'string' },
  until: { type: 'string' },
  force: { type: 'boolean' },
  'public-key': { type: 'string' },
  checkpoint: { type: 'string', multiple: true },
  pin: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** The options that were given. */
export type Flags = ReturnType<
  typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>
>['values'];

interface Command {
  readonly flags: readonly string[];
  readonly run: (operands: readonly string[], flags: Flags, output: Output) => Promise<CommandResult>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  compute: { flags: ['profile', 'write', 'pin'], run: computeCommand },
  check: { flags: ['pin'], run: checkCommand },
  diff: { flags: ['pin'], run: diffCommand },
  rotate: { flags: ['pin', 'lead', 'grace', 'until', 'force'], run: rotateCommand },
  audit: { flags: ['public-key', 'checkpoint'], run: auditCommand },
};

/** Runs the command line; never throws. */
export async function run(args: readonly string[], output: Output): Promise<ExitCode> {
  let isJson = args.includes('--json');
  try {
    const { values: flags, positionals } = parse(args);
    isJson = flags.json === true;
    if (flags.help === true) {
      output.out(USAGE);
      return 0;
    }
    const [name = '', ...operands] = positionals;
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === undefined)
      throw new UsageError(name === '' ? 'no command given' : `unknown command '${name}'`);
    for (const flag of Object.keys(flags)) {
      if (flag !== 'json' && !command.flags.includes(flag))
        throw new UsageError(`${name} has no option --${flag}`);
    }
    const { exitCode, json, text } = await command.run(operands, flags, output);
    const shown = isJson ? JSON.stringify({ ok: exitCode === 0, ...json }) : text;
    if (shown !== '') (exitCode === 0 || isJson ? output.out : output.error)(shown);
    return exitCode;
  } catch (error) {
    const { message } = error as Error;
    const code = isHotpathError(error) ? error.code : undefined;
    const exitCode: ExitCode = error instanceof UsageError ? 2 : FINDINGS.includes(code) ? 1 : 3;
    if (isJson) output.out(JSON.stringify({ ok: false, code: code ?? null, message }));
    else output.error(exitCode === 2 ? `${message}\n\n${USAGE}` : message);
    return exitCode;
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

const FINDINGS: readonly unknown[] = [
  'HOTPATH_CONSTITUTION_DRIFT',
  'HOTPATH_CONSTITUTION_ROLLBACK',
  'HOTPATH_CONSTITUTION_RETIRED',
];
